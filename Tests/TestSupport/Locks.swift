internal import CTestCalls
internal import Glibc

/// Whether another process could have that record lock: nil, or what it was answered.
public func childLock(_ path: Path, _ type: Int32, _ start: Int64, _ count: Int64) -> Errno? {
  let result = try? path.withC { path in ct_child_lock(path, type, start, count) }
  return result == 0 ? nil : Errno(-(result ?? -EINVAL))
}

/// The same for flock(2).
public func childFlock(_ path: Path, _ operation: Int32) -> Errno? {
  let result = try? path.withC { path in ct_child_flock(path, operation) }
  return result == 0 ? nil : Errno(-(result ?? -EINVAL))
}

/// Another process that waits for a record lock, then holds it.
public final class LockHolder: Sendable {
  public let process: Int32

  public init(_ path: Path, _ type: Int32, _ start: Int64, _ count: Int64) throws(Errno) {
    process = try path.withC { path throws(Errno) in
      try check(ct_child_hold(path, type, start, count))
    }
  }

  /// Whether it has the lock by now, or once it has ended its wait for it.
  public func holds(waiting: Bool) -> Bool { ct_child_holds(process, waiting ? 1 : 0) == 1 }

  /// Lets it end; its exit code, an errno.
  public func release() -> Int32? {
    _ = ct_kill(process, SIGCONT)
    return waitForEnd(of: process, seconds: 30)
  }
}
