/// A device's two numbers.
public struct DeviceNumber: Equatable, Sendable {
  public var major: UInt64
  public var minor: UInt64

  /// What mknod(2) takes; nil where Linux has no such device.
  public var combined: UInt64? {
    guard major < 1 << 12, minor < 1 << 20 else { return nil }
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
  }

  public init(major: UInt64, minor: UInt64) {
    self.major = major
    self.minor = minor
  }

  /// From what stat(2) tells.
  public init(combined: UInt64) {
    major = (combined >> 8) & 0xFFF
    minor = (combined & 0xFF) | (combined >> 12) & 0xFFF00
  }
}
