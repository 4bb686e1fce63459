import Glibc
import TestSupport
import Testing

/// A single caller is served on its own core by a thread that runs only where nothing else wants to. That
/// thread must not leave a caller waiting, and must not stay so.
@Suite(.mounts, .rulesOfAufs) struct Serving {
  /// The scheduling policies of a process's threads: SCHED_IDLE is 5.
  private func policies(of process: Int32) throws -> [Int] {
    try Path("/proc/\(process)/task").entries().compactMap { entry in
      let text = try? (Path("/proc/\(process)/task") / entry.name / "stat").bytesOfFile()
      return text.flatMap { policy(in: String(decoding: $0, as: UTF8.self)) }
    }
  }

  /// The 41st field of /proc/PID/stat.
  private func policy(in stat: String) -> Int? {
    let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
    return fields.count > 39 ? Int(fields[39]) : nil
  }

  private func lookForMissing(_ folder: Path, _ count: Int, _ prefix: String) {
    for number in 0..<count { _ = (folder / Path("\(prefix)\(number)")).exists }
  }

  @Test(arguments: ["serve=near", "serve=any"])
  func everyCallerIsAnsweredWhileAllCoresAreBusy(_ option: String) throws {
    try withUnion([.rw(), .lower([.file("f", "text")])], options: [option]) { u throws in
      lookForMissing(u.mnt, 2000, "quiet")
      let hogs = try (0..<4).map { _ in try Spawned(["sh", "-c", "while :; do :; done"]) }
      defer {
        for hog in hogs {
          hog.signal(SIGKILL)
          _ = try? hog.finish()
        }
      }
      // Longer than any delay of the guard, in requests that each would wait for it.
      let worst = Shared<Duration>(.zero)
      let clock = ContinuousClock()
      let end = clock.now + .seconds(2)
      var number = 0
      while clock.now < end {
        let took = clock.measure { lookForMissing(u.mnt, 1, "busy\(number)-") }
        worst.change { $0 = max($0, took) }
        number += 1
      }
      #expect(worst.now < .seconds(1), "the longest wait was \(worst.now)")
      #expect(number > 100, "\(number) requests in two seconds")
      #expect(try (u / "f").text() == "text")
    }
  }

  @Test func severalCallersAreServedAtOnce() throws {
    try withUnion([.rw(), .lower([.file("f", "text")])]) { u throws in
      let mnt = u.mnt
      let errors = concurrently(6) { index in
        for number in 0..<500 {
          let file = mnt / Path("t\(index)")
          try file.write("\(number)")
          guard try file.text() == "\(number)" else { throw Errno.again }
          lookForMissing(mnt, 3, "m\(index)-\(number)-")
        }
      }
      #expect(errors == [])
    }
  }

  @Test func anIdleServerHasOrdinaryThreads() throws {
    try withUnion([.rw(), .lower([.file("f", "text")])]) { u throws in
      let server = try #require(u.server)
      lookForMissing(u.mnt, 3000, "many")
      // The guard looks each two milliseconds and gives up after ten looks without a request.
      let root = try u.mnt.open(O_RDONLY | O_DIRECTORY)
      defer { root.close() }
      var idle = true
      for _ in 0..<200 where idle {
        root.waitForEvent(milliseconds: 20)
        idle = try policies(of: server).contains(5)
      }
      #expect(!idle, "a thread of SCHED_IDLE is left")
      #expect(try !policies(of: server).isEmpty)
    }
  }
}
