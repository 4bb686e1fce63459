internal import CTestCalls
internal import Glibc

/// Counts the system calls of a mount's server, or makes one fail or be its last. The server needs
/// `Faults.environment`.
public final class Faults {
  public enum Mode: UInt32, Sendable { case off, count, fail, kill }

  public static let environment = ["UNIONFS_SWIFT_TEST_FAULTS": "1"]

  private let root: File

  public init(in union: Union) throws(Errno) {
    root = try union.mnt.open(O_RDONLY | O_DIRECTORY)
  }

  /// Arms call number `target` from now, counted from 1; answers how many calls there were since the
  /// last time.
  @discardableResult
  public func arm(_ mode: Mode, at target: Int = 0, _ code: Int32 = 0) throws(Errno) -> Int {
    // _IOWR('u', 2, char[16]): mode, errno, call; out comes the count.
    var words = (mode.rawValue.littleEndian, code.littleEndian, UInt64(target).littleEndian)
    try check(ct_ioctl(root.descriptor, 3 << 30 | 16 << 16 | 0x75 << 8 | 2, &words))
    return Int(UInt64(littleEndian: words.2))
  }

  /// How many requests callers wait for during `body`.
  public func roundTrips(_ body: () throws -> Void) throws -> Int {
    let before = try waitedFor()
    try body()
    // The question itself is one.
    return try waitedFor() - before - 1
  }

  private func waitedFor() throws(Errno) -> Int {
    var words = (UInt32(4).littleEndian, UInt32(0), UInt64(0))
    try check(ct_ioctl(root.descriptor, 3 << 30 | 16 << 16 | 0x75 << 8 | 2, &words))
    return Int(UInt64(littleEndian: words.2))
  }

  public func close() { root.close() }
}
