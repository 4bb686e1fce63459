internal import CFuse
public import SystemCalls

/// The entries of one READDIR or READDIRPLUS reply, as many as the kernel's buffer takes.
public struct DirectoryBuffer: ~Copyable {
  let request: fuse_req_t
  let storage: UnsafeMutablePointer<CChar>
  let capacity: Int
  private(set) var used = 0
  /// Whether each entry carries attributes and counts as a lookup.
  public let isPlus: Bool

  init(request: fuse_req_t, storage: UnsafeMutablePointer<CChar>, capacity: Int, isPlus: Bool) {
    self.request = request
    self.storage = storage
    self.capacity = capacity
    self.isPlus = isPlus
  }

  /// Adds a name; false where there is no room left. `next` is the offset of the entry after it.
  public mutating func add(_ name: CName, inode: UInt64, type: FileKind, next: Int64) -> Bool {
    if isPlus {
      var attributes = Attributes()
      attributes.inode = inode
      attributes.mode = type.modeBits
      // A node of 0 tells the kernel to look the name up itself when it needs it.
      return add(
        name, EntryReply(node: 0, generation: 0, attributes: attributes, timeout: 0), next: next)
    }
    var raw = stat()
    raw.st_ino = UInt(inode)
    raw.st_mode = type.modeBits
    let size = fuse_add_direntry(request, storage + used, capacity - used, name, &raw, Int(next))
    return take(size)
  }

  /// Adds a name with its entry; false where there is no room left, and the entry was not looked up.
  public mutating func add(_ name: CName, _ entry: EntryReply, next: Int64) -> Bool {
    var raw = entry.raw
    let size = fuse_add_direntry_plus(
      request, storage + used, capacity - used, name, &raw, Int(next))
    return take(size)
  }

  private mutating func take(_ size: Int) -> Bool {
    if size > capacity - used { return false }
    used += size
    return true
  }
}
