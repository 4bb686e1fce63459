public import UnionCore

/// A union that is mounted and served by this process.
public final class UnionMount: Sendable {
  /// Opens and checks the branches, takes the writable branch's lock and mounts. No thread runs yet,
  /// so the caller may still fork. Throws a `Failure` for a person; nothing is mounted then.
  public init(_ configuration: UnionConfiguration) throws(Failure) {
    throw Failure(.failed, "not built yet")
  }

  /// Serves until the mount is gone or SIGTERM/SIGINT/SIGHUP unmounts it. `whenLive` is called once,
  /// when the kernel's first request has been answered. Returns after everything was released.
  public func serve(whenLive: @escaping @Sendable () -> Void) throws(Failure) {}
}
