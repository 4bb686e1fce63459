public import SystemCalls

/// What a file would be if whoever made it had been allowed to make it so: the value of the extended attributes
/// of `OwnerAttribute`, `uid:gid:mode:type`.
public struct OverrideStat: Equatable, Sendable {
  public var owner: UInt32
  public var group: UInt32
  /// The bits of chmod(2).
  public var permissions: UInt32
  public var kind: FileKind
  public var device = DeviceNumber(major: 0, minor: 0)

  public var text: [UInt8] {
    let digits = String(permissions & 0o7777, radix: 8)
    let mode = String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
    return Array("\(owner):\(group):\(mode):\(typeText)".utf8)
  }

  private var typeText: String {
    switch kind {
    case .directory: "dir"
    case .symbolicLink: "symlink"
    case .fifo: "pipe"
    case .socket: "socket"
    case .blockDevice: "block-\(device.major)-\(device.minor)"
    case .characterDevice: "char-\(device.major)-\(device.minor)"
    default: "file"
    }
  }

  public init(
    owner: UInt32, group: UInt32, permissions: UInt32, kind: FileKind,
    device: DeviceNumber = DeviceNumber(major: 0, minor: 0)
  ) {
    self.owner = owner
    self.group = group
    self.permissions = permissions
    self.kind = kind
    self.device = device
  }

  /// nil for what is none.
  ///
  /// - Parameter actual: the file's own type, where the text has none, as older ones have not.
  public init?(_ text: [UInt8], actual: FileKind) {
    let parts = text.split(separator: 0x3A, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    // fuse-overlayfs writes the mode with the type's bits in it.
    guard parts.count >= 3, let owner = UInt32(parts[0]), let group = UInt32(parts[1]),
      let mode = UInt32(parts[2], radix: 8), mode <= 0o177777
    else { return nil }
    self.init(owner: owner, group: group, permissions: mode & 0o7777, kind: actual)
    if parts.count > 3, !readType(parts[3]) { return nil }
  }

  private mutating func readType(_ text: String) -> Bool {
    let words = text.split(separator: "-")
    switch words.first ?? "" {
    case "file": kind = .regular
    case "dir": kind = .directory
    case "symlink": kind = .symbolicLink
    case "pipe": kind = .fifo
    case "socket": kind = .socket
    case "block": kind = .blockDevice
    case "char": kind = .characterDevice
    default: return false
    }
    guard kind == .blockDevice || kind == .characterDevice else { return true }
    guard words.count >= 3, let major = UInt64(words[1]), let minor = UInt64(words[2]) else {
      return false
    }
    device = DeviceNumber(major: major, minor: minor)
    return true
  }
}
