internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  /// A further name for a file. A lower file is copied up first.
  func link(
    node: UInt64, parent: UInt64, name: CName, caller: Caller
  ) throws(Errno) -> EntryReply {
    let slot = try slot(node)
    if kind(slot) == .directory { throw Errno.notPermitted }
    try self.directory(parent).checkMayAdd()
    try copyUp(slot)
    let top = try changing()
    let number = nodes.lock.whileLocked { nodes.inode(slot) }
    // The source's place is looked up before the target is locked: two directories are never locked
    // in the other order.
    let source = try sourceOfLink(slot)
    defer { if let owned = source.owned { FileSystemCall.close(owned) } }
    let entry = try makeName(
      parent: parent, name: name, caller: caller, mode: 0, isLink: true,
      make: { (target, name, _, _) throws(Errno) in
        if top.area.inodes.linkCount(of: number) != nil {
          try top.area.inodes.expectLinkCount(of: number)
        }
        if let owned = source.owned {
          try FileSystemCall.link(descriptor: owned, to: target, name.pointer)
        } else {
          try source.name.withUnsafeBufferPointer { buffer throws(Errno) in
            guard let base = buffer.baseAddress else { throw Errno.notThere }
            try FileSystemCall.link(
              at: source.directory, base, to: target, name.pointer)
          }
        }
        if let count = top.area.inodes.linkCount(of: number) {
          // The link is made: a record that cannot be written is made up for at the next mount.
          try? top.area.inodes.setLinkCount(of: number, to: count + 1)
        }
        self.nodes.lock.whileLocked { self.nodes.setLinked(slot) }
      },
      undo: { (target, name) throws(Errno) in
        try FileSystemCall.unlink(at: target, name.pointer)
        if let count = top.area.inodes.linkCount(of: number), count > 1 {
          try top.area.inodes.setLinkCount(of: number, to: count - 1)
        }
      })
    return entry
  }

  private struct LinkSource {
    var directory: CInt = -1
    var name: [CChar] = []
    var held: DirectoryDescriptor?
    /// For a file without a name: a descriptor of its own, to be closed.
    var owned: CInt?
  }

  private func sourceOfLink(_ slot: UInt32) throws(Errno) -> LinkSource {
    try withPlace(slot) { place throws(Errno) in
      if place.isUnnamed {
        return LinkSource(
          owned: try FileSystemCall.open(
            at: -100, "/proc/self/fd/\(place.directory)", OpenFlag.path))
      }
      return LinkSource(
        directory: place.directory, name: Array(cString: place.name), held: place.held)
    }
  }
}
