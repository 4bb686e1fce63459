internal import FUSE
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  /// An open directory has no state here: an entry's place in the index stays its own, so offsets are
  /// stable over changes, and the kernel need not ask. A server that may look into every directory says
  /// so at the first open (ENOSYS); another one has to tell what it cannot read.
  func openDirectory(_ node: UInt64) throws(Errno) -> OpenReply {
    if overridesModes { throw Errno.noFunction }
    let directory = try directory(node)
    try lockToList(directory)
    directory.lock.unlock()
    var reply = OpenReply(handle: 0)
    reply.keepsCache = true
    reply.cachesDirectory = true
    return reply
  }

  func releaseDirectory(_ node: UInt64, handle: UInt64) {}

  /// Offsets: 1 follows `.`, 2 follows `..`, then each entry of the index in its order.
  func readDirectory(
    _ node: UInt64, offset: Int64, into listing: inout DirectoryBuffer
  ) throws(Errno) {
    let directory = try directory(node)
    if offset < 2, !addDots(directory, from: offset, into: &listing) { return }
    defer { if offset == 0 { didList(directory) } }
    try lockToList(directory)
    defer { directory.lock.unlock() }
    guard let names = directory.index, offset >= 0, offset - 2 < Int64(names.entries.count) else {
      return
    }
    let first = Int(max(offset - 2, 0))
    for position in first..<names.entries.count {
      let entry = names.entries[position]
      guard entry.isVisible else { continue }
      let fits = names.withName(of: position) { bytes in
        guard let base = bytes.baseAddress else { return true }
        let next = Int64(position) + 3
        if listing.isPlus {
          let name = Name(unchecked: base, count: bytes.count)
          return add(name, entry, next: next, of: directory, into: &listing)
        }
        return listing.add(base, inode: entry.inode, type: listedType(entry), next: next)
      }
      if !fits { return }
    }
  }

  private func addDots(
    _ directory: Directory, from offset: Int64, into listing: inout DirectoryBuffer
  ) -> Bool {
    let parent = nodes.parent(of: directory.slot)?.0 ?? directory
    let (own, above) = nodes.lock.whileLocked {
      (nodes.inode(directory.slot), nodes.inode(parent.slot))
    }
    if offset < 1, !listing.add(ReservedName.here, inode: own, type: .directory, next: 1) {
      return false
    }
    return listing.add(ReservedName.above, inode: above, type: .directory, next: 2)
  }

  /// A file may stand for a device, which only a look at it tells.
  private func listedType(_ entry: IndexEntry) -> FileKind {
    guard entry.type == .regular, let owners = branch(entry.branch).owners, owners.isUsers else {
      return entry.type
    }
    return .unknown
  }

  /// An entry with its attributes, looked up.
  private func add(
    _ name: Name, _ listed: IndexEntry, next: Int64, of directory: Directory,
    into listing: inout DirectoryBuffer
  ) -> Bool {
    // What cannot be looked at is listed by its name alone.
    guard let state = try? resolveName(directory, name),
      let entry = try? enter(directory, name, state)
    else {
      return listing.add(name.pointer, inode: listed.inode, type: listedType(listed), next: next)
    }
    if listing.add(name.pointer, entry, next: next) { return true }
    nodes.forget(entry.node, count: 1)
    return false
  }

  func syncDirectory(_ node: UInt64, handle: UInt64, dataOnly: Bool) throws(Errno) {
    guard let top, configuration.durability != .volatile else { return }
    let directory = try directory(node)
    try lockToRead(directory)
    let isOnTop = directory.isOnTop
    directory.lock.unlock()
    if isOnTop { try top.copyUp.syncDirectory(topDescriptor(directory).raw) }
  }
}
