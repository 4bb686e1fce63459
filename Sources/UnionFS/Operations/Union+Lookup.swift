internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  func lookUp(parent: UInt64, name raw: CName, caller: Caller) throws(Errno) -> EntryReply {
    let directory = try directory(parent)
    if isDots(raw) { return try lookUpDots(directory, raw) }
    let name = try configuration.showsWhiteouts ? Name(orWhiteout: raw) : Name(raw)
    makeIndexIfSmall(directory)
    defer { makeIndexIfWorthIt(directory) }
    try lockToRead(directory)
    defer { directory.lock.unlock() }
    guard let state = try resolveName(directory, name) else { return Self.negative }
    do throws(Errno) { return try enter(directory, name, state) } catch {
      if error == .notThere { return Self.negative }
      throw error
    }
  }

  /// The kernel remembers that there is nothing.
  static var negative: EntryReply {
    EntryReply(node: 0, generation: 0, attributes: Attributes(), timeout: timeout)
  }

  func isDots(_ name: CName) -> Bool {
    name[0] == 0x2E && (name[1] == 0 || (name[1] == 0x2E && name[2] == 0))
  }

  /// `.` and `..` are asked for when the mount is exported by NFS.
  private func lookUpDots(_ directory: Directory, _ name: CName) throws(Errno) -> EntryReply {
    var target = directory
    if name[1] != 0, let (parent, _) = nodes.parent(of: directory.slot) { target = parent }
    let id = nodes.lock.whileLocked { () -> UInt64 in
      nodes.countLookup(target.slot)
      return nodes.currentID(target.slot)
    }
    do throws(Errno) {
      return EntryReply(
        node: target.isRoot ? 1 : id, generation: id >> 32,
        attributes: shown(try attributes(ofSlot: target.slot)), timeout: Self.timeout)
    } catch {
      forget(node: id, count: 1)
      throw error
    }
  }

  func forget(node: UInt64, count: UInt64) { nodes.forget(node, count: count) }

  // MARK: Attributes

  func attributes(of node: UInt64, caller: Caller) throws(Errno) -> AttributeReply {
    let slot = try slot(node)
    // Asked first: a handle that goes meanwhile leaves the shorter of the two.
    let timeout = attributeTimeout(slot)
    return AttributeReply(shown(try attributes(ofSlot: slot)), timeout: timeout)
  }

  func attributes(ofSlot slot: UInt32) throws(Errno) -> Attributes {
    do throws(Errno) {
      return try withPlace(slot) { place throws(Errno) in
        try attributes(ofSlot: slot, at: place)
      }
    } catch {
      guard error == .staleNFSFileHandle,
        let last = nodes.lock.whileLocked({ nodes.orphan(slot) })
      else { throw error }
      return last
    }
  }

  /// The attributes of what is at a place, as the union shows them, but for its owner's mapping.
  func attributes(ofSlot slot: UInt32, at place: Place) throws(Errno) -> Attributes {
    var attributes = try status(at: place)
    let (number, flags) = nodes.lock.whileLocked {
      (nodes.inode(slot), nodes.node(slot).pointee.flags)
    }
    attributes.inode = number
    if flags.contains(.unlinked) {
      attributes.linkCount = 0
    } else if flags.contains(.linked), let count = top?.area.inodes.linkCount(of: number) {
      attributes.linkCount = count
    } else if attributes.isDirectory {
      let directory = try nodes.lock.whileLocked { () throws(Errno) in
        try nodes.directory(at: slot)
      }
      attributes.linkCount = linkCount(directory, attributes)
    } else if !isWritable(place.branch) {
      attributes.linkCount = try visibleLinks(attributes, number)
    }
    return attributes
  }

  func readLink(
    _ node: UInt64, into buffer: UnsafeMutableBufferPointer<CChar>
  ) throws(Errno) -> Int {
    try withPlace(slot(node)) { place throws(Errno) in
      try FileSystemCall.readLink(at: place.directory, place.name, into: buffer)
    }
  }

  func fileSystemStatus() throws(Errno) -> FileSystemStatus {
    var status = try FileSystemCall.fileSystem(of: branches[0].root)
    if configuration.sumsFileSystems { try addLowerFileSystems(to: &status) }
    status.nameLimit = UInt64(nameLimit)
    return status
  }

  /// Each file system counts once, in the top one's blocks.
  private func addLowerFileSystems(to sum: inout FileSystemStatus) throws(Errno) {
    var seen: Set<UInt64> = [branches[0].rootAttributes.device]
    for branch in branches.branches where seen.insert(branch.rootAttributes.device).inserted {
      let status = try FileSystemCall.fileSystem(of: branch.root)
      let (unit, own) = (max(status.fragmentSize, 1), max(sum.fragmentSize, 1))
      func scaled(_ blocks: UInt64) -> UInt64 {
        let (bytes, isTooLarge) = blocks.multipliedReportingOverflow(by: unit)
        return isTooLarge ? blocks : bytes / own
      }
      sum.blocks &+= scaled(status.blocks)
      sum.blocksFree &+= scaled(status.blocksFree)
      sum.blocksAvailable &+= scaled(status.blocksAvailable)
      sum.files &+= status.files
      sum.filesFree &+= status.filesFree
    }
  }
}
