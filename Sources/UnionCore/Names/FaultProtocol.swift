/// How a test asks a server to count its system calls, or to make one fail: an ioctl on the mount's
/// root, answered only where `UNIONFS_SWIFT_TEST_FAULTS` is in the server's environment, and only to
/// its own user. In go, little-endian, the mode (4 bytes: 0 off, 1 count, 2 fail, 3 kill), the errno
/// (4) and which call from now (8, counted from 1); out comes in the last 8 bytes how many calls there
/// were since the request before. Mode 4 arms nothing; out comes how many requests callers have waited
/// for since the mount, this one included.
public enum FaultProtocol {
  /// `_IOWR('u', 2, char[16])`.
  public static let command: UInt32 = 3 << 30 | 16 << 16 | 0x75 << 8 | 2
  public static let size = 16
  public static let roundTrips: UInt32 = 4
}
