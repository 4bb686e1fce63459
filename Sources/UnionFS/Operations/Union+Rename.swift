internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Renaming. What is renamed is brought to the top branch first; then the steps, each of which leaves
// either the old view or the new one:
//   1. the source's whiteout, where a lower branch shows the source (the entry still wins); one of
//      overlayfs comes with 4., by RENAME_WHITEOUT or as what changes places;
//   2. a moved directory is made opaque where a lower one stands at the target;
//   3. a replaced empty directory is emptied on disk behind a whiteout of its own name;
//   4. one renameat2; a directory changes places with a whiteout of overlayfs, which has the target's name;
//   5. the target's whiteout goes (the entry wins already), or what changed places with the directory.

extension Union {
  /// One side of a rename.
  struct Side {
    var directory: Directory
    var name: Name
    /// The node of the name, 0 where it is not known.
    var slot: UInt32 = 0
  }

  func rename(
    parent: UInt64, name: CName, newParent: UInt64, newName: CName, flags: UInt32, caller: Caller
  ) throws(Errno) {
    let exchanges = flags & FileSystemCall.RenameFlag.exchange != 0
    let known = FileSystemCall.RenameFlag.noReplace | FileSystemCall.RenameFlag.exchange
    if flags & ~known != 0 || flags == known { throw Errno.invalidArgument }
    _ = try changing()
    var from = Side(directory: try directory(parent), name: try Name(name))
    var to = Side(directory: try directory(newParent), name: try Name(newName))
    let source = try hold(&from, caller)
    defer { letGo(from) }
    let target = try hold(&to, caller)
    defer { letGo(to) }
    guard from.slot != 0 else { throw Errno.notThere }
    // Names of one file: nothing to do, as rename(2) says.
    if from.slot == to.slot { return }
    if source.isProtected || target.isProtected { throw Errno.notPermitted }
    try from.directory.checkMayRemove()
    if exchanges || to.slot != 0 {
      try to.directory.checkMayRemove()
    } else {
      try to.directory.checkMayAdd()
    }
    try checkEarly(source, to, target, exchanges: exchanges, noReplace: flags == 1)
    try bringToTop(from, source)
    if exchanges { try bringToTop(to, target) }
    try ensureOnTop(to.directory)
    let isAcross = from.directory !== to.directory
    if isAcross { renameLock.lock() }
    defer { if isAcross { renameLock.unlock() } }
    try lockBoth(from.directory, to.directory)
    defer { unlockBoth(from.directory, to.directory) }
    if exchanges {
      try exchange(from, to)
    } else {
      try move(from, to, noReplace: flags != 0)
    }
  }

  /// Looks a side up and holds its node until `letGo`.
  private func hold(_ side: inout Side, _ caller: Caller) throws(Errno) -> Attributes {
    let parent = nodes.id(side.directory.slot)
    let entry = try lookUp(parent: parent, name: side.name.pointer, caller: caller)
    side.slot = UInt32(truncatingIfNeeded: entry.node)
    return entry.attributes
  }

  /// What will fail fails before anything is brought to the top branch; it is checked again under the
  /// locks.
  private func checkEarly(
    _ source: Attributes, _ to: Side, _ target: Attributes, exchanges: Bool, noReplace: Bool
  ) throws(Errno) {
    guard to.slot != 0 else {
      if exchanges { throw Errno.notThere }
      return
    }
    if noReplace { throw Errno.fileExists }
    if exchanges { return }
    if source.isDirectory && !target.isDirectory { throw Errno.notDirectory }
    if !source.isDirectory && target.isDirectory { throw Errno.isDirectory }
    guard target.isDirectory else { return }
    let replaced = try directoryNode(to.slot)
    try lockToList(replaced)
    defer { replaced.lock.unlock() }
    guard replaced.index?.isEmpty ?? true else { throw Errno.directoryNotEmpty }
  }

  private func letGo(_ side: Side) {
    guard side.slot != 0 else { return }
    forget(node: nodes.id(side.slot), count: 1)
  }

  /// A source must be whole on the top branch, under its own name.
  private func bringToTop(_ side: Side, _ attributes: Attributes) throws(Errno) {
    if attributes.isDirectory {
      let directory = try nodes.lock.whileLocked { () throws(Errno) in
        try nodes.directory(at: side.slot)
      }
      try lockToRead(directory)
      let isPure = directory.branches.count == 1 && directory.isOnTop
      directory.lock.unlock()
      if isPure { return }
      if configuration.directoryRename == .exdev { throw Errno.improperLink }
      try materialise(directory)
    } else {
      try copyUp(side.slot)
      try ensureName(side.directory, side.name, side.slot)
    }
  }

  // MARK: Locks

  /// Two directories: an ancestor before its descendant, else by slot. `renameLock` is held.
  private func lockBoth(_ a: Directory, _ b: Directory) throws(Errno) {
    if a === b { return try lockToWrite(a) }
    let (first, second) = inOrder(a, b)
    try lockToWrite(first)
    do throws(Errno) { try lockToWrite(second) } catch {
      first.lock.unlock()
      throw error
    }
  }

  private func unlockBoth(_ a: Directory, _ b: Directory) {
    a.lock.unlock()
    if a !== b { b.lock.unlock() }
  }

  private func inOrder(_ a: Directory, _ b: Directory) -> (Directory, Directory) {
    if isAncestor(a, of: b) { return (a, b) }
    if isAncestor(b, of: a) { return (b, a) }
    return a.slot < b.slot ? (a, b) : (b, a)
  }

  func isAncestor(_ directory: Directory, of other: Directory) -> Bool {
    var current = other
    while let (parent, _) = nodes.parent(of: current.slot) {
      if parent === directory { return true }
      current = parent
    }
    return false
  }

  // MARK: The steps

  private func move(_ from: Side, _ to: Side, noReplace: Bool) throws(Errno) {
    let top = try changing()
    let source = try nameState(from.directory, from.name)
    let target = try nameState(to.directory, to.name)
    guard source.isOnTop else { throw Errno.notThere }
    if to.directory.isRemoved { throw Errno.notThere }
    if target.isVisible && noReplace { throw Errno.fileExists }
    try checkTypes(source, target)
    let moved = source.kind == .directory ? try directoryNode(from.slot) : nil
    let replaced = target.kind == .directory ? try directoryNode(to.slot) : nil
    if let moved, moved === to.directory || isAncestor(moved, of: to.directory) {
      throw Errno.invalidArgument
    }
    if let replaced { try lockEmpty(replaced) }
    defer { replaced?.lock.unlock() }
    if let moved { try lockToWrite(moved) }
    defer { moved?.lock.unlock() }

    if moved != nil || target.hasTopWhiteout { try top.area.inodes.expectMarkers() }
    let fromTop = try topDescriptor(from.directory)
    let toTop = try topDescriptor(to.directory)
    let old = try attributesOfTarget(to, target)
    let lost = old.map { leaving($0.1, $0.2, $0.0) }
    if let counted = lost?.counted { try top.area.inodes.expectLinkCount(of: counted) }
    let before = try moved.map { (moved) throws(Errno) in
      try makeOpaqueToMove(moved, at: from, over: target, top)
    }
    do throws(Errno) {
      try top.area.inodes.whileForgetting(top: lost?.forgotten) { () throws(Errno) in
        try leaving(from.name, source, in: fromTop.raw, top) { () throws(Errno) in
          if replaced != nil && target.isOnTop { try emptyOnDisk(to, target, toTop.raw, top) }
          if let old, old.0.isRegular, old.0.linkCount == 1 { holdReplaced(to, old.1, old.2) }
          let isOver = moved != nil && target.topWhiteouts.contains(.overlay)
          let leaves = replaces(source, top)
          let flags =
            isOver
            ? FileSystemCall.RenameFlag.exchange
            : leaves ? FileSystemCall.RenameFlag.whiteout : 0
          try renameOnDisk(from, to, fromTop, toTop, isDirectory: moved != nil, flags: flags) {
            () throws(Errno) in
            if isOver && !leaves { try removeExchanged(from, to, fromTop, toTop) }
            didMove(from, to, source, target, replaced, lost)
          }
        }
      }
    } catch {
      if before == true, let moved { try? unmakeOpaque(moved) }
      throw error
    }
    // The entry wins over the whiteout already; one that cannot be removed is only needless.
    let wasEmptied =
      top.whiteouts.format == .aufs && replaced != nil && target.isOnTop && target.lowerShows
    if target.topWhiteouts.contains(.aufs) || wasEmptied {
      try? hiddenLinks.whileChanging { () throws(Errno) in
        try top.whiteouts.show(to.name, in: toTop.raw)
      }
    }
    if top.copyUp.flushing == .everything {
      try top.copyUp.syncDirectory(fromTop.raw)
      if to.directory !== from.directory { try top.copyUp.syncDirectory(toTop.raw) }
    }
    if let moved { settle(moved, wasOver: source, isOver: target) }
  }

  private func checkTypes(_ source: NameState, _ target: NameState) throws(Errno) {
    guard target.isVisible else { return }
    if source.kind == .directory && target.kind != .directory { throw Errno.notDirectory }
    if source.kind != .directory && target.kind == .directory { throw Errno.isDirectory }
  }

  private func directoryNode(_ slot: UInt32) throws(Errno) -> Directory {
    try nodes.lock.whileLocked { () throws(Errno) in try nodes.directory(at: slot) }
  }

  /// Locks a directory that must show nothing.
  private func lockEmpty(_ directory: Directory) throws(Errno) {
    try lockToWrite(directory)
    do throws(Errno) {
      try makeIndex(directory)
      guard directory.index?.isEmpty ?? true else { throw Errno.directoryNotEmpty }
    } catch {
      directory.lock.unlock()
      throw error
    }
  }

  private func attributesOfTarget(
    _ to: Side, _ target: NameState
  ) throws(Errno) -> (Attributes, DirectoryDescriptor, UInt16)? {
    guard let branch = target.branch else { return nil }
    let place = try descriptor(to.directory, branch)
    return (try status(at: place.raw, to.name.pointer, in: branch), place, branch)
  }

  /// A moved directory that would merge with a lower one at its new name is made opaque. Whether it
  /// was not so before.
  private func makeOpaqueToMove(
    _ moved: Directory, at from: Side, over target: NameState, _ top: Top
  ) throws(Errno) -> Bool {
    guard target.lowerKind == .directory else { return false }
    let own = try topDescriptor(moved)
    if try isOpaque(own.raw) { return false }
    try keepingTimes(of: own.raw) { () throws(Errno) in try top.whiteouts.makeOpaque(own.raw) }
    return true
  }

  private func unmakeOpaque(_ directory: Directory) throws(Errno) {
    let own = try topDescriptor(directory)
    guard let top else { return }
    try keepingTimes(of: own.raw) { () throws(Errno) in try top.whiteouts.unmakeOpaque(own.raw) }
  }

  /// A file that is replaced stays readable for whoever has looked it up and opens it next: its
  /// content is kept open until the kernel forgets the node.
  ///
  /// A directory's lock is held here and an open file's lock comes before it, so one that is busy is
  /// left alone: a copy-up in progress holds the content itself.
  private func holdReplaced(_ to: Side, _ held: DirectoryDescriptor, _ branch: UInt16) {
    let slot = to.slot
    let file = openFile(slot)
    guard file.lock.tryLock() else { return letGo(file, slot) }
    defer { file.lock.unlock() }
    guard file.descriptor.load(ordering: .relaxed) < 0 else { return }
    do throws(Errno) {
      let opened = try openContent(
        Place(directory: held.raw, name: to.name.pointer, branch: branch, held: held),
        write: false)
      try file.adopt(opened.descriptor, readable: true, writable: false)
    } catch {
      // Unreadable for this server: nobody else will read it through it either.
      letGo(file, slot)
    }
  }

  /// Makes a source's whiteout before what takes it away, unless it comes in the same step.
  private func leaving(
    _ name: Name, _ source: NameState, in directory: CInt, _ top: Top,
    _ body: () throws(Errno) -> Void
  ) throws(Errno) {
    guard replaces(source, top) else { return try hiding(name, source, in: directory, top, body) }
    try hiddenLinks.whileChanging(body)
  }

  /// An empty directory of the top branch may hold whiteouts, over which rename(2) does not go. With
  /// a whiteout of its own name, or opaque, nothing below shows in it, and they can go.
  private func emptyOnDisk(
    _ to: Side, _ target: NameState, _ directory: CInt, _ top: Top
  ) throws(Errno) {
    let marks = top.whiteouts.format == .overlay && target.lowerShows
    if target.lowerShows && !target.hasTopWhiteout && !marks {
      try top.whiteouts.hide(to.name, in: directory)
    }
    let inside = try FileSystemCall.open(
      at: directory, to.name.pointer, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
    defer { FileSystemCall.close(inside) }
    if marks { try top.whiteouts.makeOpaque(inside) }
    try removeMarkers(in: inside, keepsMark: marks)
  }

  /// renameat2; where a directory moves, with the tree's lock, so that nobody walks along a name that
  /// is neither here nor there.
  private func renameOnDisk(
    _ from: Side, _ to: Side, _ fromTop: DirectoryDescriptor, _ toTop: DirectoryDescriptor,
    isDirectory: Bool, flags: UInt32, _ update: () throws(Errno) -> Void
  ) throws(Errno) {
    if isDirectory { treeLock.lockToWrite() }
    defer { if isDirectory { treeLock.unlock() } }
    try FileSystemCall.rename(
      at: fromTop.raw, from.name.pointer, to: toTop.raw, to.name.pointer, flags: flags)
    try update()
  }

  /// Removes a whiteout of overlayfs that has changed places with a directory; where that fails they change
  /// back.
  private func removeExchanged(
    _ from: Side, _ to: Side, _ fromTop: DirectoryDescriptor, _ toTop: DirectoryDescriptor
  ) throws(Errno) {
    do throws(Errno) { try FileSystemCall.unlink(at: fromTop.raw, from.name.pointer) } catch {
      try? FileSystemCall.rename(
        at: fromTop.raw, from.name.pointer, to: toTop.raw, to.name.pointer,
        flags: FileSystemCall.RenameFlag.exchange)
      throw error
    }
  }

  private func didMove(
    _ from: Side, _ to: Side, _ source: NameState, _ target: NameState,
    _ replaced: Directory?, _ lost: Leaving?
  ) {
    if let lost {
      if let replaced {
        didRemove(replaced, to.directory, to.name, lost.found)
      } else {
        didUnlink(to.directory, to.name, lost)
      }
    }
    nodes.move(
      from.slot, from: from.directory.slot, from.name, to: to.directory.slot, to.name)
    let number = nodes.lock.whileLocked { nodes.inode(from.slot) }
    if let top {
      from.directory.index?.hide(from.name, whiteouts: whiteouts(afterHiding: source, top))
    }
    to.directory.index?.setTop(to.name, type: source.kind, inode: number, branches: [0])
  }

  // MARK: Exchange

  private func exchange(_ from: Side, _ to: Side) throws(Errno) {
    let top = try changing()
    let one = try nameState(from.directory, from.name)
    let other = try nameState(to.directory, to.name)
    guard one.isOnTop, other.isOnTop else { throw Errno.notThere }
    // Both are children of locked directories; where one is the other's, the check below refuses.
    let first = one.kind == .directory ? try directoryNode(from.slot) : nil
    let second = other.kind == .directory ? try directoryNode(to.slot) : nil
    for (directory, parent) in [(first, to.directory), (second, from.directory)] {
      if let directory, directory === parent || isAncestor(directory, of: parent) {
        throw Errno.invalidArgument
      }
    }
    if let first { try lockToWrite(first) }
    defer { first?.lock.unlock() }
    if let second { try lockToWrite(second) }
    defer { second?.lock.unlock() }
    var opaque: [Directory] = []
    if first != nil || second != nil { try top.area.inodes.expectMarkers() }
    do throws(Errno) {
      if let first, try makeOpaqueToMove(first, at: from, over: other, top) { opaque.append(first) }
      if let second, try makeOpaqueToMove(second, at: to, over: one, top) { opaque.append(second) }
      let fromTop = try topDescriptor(from.directory)
      let toTop = try topDescriptor(to.directory)
      try hiddenLinks.whileChanging { () throws(Errno) in
        try renameOnDisk(
          from, to, fromTop, toTop, isDirectory: first != nil || second != nil,
          flags: FileSystemCall.RenameFlag.exchange
        ) { didExchange(from, to, one, other) }
      }
      if top.copyUp.flushing == .everything {
        try top.copyUp.syncDirectory(fromTop.raw)
        try top.copyUp.syncDirectory(toTop.raw)
      }
    } catch {
      for directory in opaque { try? unmakeOpaque(directory) }
      throw error
    }
    if let first { settle(first, wasOver: one, isOver: other) }
    if let second { settle(second, wasOver: other, isOver: one) }
  }

  private func didExchange(_ from: Side, _ to: Side, _ one: NameState, _ other: NameState) {
    nodes.exchange(from.directory.slot, from.name, to.directory.slot, to.name)
    let (first, second) = nodes.lock.whileLocked {
      (nodes.inode(from.slot), nodes.inode(to.slot))
    }
    from.directory.index?.setTop(from.name, type: other.kind, inode: second, branches: [0])
    to.directory.index?.setTop(to.name, type: one.kind, inode: first, branches: [0])
  }
}

extension NodeTable {
  /// Moves one name of a node. Takes the lock.
  func move(_ slot: UInt32, from: UInt32, _ name: Name, to: UInt32, _ newName: Name) {
    lock.lock()
    defer { lock.unlock() }
    let record = find(from, name, hash: name.hash)
    if record != 0 && node(named: record) == slot { unlink(record) }
    link(to, newName, hash: newName.hash, to: slot)
  }

  /// Swaps the nodes of two names. Takes the lock.
  func exchange(_ from: UInt32, _ name: Name, _ to: UInt32, _ newName: Name) {
    lock.lock()
    defer { lock.unlock() }
    let one = find(from, name, hash: name.hash)
    let other = find(to, newName, hash: newName.hash)
    guard one != 0, other != 0 else { return }
    let (first, second) = (node(named: one), node(named: other))
    unlink(one)
    // Of one file's two names, the other may have another record by now.
    unlink(find(to, newName, hash: newName.hash))
    link(to, newName, hash: newName.hash, to: first)
    link(from, name, hash: name.hash, to: second)
  }
}
