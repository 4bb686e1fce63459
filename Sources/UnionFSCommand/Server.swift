internal import Logging
internal import SystemCalls
internal import SystemPackage
internal import UnionCore
internal import UnionFS

/// The process that serves a mount, in the foreground or detached from the one that was started.
enum Server {
  /// Mounts and serves until the mount is gone.
  ///
  /// - Parameter endsWithInput: it goes when nobody can write into standard input, a pipe, any more.
  static func run(
    _ configuration: UnionConfiguration, _ logger: Logger, endsWithInput: Bool = false,
    whenLive: @escaping @Sendable () -> Void
  ) throws(Failure) {
    let mount = try UnionMount(configuration)
    let point = configuration.mountPoint
    try mount.serve(untilEndOf: endsWithInput ? FileDescriptor.standardInput.rawValue : -1) {
      whenLive()
      logger.info("mounted at \(point)")
    }
    logger.info("unmounted from \(point)")
  }

  /// Forks a process that serves, and returns when its mount is live. The process's own error line is
  /// the only one, and its status becomes ours.
  static func detach(
    _ configuration: UnionConfiguration, _ logger: Logger, endsWithInput: Bool = false
  ) throws {
    let server: Int32
    let live: FileDescriptor
    do throws(Errno) {
      let pipe = try Daemon.pipe()
      live = pipe.reading
      switch try Daemon.fork() {
      case .child:
        serve(configuration, logger, endsWithInput: endsWithInput, tellLive: pipe.writing)
      case .parent(let process): server = process
      }
      // With our end closed, the pipe ends when the server does.
      try? pipe.writing.close()
    } catch {
      throw Failure(.failed, "the server cannot be started: \(error)")
    }
    var answer: [UInt8] = [0]
    let count = try answer.withUnsafeMutableBytes { try live.read(into: $0) }
    if count == 0 { try takeOver(Daemon.wait(for: server)) }
  }

  private static func takeOver(_ ending: Daemon.Ending) throws {
    switch ending {
    case .exited(0):
      throw Failure(.failed, "the mount was taken away before it was live")
    case .exited(let status): throw SilentExit(status: status)
    case .killed(let signal):
      throw Failure(
        .failed, "the server was killed by signal \(signal) before the mount was live",
        advice: "run 'mount -f --log-level debug' to see more")
    }
  }

  /// The child's whole life.
  private static func serve(
    _ configuration: UnionConfiguration, _ logger: Logger, endsWithInput: Bool,
    tellLive: FileDescriptor
  ) -> Never {
    Daemon.ignoreBrokenPipes()
    Daemon.closeInherited(keeping: tellLive)
    do {
      // Standard error stays until the mount is live: it carries the one line of a failure.
      try Daemon.silence(endsWithInput ? 1...1 : 0...1)
      try Daemon.changeDirectory(to: "/")
      try run(configuration, logger, endsWithInput: endsWithInput) { settle(tellLive) }
    } catch let failure as Failure {
      Log.fail(failure, logger)
      Daemon.exit(failure.code.rawValue)
    } catch {
      Log.fail(Failure(.failed, "the server cannot detach: \(error)"), logger)
      Daemon.exit(Failure.Code.failed.rawValue)
    }
    Daemon.exit(0)
  }

  /// The mount is live: leave the caller's session, let go of its output, tell it.
  private static func settle(_ tellLive: FileDescriptor) {
    try? Daemon.startSession()
    Log.detach()
    try? Daemon.silence(2...2)
    _ = try? tellLive.writeAll([1])
    try? tellLive.close()
  }
}
