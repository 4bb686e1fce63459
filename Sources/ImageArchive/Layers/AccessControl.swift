internal import CArchive
internal import SystemCalls
internal import UnionCore

/// A POSIX ACL as the kernel keeps it (linux/posix_acl_xattr.h), made of an archive's entry.
enum AccessControl {
  static var accessKey: CName { borrowedName("system.posix_acl_access") }
  static var defaultKey: CName { borrowedName("system.posix_acl_default") }

  struct List {
    /// The extended attribute's value.
    var value: [UInt8]
    /// The group's bits of the mode: the mask's where there is one.
    var groupBits: UInt32
  }

  enum Flaw: Error {
    /// It names a user or group instead of giving an id.
    case names
    case tooLong
  }

  private struct Item {
    var tag: UInt16
    var permissions: UInt16
    var id: UInt32
  }

  /// nil where the entry has none that says more than its mode.
  static func list(of entry: TarEntry, isDefault: Bool) throws(Flaw) -> List? {
    let type =
      isDefault ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS
    guard archive_entry_acl_types(entry.handle) & type != 0,
      archive_entry_acl_reset(entry.handle, type) > 0
    else { return nil }
    var items = try items(of: entry, type)
    if items.isEmpty { return nil }
    items.sort { ($0.tag, $0.id) < ($1.tag, $1.id) }
    let groups = items.last { $0.tag == 0x10 } ?? items.last { $0.tag == 0x04 }
    return List(value: encoded(items), groupBits: UInt32(groups?.permissions ?? 0))
  }

  private static func items(of entry: TarEntry, _ type: CInt) throws(Flaw) -> [Item] {
    var items: [Item] = []
    var (found, bits, tag, id): (CInt, CInt, CInt, CInt) = (0, 0, 0, 0)
    var name: UnsafePointer<CChar>?
    while archive_entry_acl_next(entry.handle, type, &found, &bits, &tag, &id, &name) == ARCHIVE_OK
    {
      guard let kernelTag = kernelTag(tag) else { continue }
      let hasID = kernelTag == 0x02 || kernelTag == 0x08
      if hasID && id < 0 { throw .names }
      if items.count == 8000 { throw .tooLong }
      items.append(
        Item(
          tag: kernelTag, permissions: UInt16(bits & 7),
          id: hasID ? UInt32(bitPattern: id) : .max))
    }
    return items
  }

  private static func kernelTag(_ tag: CInt) -> UInt16? {
    switch tag {
    case ARCHIVE_ENTRY_ACL_USER_OBJ: 0x01
    case ARCHIVE_ENTRY_ACL_USER: 0x02
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ: 0x04
    case ARCHIVE_ENTRY_ACL_GROUP: 0x08
    case ARCHIVE_ENTRY_ACL_MASK: 0x10
    case ARCHIVE_ENTRY_ACL_OTHER: 0x20
    default: nil
    }
  }

  private static func encoded(_ items: [Item]) -> [UInt8] {
    var bytes: [UInt8] = [2, 0, 0, 0]
    for item in items {
      for value in [item.tag, item.permissions] {
        bytes += [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)]
      }
      for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: item.id >> shift)) }
    }
    return bytes
  }
}
