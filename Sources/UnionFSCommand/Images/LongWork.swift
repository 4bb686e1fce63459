internal import ArgumentParser
internal import ImageArchive
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Long work: Ctrl-C calls it off with nothing half-made left, and a terminal sees how far it is.
final class LongWork: Sendable {
  /// SIGINT, SIGTERM and SIGHUP come by it.
  let signals: CInt
  private let isCancelled = Atomic(false)
  private let line: ProgressLine?

  /// - Parameters:
  ///   - what: what is being done, "loading".
  ///   - total: how many bytes there will be, where that is known.
  init(_ what: String, total: Int64? = nil, quiet: Bool = false) throws(Failure) {
    do throws(Errno) { signals = try ProcessCall.signalDescriptor() } catch {
      throw Failure(.failed, "signals cannot be waited for: \(error)")
    }
    line = quiet || !Program.isTerminal(2) ? nil : ProgressLine(what, total: total)
  }

  deinit { FileSystemCall.close(signals) }

  var watch: Watch {
    Watch(
      isCancelled: { self.wasCalledOff() },
      progress: { self.line?.show($0) })
  }

  /// Whether a signal has come; once it has, always.
  func wasCalledOff() -> Bool {
    if isCancelled.load(ordering: .relaxed) { return true }
    guard (try? ProcessCall.waitReadable(signals, signals, milliseconds: 0)) ?? 2 != 2 else {
      return false
    }
    isCancelled.store(true, ordering: .relaxed)
    return true
  }

  /// Between two steps of work.
  func checkpoint() throws(Failure) { if wasCalledOff() { throw Failure.cancelled } }

  /// Takes the line away.
  func end() { line?.clear() }

  /// Runs the body. What was called off is said, and the status is what a shell gives SIGINT's.
  func run<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      let result = try body()
      end()
      return result
    } catch let failure as Failure {
      end()
      guard failure == Failure.cancelled || wasCalledOff() else { throw failure }
      Text.writeError("cancelled; nothing was changed")
      throw SilentExit(status: 130)
    }
  }
}

/// One line on standard error that is written over and over: `loading  12.3MB of 80MB  41MB/s`.
final class ProgressLine: Sendable {
  private let what: String
  private let total: Int64?
  private let begin = ProcessCall.nanoseconds
  private let last = Atomic<UInt64>(0)

  init(_ what: String, total: Int64?) {
    self.what = what
    self.total = total
  }

  func show(_ progress: Progress) {
    let now = ProcessCall.nanoseconds
    let before = last.load(ordering: .relaxed)
    guard now &- before > 100_000_000,
      last.compareExchange(expected: before, desired: now, ordering: .relaxed).exchanged
    else { return }
    let seconds = max(Double(now &- begin) / 1e9, 0.001)
    let rate = Units.size(Int64(Double(progress.bytes) / seconds))
    let of = total.map { " of \(Units.size($0))" } ?? ""
    let entries = progress.entries > 0 ? "  \(progress.entries) files" : ""
    write("\r\u{1B}[K\(what)  \(Units.size(progress.bytes))\(of)  \(rate)/s\(entries)")
  }

  func clear() { if last.load(ordering: .relaxed) > 0 { write("\r\u{1B}[K") } }

  private func write(_ text: String) { Text.writeTerminal(text) }
}
