/// A POSIX access control list in the form of its xattr.
public enum ACL {
  public enum Entry: Sendable {
    case user(UInt32, UInt16)
    case group(UInt32, UInt16)
  }

  /// `mask` defaults to everything that somebody named, or the group, may do.
  public static func bytes(
    _ named: [Entry], owner: UInt16, group: UInt16, other: UInt16, mask: UInt16? = nil
  ) -> [UInt8] {
    var users: [(UInt16, UInt16, UInt32)] = []
    var groups: [(UInt16, UInt16, UInt32)] = []
    var widest = group
    for entry in named {
      switch entry {
      case .user(let id, let rights):
        users.append((0x02, rights, id))
        widest |= rights
      case .group(let id, let rights):
        groups.append((0x08, rights, id))
        widest |= rights
      }
    }
    let nobody = UInt32.max
    var entries = [(UInt16(0x01), owner, nobody)] + users + [(0x04, group, nobody)] + groups
    if !named.isEmpty || mask != nil { entries.append((0x10, mask ?? widest, nobody)) }
    entries.append((0x20, other, nobody))
    return little(UInt32(2)) + entries.flatMap { little($0.0) + little($0.1) + little($0.2) }
  }

  private static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
