internal import ImageArchive
internal import Synchronization
internal import SystemCalls

/// One line on standard error that is written over and over: `loading  12.3MB of 80MB  41MB/s`.
final class ProgressLine: Sendable {
  private struct State {
    var what: String
    var total: Int64?
    var begin = ProcessCall.nanoseconds
    /// What had been done then.
    var done = Progress()
    var last: UInt64 = 0
    var isShown = false
  }

  private let state: Mutex<State>

  init(_ what: String, total: Int64?) { state = Mutex(State(what: what, total: total)) }

  /// Something else is done from now on; the rate is that of it alone.
  func begin(_ what: String, after done: Progress) {
    clear()
    state.withLock {
      $0 = State(what: what, total: nil)
      $0.done = done
    }
  }

  /// Ten times a second at most.
  func show(_ progress: Progress) {
    state.withLock {
      let now = ProcessCall.nanoseconds
      guard now &- $0.last > 100_000_000 else { return }
      $0.last = now
      $0.isShown = true
      let bytes = progress.bytes - $0.done.bytes
      let seconds = max(Double(now &- $0.begin) / 1e9, 0.001)
      let rate = Units.size(Int64(Double(bytes) / seconds))
      let of = $0.total.map { " of \(Units.size($0))" } ?? ""
      let count = progress.entries - $0.done.entries
      let entries = count > 0 ? "  \(count) files" : ""
      Text.writeTerminal("\r\u{1B}[K\($0.what)  \(Units.size(bytes))\(of)  \(rate)/s\(entries)")
    }
  }

  /// Takes the line away.
  func clear() {
    state.withLock {
      if $0.isShown { Text.writeTerminal("\r\u{1B}[K") }
      $0.isShown = false
    }
  }
}
