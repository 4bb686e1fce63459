internal import FUSE
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// One open of a directory: a snapshot of its names, made at the first read, and anew when the
/// directory is read from its start after a change.
final class DirectoryHandle: @unchecked Sendable {
  let directory: Directory
  private let lock = Lock()
  // Guarded by `lock`.
  private var snapshot: NameIndex?
  private var takenAt: UInt64 = 0

  init(_ directory: Directory) { self.directory = directory }

  deinit { lock.destroy() }

  var number: UInt64 { UInt64(UInt(bitPattern: Unmanaged.passRetained(self).toOpaque())) }

  static func from(_ number: UInt64) throws(Errno) -> DirectoryHandle {
    guard let pointer = UnsafeRawPointer(bitPattern: UInt(number)) else {
      throw Errno.badFileDescriptor
    }
    return Unmanaged<DirectoryHandle>.fromOpaque(pointer).takeUnretainedValue()
  }

  static func release(_ number: UInt64) {
    guard let pointer = UnsafeRawPointer(bitPattern: UInt(number)) else { return }
    Unmanaged<DirectoryHandle>.fromOpaque(pointer).release()
  }

  /// The names to list from `offset` on.
  func names(from offset: Int64, in union: Union) throws(Errno) -> NameIndex {
    lock.lock()
    defer { lock.unlock() }
    if let snapshot, offset > 0 { return snapshot }
    try union.lockToList(directory)
    defer { directory.lock.unlock() }
    if let snapshot, takenAt == directory.changes { return snapshot }
    let taken = directory.index ?? NameIndex()
    snapshot = taken
    takenAt = directory.changes
    return taken
  }
}

extension Union {
  func openDirectory(_ node: UInt64) throws(Errno) -> OpenReply {
    let directory = try directory(node)
    // What cannot be read is told now, not at the first listing.
    try lockToList(directory)
    directory.lock.unlock()
    var reply = OpenReply(handle: DirectoryHandle(directory).number)
    reply.keepsCache = true
    reply.cachesDirectory = true
    return reply
  }

  func releaseDirectory(_ node: UInt64, handle: UInt64) { DirectoryHandle.release(handle) }

  /// Offsets: 1 follows `.`, 2 follows `..`, then each entry of the index in its order.
  func readDirectory(
    _ node: UInt64, handle: UInt64, offset: Int64, into listing: inout DirectoryBuffer
  ) throws(Errno) {
    let handle = try DirectoryHandle.from(handle)
    let names = try handle.names(from: offset, in: self)
    if offset < 2, !addDots(handle.directory, from: offset, into: &listing) { return }
    guard offset >= 0, offset - 2 < Int64(names.entries.count) else { return }
    let first = Int(max(offset - 2, 0))
    if listing.isPlus {
      try addEntries(names, from: first, of: handle.directory, into: &listing)
    } else {
      for position in first..<names.entries.count {
        let entry = names.entries[position]
        guard entry.isVisible else { continue }
        let fits = names.withName(of: position) { bytes in
          bytes.baseAddress.map {
            listing.add($0, inode: entry.inode, type: entry.type, next: Int64(position) + 3)
          } ?? true
        }
        if !fits { return }
      }
    }
  }

  private func addDots(
    _ directory: Directory, from offset: Int64, into listing: inout DirectoryBuffer
  ) -> Bool {
    let parent = nodes.parent(of: directory.slot)?.0 ?? directory
    let (own, above) = nodes.lock.whileLocked {
      (nodes.node(directory.slot).pointee.inode, nodes.node(parent.slot).pointee.inode)
    }
    if offset < 1, !listing.add(ReservedName.here, inode: own, type: .directory, next: 1) {
      return false
    }
    return listing.add(ReservedName.above, inode: above, type: .directory, next: 2)
  }

  /// Each entry with its attributes, looked up.
  private func addEntries(
    _ names: NameIndex, from first: Int, of directory: Directory,
    into listing: inout DirectoryBuffer
  ) throws(Errno) {
    try lockToRead(directory)
    defer { directory.lock.unlock() }
    for position in first..<names.entries.count {
      let listed = names.entries[position]
      guard listed.isVisible else { continue }
      var fits = true
      names.withName(of: position) { bytes in
        guard let base = bytes.baseAddress else { return }
        fits = add(
          Name(unchecked: base, count: bytes.count), listed, next: Int64(position) + 3,
          of: directory, into: &listing)
      }
      if !fits { return }
    }
  }

  private func add(
    _ name: Name, _ listed: IndexEntry, next: Int64, of directory: Directory,
    into listing: inout DirectoryBuffer
  ) -> Bool {
    // The snapshot may be older than the directory: a name that went is listed as it was.
    guard let state = try? resolveName(directory, name),
      let entry = try? enter(directory, name, state)
    else {
      return listing.add(name.pointer, inode: listed.inode, type: listed.type, next: next)
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
