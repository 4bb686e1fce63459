internal import Logging
internal import SnapshotService
internal import SnapshotStore
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The server between its start and a signal.
struct Service {
  let store: SnapshotStore
  let address: FilePath
  let log: Logger

  /// - Parameter signals: `ProcessCall.signalDescriptor`'s.
  func run(until signals: CInt) throws {
    let course = try Course()
    Task.detached { [self] in course.end(await serve(course)) }
    if try ProcessCall.waitReadable(signals, course.ended) == 0 {
      log.info("a signal asks to stop")
      course.stop()
      _ = try ProcessCall.waitReadable(course.ended, course.ended)
    }
    try course.outcome.get()
    log.info("stopped")
  }

  private func serve(_ course: Course) async -> Result<Void, Failure> {
    do throws(Failure) {
      let server = try await SnapshotServer(store, at: address, log: log)
      course.started(server)
      try await server.run { () async throws(Failure) in
        log.info("serving \(address)")
        await notify()
      }
      return .success(())
    } catch {
      return .failure(error)
    }
  }

  private func notify() async {
    guard let socket = Invocation.variable("NOTIFY_SOCKET") else { return }
    do { try await ServiceNotification.ready(socket) } catch {
      log.warning("systemd could not be told that the service is ready: \(error)")
    }
  }
}

/// What the main thread and the server's task tell one another.
final class Course: Sendable {
  private struct State {
    var server: SnapshotServer?
    var isToStop = false
    var outcome: Result<Void, Failure> = .success(())
  }

  /// Readable once the server has ended.
  let ended: CInt
  private let state = Mutex(State())

  init() throws(Errno) { ended = try ProcessCall.eventDescriptor() }

  deinit { FileSystemCall.close(ended) }

  var outcome: Result<Void, Failure> { state.withLock { $0.outcome } }

  func started(_ server: SnapshotServer) {
    let isToStop = state.withLock { state in
      state.server = server
      return state.isToStop
    }
    if isToStop { server.stop() }
  }

  func stop() {
    let server = state.withLock { state in
      state.isToStop = true
      return state.server
    }
    server?.stop()
  }

  func end(_ outcome: Result<Void, Failure>) {
    state.withLock { $0.outcome = outcome }
    ProcessCall.raiseEvent(ended)
  }
}
