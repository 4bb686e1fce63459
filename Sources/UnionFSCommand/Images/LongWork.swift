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
  private let interruption: Interruption
  private let line: ProgressLine?
  /// What is said where it was called off.
  private let ending: String
  /// For everything that is done.
  let watch: Watch

  /// - Parameters:
  ///   - what: what is being done, "loading".
  ///   - total: how many bytes there will be, where that is known.
  ///   - ending: what is said where it was called off.
  init(
    _ what: String, total: Int64? = nil, quiet: Bool = false, ending: String = "nothing was changed"
  ) throws(Failure) {
    let signals: CInt
    do throws(Errno) { signals = try ProcessCall.signalDescriptor() } catch {
      throw Failure(.failed, "signals cannot be waited for: \(error)")
    }
    let interruption = Interruption(signals)
    let line = quiet || !Program.isTerminal(2) ? nil : ProgressLine(what, total: total)
    self.signals = signals
    self.interruption = interruption
    self.line = line
    self.ending = ending
    watch = Watch(
      isCancelled: { interruption.hasCome() }, progress: { progress in line?.show(progress) })
  }

  deinit { FileSystemCall.close(signals) }

  /// Calls it off, as a signal does.
  func callOff() { interruption.note() }

  func wasCalledOff() -> Bool { interruption.hasCome() }

  /// Something else is done from now on.
  func begin(_ what: String) { line?.begin(what, after: watch.progress) }

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
    } catch {
      end()
      // What the terminal ends of what was started here is another error.
      guard error as? Failure == Failure.cancelled || wasCalledOff() else { throw error }
      Text.writeError("cancelled; \(ending)")
      throw SilentExit(status: 130)
    }
  }
}

/// Whether a signal has come; once it has, always.
private final class Interruption: Sendable {
  private let signals: CInt
  private let isNoted = Atomic(false)

  init(_ signals: CInt) { self.signals = signals }

  func note() { isNoted.store(true, ordering: .relaxed) }

  func hasCome() -> Bool {
    if isNoted.load(ordering: .relaxed) { return true }
    guard (try? ProcessCall.waitReadable(signals, signals, milliseconds: 0)) ?? 2 != 2 else {
      return false
    }
    note()
    return true
  }
}
