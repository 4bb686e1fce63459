internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// From a name on disk to a node that the kernel knows.

extension Union {
  /// What makes a file one and the same over its names.
  struct Identity {
    var number: UInt64
    /// Other names share it.
    var isLinked = false
    /// Its content lies under `.wh..wh.plnk`.
    var isPseudoLinked = false
  }

  /// The number that the union shows for what is found at a name, and whether it has other names.
  /// The attributes are corrected: number, link count, and all of them for a hard-linked file whose
  /// copy lies elsewhere.
  func identify(
    _ attributes: inout Attributes, branch: UInt16, at place: CInt, _ name: CName
  ) throws(Errno) -> Identity {
    var identity = Identity(
      number: numbers.number(
        branch: Int(branch), device: attributes.device, inode: attributes.inode))
    if isWritable(branch), let top,
      let kept = top.area.inodes.number(ofTop: attributes, isThere: true)
    {
      identity.number = kept
    }
    if attributes.linkCount > 1 && !attributes.isDirectory {
      try countLinks(&attributes, &identity, branch)
    }
    attributes.inode = identity.number
    return identity
  }

  /// A file that has several names in its branch: how many the view shows, and where its copy is.
  private func countLinks(
    _ attributes: inout Attributes, _ identity: inout Identity, _ branch: UInt16
  ) throws(Errno) {
    if let top {
      identity.isPseudoLinked = top.pseudoLinks.contains(identity.number)
      if identity.isPseudoLinked && branch != 0 {
        attributes = try pseudoAttributes(identity.number)
      }
      if let count = top.area.inodes.linkCount(of: identity.number) {
        attributes.linkCount = count
        identity.isLinked = true
        return
      }
    }
    if branch != 0 { attributes.linkCount = try visibleLinks(attributes, identity.number) }
    identity.isLinked = attributes.linkCount > 1
  }

  /// How many names of a hard-linked lower file show, before this program has hidden any.
  func visibleLinks(_ found: Attributes, _ number: UInt64) throws(Errno) -> UInt64 {
    guard found.linkCount > 1 else { return found.linkCount }
    if !hiddenLinks.isKnown { Session.willBlock() }
    return max(found.linkCount - min(try hiddenLinks.count(of: number), found.linkCount), 1)
  }

  /// The attributes of a hard-linked file's copy.
  func pseudoAttributes(_ number: UInt64) throws(Errno) -> Attributes {
    let links = try changing().pseudoLinks
    let directory = try links.directory()
    return try links.withName(of: number) { name throws(Errno) in
      try status(at: directory, name, in: 0)
    }
  }

  /// The reply for a name that is there: a node that is known, or a new one, counted as looked up
  /// once. The directory is locked.
  func enter(
    _ directory: Directory, _ name: Name, _ state: NameState
  ) throws(Errno) -> EntryReply {
    guard let branch = state.branch else { throw Errno.notThere }
    let place = try descriptor(directory, branch)
    var attributes = try FileSystemCall.status(at: place.raw, name.pointer)
    let holder = self.branch(branch)
    // In a directory of one branch this is the first look at the name.
    if attributes.isOverlayWhiteout, holder.honoursWhiteouts { throw Errno.notThere }
    try holder.checkContent(attributes, at: place.raw, name.pointer)
    try tell(&attributes, at: place.raw, name.pointer, in: branch)
    let identity = try identify(&attributes, branch: branch, at: place.raw, name.pointer)
    return enter(directory, name, state, identity, attributes)
  }

  /// The same with attributes that were read, and corrected, before.
  func enter(
    _ directory: Directory, _ name: Name, _ state: NameState, _ identity: Identity,
    _ found: Attributes
  ) -> EntryReply {
    var attributes = found
    let hash = name.hash
    let kind = attributes.type
    nodes.lock.lock()
    defer { nodes.lock.unlock() }
    let slot =
      nodes.known(directory.slot, name, hash: hash, identity, kind)
      ?? makeNode(directory, name, hash: hash, state, identity, kind)
    let node = nodes.node(slot)
    nodes.countLookup(slot)
    if kind == .directory, let known = try? nodes.directory(at: slot) {
      attributes.linkCount = linkCount(known, attributes)
      known.protection = Protection(attributes)
    }
    var reply = EntryReply(
      node: nodes.currentID(slot),
      generation: UInt64(node.pointee.generation), attributes: shown(attributes),
      timeout: Self.timeout)
    reply.attributeTimeout = nodes.attributeTimeout(slot)
    return reply
  }

  /// A new node with its first name. Under the node table's lock.
  private func makeNode(
    _ directory: Directory, _ name: Name, hash: UInt32, _ state: NameState, _ identity: Identity,
    _ kind: FileKind
  ) -> UInt32 {
    let slot = nodes.makeNode(
      inode: identity.number, kind: kind,
      branch: identity.isPseudoLinked ? 0 : state.branch ?? 0,
      flags: identity.isPseudoLinked ? .pseudoLinked : [])
    if kind == .directory {
      let branches = state.branches.isEmpty ? [state.branch ?? 0] : state.branches
      let made = Directory(
        slot: slot, branches: branches, isResolved: branches.count == 1, cache: descriptors)
      nodes.setExtra(slot, Unmanaged.passRetained(made).toOpaque())
    }
    nodes.link(directory.slot, name, hash: hash, to: slot)
    if identity.isLinked { nodes.setLinked(slot) }
    return slot
  }

  /// 2 and the visible subdirectories where that is known, else what one branch says, else 1, which
  /// tools take for "unknown". Reads the directory's fields without its lock: the worst is a count
  /// that was true a moment ago.
  func linkCount(_ directory: Directory, _ attributes: Attributes) -> UInt64 {
    let isUnknown =
      configuration.directoriesHaveOneLink || directory.isMerged.load(ordering: .relaxed)
    return isUnknown ? 1 : attributes.linkCount
  }
}

extension NodeTable {
  /// The node of a name, if it stands for the same file still; a linked file is found by its number.
  /// Under the lock.
  fileprivate func known(
    _ parent: UInt32, _ name: Name, hash: UInt32, _ identity: Union.Identity, _ kind: FileKind
  ) -> UInt32? {
    let record = find(parent, name, hash: hash)
    if record != 0 {
      let slot = node(named: record)
      let node = node(slot)
      if inode(slot) == identity.number && node.pointee.kind == kind {
        if identity.isLinked && !node.pointee.flags.contains(.linked) { setLinked(slot) }
        return slot
      }
      // Another file has the name by now (a branch was changed behind the union's back).
      unlink(record)
    }
    guard let slot = linkedNode(identity.number), node(slot).pointee.kind == kind else {
      return nil
    }
    // One link may be left, the others having gone while something has the file open. A node that has a
    // name still is another file, which is being removed: its inode has come again already.
    guard identity.isLinked || !hasName(slot) else { return nil }
    link(parent, name, hash: hash, to: slot)
    return slot
  }
}
