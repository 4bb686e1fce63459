import CCounters

/// One operation, repeated; `body` does it `operations` times over.
struct Benchmark {
  let name: String
  let operations: Int
  let body: () throws -> Void

  init(_ name: String, operations: Int = 1, _ body: @escaping () throws -> Void) {
    self.name = name
    self.operations = operations
    self.body = body
  }
}

/// What one operation takes. Times are nanoseconds; counts are exact means, from a run of their own.
struct Measurement {
  var median: Double
  var fastest: Double
  var slowest: Double
  var allocations: Double
  var bytes: Double
  var retains: Double
  var releases: Double
}

/// How long a sample lasts, and how many there are.
private let sampleTime = Duration.milliseconds(40)
private let sampleCount = 11

extension Benchmark {
  func measure() throws -> Measurement {
    let turns = try calibrate()
    let times = try (0..<sampleCount).map { _ in try time(turns) / Double(turns * operations) }
      .sorted()
    counters_start()
    defer { _ = counters_stop() }
    try body()
    let counted = counters_stop()
    func each(_ count: UInt64) -> Double { Double(count) / Double(operations) }
    return Measurement(
      median: times[sampleCount / 2], fastest: times[0], slowest: times[sampleCount - 1],
      allocations: each(counted.allocations), bytes: each(counted.bytes),
      retains: each(counted.retains), releases: each(counted.releases))
  }

  /// How often `body` runs in a sample; warms it up.
  private func calibrate() throws -> Int {
    var turns = 1
    while try time(turns) * 4 < Double(sampleTime.nanoseconds) { turns *= 2 }
    return max(1, Int(Double(turns * sampleTime.nanoseconds) / (try time(turns))))
  }

  private func time(_ turns: Int) throws -> Double {
    let start = ContinuousClock.now
    for _ in 0..<turns { try body() }
    return max(1, Double((ContinuousClock.now - start).nanoseconds))
  }
}

extension Duration {
  fileprivate var nanoseconds: Int {
    Int(components.seconds) * 1_000_000_000 + Int(components.attoseconds / 1_000_000_000)
  }
}

/// Takes a value, so that the compiler cannot leave out what made it.
@inline(never) @_optimize(none)
func use<Value>(_ value: borrowing Value) {}
