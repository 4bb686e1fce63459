internal import FUSE
internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// A union that is mounted and served by this process.
public final class UnionMount: Sendable {
  private let session: Session
  private let union: Union
  private let signals: CInt
  private let over: CInt
  private let mountPoint: String

  /// Opens and checks the branches, takes the writable branch's lock and mounts. No thread runs yet,
  /// so the caller may still fork. Throws a `Failure` for a person; nothing is mounted then.
  public init(_ configuration: UnionConfiguration) throws(Failure) {
    mountPoint = configuration.mountPoint
    // Hundreds of branches are more than the usual 1024 descriptors.
    _ = ProcessCall.raiseDescriptorLimit()
    let branches = try BranchSet(
      configuration.branches, mountPoint: mountPoint, readOnly: configuration.readOnly)
    do throws(Errno) {
      union = try Union(branches, configuration: configuration)
      signals = try ProcessCall.signalDescriptor()
      over = try ProcessCall.eventDescriptor()
    } catch {
      let path = branches[0].specification.path
      throw Failure(
        Self.code(of: error), "the branch \(path) cannot be used: \(error)",
        advice: Self.advice(for: error, configuration))
    }
    session = try Self.mount(union, configuration)
  }

  private static func mount(
    _ union: Union, _ configuration: UnionConfiguration
  ) throws(Failure) -> Session {
    let options =
      configuration.mountOptions + (configuration.checksPermissions ? ["default_permissions"] : [])
    do throws(SessionFailure) {
      return try Session(
        union, options: options, mountPoint: configuration.mountPoint,
        stackDepth: ProcessCall.hasCapability(21) ? configuration.passthrough.stackDepth : 0,
        collectsWrites: !configuration.readOnly && configuration.writeback == .auto
          && union.hasRoomToCollect,
        hasACLs: union.hasACLs,
        servesNearby: configuration.serving == .near)
    } catch {
      let why = error.message.isEmpty ? "" : ": \(error.message)"
      let isRefused =
        error.message.contains("not permitted") || error.message.contains("ermission denied")
      throw Failure(
        isRefused ? .permission : .failed, "\(configuration.mountPoint) cannot be mounted\(why)",
        advice: "see that /dev/fuse can be opened and, as an ordinary user, that fusermount3 is "
          + "installed")
    }
  }

  private static func code(of error: Errno) -> Failure.Code {
    error == .permissionDenied || error == .notPermitted ? .permission : .failed
  }

  private static func advice(
    for error: Errno, _ configuration: UnionConfiguration
  ) -> String {
    switch error {
    case .notSupported, .notSupportedOnSocket, .invalidArgument,
      .notPermitted
    where configuration.whiteouts == .overlay && !configuration.readOnly:
      "whiteout=overlay needs character devices 0/0, attributes and renameat2 on its file system; "
        + "mount with whiteout=aufs"
    case .permissionDenied, .notPermitted:
      "the top branch must be writable for this user, and on no union's mount"
    case .noSpace: "make room on its file system"
    default: ""
    }
  }

  /// Serves until the mount is gone or SIGTERM/SIGINT/SIGHUP unmounts it. `whenLive` is called once,
  /// when the kernel's first request has been answered. Returns after everything was released.
  ///
  /// - Parameter pipe: one that unmounts it too, once nobody holds its writing end; -1 for none.
  public func serve(
    untilEndOf pipe: CInt = -1, whenLive: @escaping @Sendable () -> Void
  ) throws(Failure) {
    union.begin()
    do throws(Errno) {
      let over = over
      try session.start(whenLive: whenLive) { ProcessCall.raiseEvent(over) }
      while true {
        let event = try ProcessCall.waitReadable(over, signals, orEndOf: pipe)
        if event == 0 { break }
        if event == 1 { ProcessCall.drain(signals) }
        if try unmountAsked() { break }
      }
    } catch {
      union.stop()
      session.close()
      throw Failure(.failed, "the mount \(mountPoint) cannot be served: \(error)")
    }
    union.stop()
    session.close()
    union.finish()
  }

  /// A signal asks for the end. What the kernel holds of shared mappings is flushed first: an unmount
  /// does it, and where someone is still inside, a sync does, before the mount is detached from the
  /// tree. True when nothing is left to wait for.
  private func unmountAsked() throws(Errno) -> Bool {
    if unmount(lazily: false) {
      return try ProcessCall.waitReadable(over, signals) == 0
    }
    if session.isInPlace { try? ProcessCall.syncFileSystem(at: mountPoint) }
    _ = unmount(lazily: true)
    // Whoever is inside may leave in this time; then they meet ENOTCONN.
    _ = try ProcessCall.waitReadable(over, signals, milliseconds: 500)
    return true
  }

  /// Whoever detached the mount may have put another one in its place.
  private func unmount(lazily: Bool) -> Bool {
    guard session.isInPlace else { return false }
    if ProcessCall.effectiveUser == 0 {
      return (try? Mounts.unmount(FilePath(mountPoint), lazy: lazily)) != nil
    }
    guard let null = try? FileDescriptor.open("/dev/null", .writeOnly) else { return false }
    defer { try? null.close() }
    let ending = try? Daemon.run(
      ["fusermount3", lazily ? "-uzq" : "-uq", "--", FilePath(mountPoint)], errorOutput: null)
    return ending == .exited(0)
  }
}
