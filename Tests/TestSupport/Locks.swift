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
  private let ready: File
  private let end: File

  public init(_ path: Path, _ type: Int32, _ start: Int64, _ count: Int64) throws(Errno) {
    var ends: (Int32, Int32) = (-1, -1)
    process = try path.withC { path throws(Errno) in
      try check(ct_child_hold(path, type, start, count, &ends.0, &ends.1))
    }
    (ready, end) = (File(descriptor: ends.0), File(descriptor: ends.1))
  }

  /// Whether it has the lock, waiting so long at most.
  public func holds(seconds: Int32) -> Bool {
    ct_poll(ready.descriptor, Int16(POLLIN), seconds * 1000) > 0
  }

  /// Lets it end; its exit code, an errno.
  public func release() -> Int32? {
    end.close()
    return waitForEnd(of: process, seconds: 30)
  }
}
