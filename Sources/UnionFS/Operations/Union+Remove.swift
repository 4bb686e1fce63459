internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Taking names away. Where a lower branch would show the name, the whiteout comes first: a crash in
// between leaves the entry, which wins. One of overlayfs takes the entry's place in the same step.

extension Union {
  func unlink(parent: UInt64, name raw: CName, caller: Caller) throws(Errno) {
    let top = try changing()
    readAhead.didRemove()
    let name = try Name(raw)
    let directory = try directory(parent)
    try directory.checkMayRemove()
    try ensureOnTopToRemove(directory, name)
    try lockToWrite(directory)
    defer { directory.lock.unlock() }
    let state = try nameState(directory, name)
    guard let branch = state.branch else { throw Errno.notThere }
    if state.kind == .directory { throw Errno.isDirectory }
    let target = try topDescriptor(directory)
    let place = branch == 0 ? target : try descriptor(directory, branch)
    let attributes = try status(at: place.raw, name.pointer, in: branch)
    if attributes.isDirectory { throw Errno.isDirectory }
    if attributes.isProtected { throw Errno.notPermitted }
    let leaving = leaving(place, branch, attributes)
    if let counted = leaving.counted { try top.area.inodes.expectLinkCount(of: counted) }
    try top.area.inodes.whileForgetting(top: leaving.forgotten) { () throws(Errno) in
      if replaces(state, top) {
        try replacing(in: target.raw, top) { () throws(Errno) in
          try top.whiteouts.replace(name, in: target.raw)
        }
      } else {
        try hiding(name, state, in: target.raw, top) { () throws(Errno) in
          if branch == 0 { try FileSystemCall.unlink(at: target.raw, name.pointer) }
        }
      }
    }
    directory.index?.hide(name, whiteouts: whiteouts(afterHiding: state, top))
    didUnlink(directory, name, leaving)
  }

  /// A directory has to be on top for a whiteout.
  private func ensureOnTopToRemove(_ directory: Directory, _ name: Name) throws(Errno) {
    try lockToRead(directory)
    let isOnTop = directory.isOnTop
    let exists: Bool
    do throws(Errno) {
      exists = isOnTop ? true : try nameState(directory, name).isVisible
    } catch {
      directory.lock.unlock()
      throw error
    }
    directory.lock.unlock()
    guard exists else { throw Errno.notThere }
    if !isOnTop { try ensureOnTop(directory) }
  }

  /// Whites a name out where a lower branch shows it, then does the destructive step; a failing step
  /// takes the whiteout back.
  func hiding(
    _ name: Name, _ state: NameState, in target: CInt, _ top: Top,
    _ body: () throws(Errno) -> Void
  ) throws(Errno) {
    let hides = state.lowerShows && !state.hasTopWhiteout
    try hiddenLinks.whileChanging { () throws(Errno) in
      if hides { try top.whiteouts.hide(name, in: target) }
      do throws(Errno) { try body() } catch {
        if hides { try? top.whiteouts.show(name, in: target) }
        throw error
      }
    }
    if hides && top.copyUp.flushing == .everything { try top.copyUp.syncDirectory(target) }
  }

  /// Whether a name's whiteout takes the place of its entry on the top branch.
  func replaces(_ state: NameState, _ top: Top) -> Bool {
    top.whiteouts.format == .overlay && state.isOnTop && state.lowerShows && !state.hasTopWhiteout
  }

  /// Does what hides a name and takes its entry away in one step.
  func replacing(
    in target: CInt, _ top: Top, _ body: () throws(Errno) -> Void
  ) throws(Errno) {
    try hiddenLinks.whileChanging(body)
    if top.copyUp.flushing == .everything { try top.copyUp.syncDirectory(target) }
  }

  /// What the top branch holds of a name that was hidden.
  func whiteouts(afterHiding state: NameState, _ top: Top) -> WhiteoutForms {
    guard state.lowerShows else { return [] }
    return state.hasTopWhiteout ? state.topWhiteouts : top.whiteouts.format.form
  }

  /// What is to be known of a file that is about to lose a name.
  struct Leaving {
    /// The directory that holds it on disk.
    var place: DirectoryDescriptor
    var branch: UInt16
    var found: Attributes
    /// The number that the union shows.
    var number: UInt64
    /// The number under which the table counts its names; nil where its own link count holds.
    var counted: UInt64?
    /// The names that are left then.
    var left: UInt64
    /// The file where no name of the top branch is left, so that its number is kept no longer.
    var forgotten: Attributes? {
      branch == 0 && (found.isDirectory || found.linkCount == 1 || left == 0) ? found : nil
    }
  }

  func leaving(
    _ place: DirectoryDescriptor, _ branch: UInt16, _ found: Attributes
  ) -> Leaving {
    var number = numbers.number(branch: Int(branch), device: found.device, inode: found.inode)
    if branch == 0, let kept = top?.area.inodes.number(ofTop: found) { number = kept }
    var leaving = Leaving(
      place: place, branch: branch, found: found, number: number,
      left: max(found.linkCount, 1) - 1)
    guard let top, !found.isDirectory else { return leaving }
    if let count = top.area.inodes.linkCount(of: number) {
      leaving.counted = number
      leaving.left = max(count, 1) - 1
    } else if branch != 0 && found.linkCount > 1 {
      leaving.counted = number
      // The name was looked up before, so what is hidden is known; it is not found out in a change.
      let shown = hiddenLinks.isKnown ? try? visibleLinks(found, number) : nil
      leaving.left = max(shown ?? found.linkCount, 1) - 1
    }
    return leaving
  }

  /// Bookkeeping after a non-directory lost a name: link counts, and the attributes that a nameless file
  /// keeps.
  func didUnlink(_ directory: Directory, _ name: Name, _ leaving: Leaving) {
    guard let top else { return }
    if let counted = leaving.counted {
      try? top.area.inodes.setLinkCount(of: counted, to: leaving.left)
      if leaving.left == 0 {
        if let copy = try? pseudoAttributes(counted) { top.area.inodes.forget(top: copy) }
        try? top.pseudoLinks.remove(counted)
      }
    }
    var attributes = leaving.found
    attributes.inode = leaving.number
    attributes.linkCount = leaving.left
    nodes.didUnlink(
      directory.slot, name, left: leaving.left, attributes,
      former: leaving.branch == 0 ? nil : (leaving.place, leaving.branch))
  }

  func removeDirectory(parent: UInt64, name raw: CName, caller: Caller) throws(Errno) {
    let top = try changing()
    readAhead.didRemove()
    let name = try Name(raw)
    let directory = try directory(parent)
    try directory.checkMayRemove()
    try ensureOnTopToRemove(directory, name)
    // The directory itself, as a node of its own for the time of this request.
    let entry = try lookUp(parent: parent, name: name.pointer, caller: caller)
    guard entry.node != 0 else { throw Errno.notThere }
    if entry.attributes.isProtected {
      forget(node: entry.node, count: 1)
      throw Errno.notPermitted
    }
    defer { forget(node: entry.node, count: 1) }
    let removed = try self.directory(entry.node)
    try lockToWrite(directory)
    defer { directory.lock.unlock() }
    let state = try nameState(directory, name)
    guard let branch = state.branch, nodes.isChild(removed.slot, of: directory.slot) else {
      throw Errno.notThere
    }
    try lockToWrite(removed)
    defer { removed.lock.unlock() }
    // One that is on the top branch only is tried first and looked into only where that fails.
    let isReplaced = replaces(state, top)
    let isPure =
      removed.index == nil && removed.isOnTop && removed.branches.count == 1 && !isReplaced
    let target = try topDescriptor(directory)
    if !isPure { try checkEmpty(removed, target.raw, name) }
    let place = branch == 0 ? target : try descriptor(directory, branch)
    let attributes = try status(at: place.raw, name.pointer, in: branch)
    // Held open, so that a process that is still inside sees it.
    _ = try descriptor(removed, branch)
    let forgotten = branch == 0 ? attributes : nil
    try top.area.inodes.whileForgetting(top: forgotten) { () throws(Errno) in
      if isReplaced {
        try replacing(in: target.raw, top) { () throws(Errno) in
          try prepareToMove(target.raw, name)
          try top.whiteouts.replaceDirectory(name, in: target.raw)
        }
      } else {
        try hiding(name, state, in: target.raw, top) { () throws(Errno) in
          if branch == 0 { try removeEmptied(removed, target.raw, name, top) }
        }
      }
    }
    directory.index?.hide(name, whiteouts: whiteouts(afterHiding: state, top))
    didRemove(removed, directory, name, attributes)
  }

  /// ENOTEMPTY where a directory, locked to write, shows a name. An unprivileged server may have to
  /// give itself the right to look inside.
  private func checkEmpty(_ directory: Directory, _ parent: CInt, _ name: Name) throws(Errno) {
    if directory.index == nil && directory.isOnTop && !overridesModes {
      let mode = try FileSystemCall.status(at: parent, name.pointer).permissions
      if mode & 0o500 != 0o500 {
        try FileSystemCall.changeMode(at: parent, name.pointer, mode | 0o700)
      }
      defer {
        if mode & 0o500 != 0o500 {
          try? FileSystemCall.changeMode(at: parent, name.pointer, mode)
        }
      }
      try makeIndex(directory)
    } else {
      try makeIndex(directory)
    }
    guard directory.index?.isEmpty ?? true else { throw Errno.directoryNotEmpty }
  }

  /// Removes a directory of the top branch that shows nothing. One that holds whiteouts is moved out
  /// of the view in one step.
  private func removeEmptied(
    _ removed: Directory, _ target: CInt, _ name: Name, _ top: Top
  ) throws(Errno) {
    do throws(Errno) {
      try FileSystemCall.removeDirectory(at: target, name.pointer)
    } catch {
      guard error == .directoryNotEmpty || error == .fileExists else { throw error }
      try checkEmpty(removed, target, name)
      try prepareToMove(target, name)
      do throws(Errno) { try top.area.discardDirectory(at: target, name.pointer) } catch {
        guard error == .improperLink else { throw error }
        // On a file system that is mounted inside the branch it is emptied in its place: with the
        // whiteout of its name nothing below shows in it.
        try emptyOfMarkers(target, name)
        try FileSystemCall.removeDirectory(at: target, name.pointer)
      }
    }
  }

  /// Moving a directory changes its `..`, and what is in it has to go.
  private func prepareToMove(_ target: CInt, _ name: Name) throws(Errno) {
    if overridesModes { return }
    let mode = try FileSystemCall.status(at: target, name.pointer).permissions
    if mode & 0o700 != 0o700 {
      try FileSystemCall.changeMode(at: target, name.pointer, mode | 0o700)
    }
  }

  /// Bookkeeping after a directory is gone. Both are locked.
  func didRemove(
    _ removed: Directory, _ parent: Directory, _ name: Name, _ found: Attributes
  ) {
    removed.isRemoved = true
    removed.index = NameIndex()
    var attributes = found
    attributes.linkCount = 0
    attributes.inode = nodes.lock.whileLocked { nodes.inode(removed.slot) }
    nodes.didUnlink(parent.slot, name, left: 0, attributes)
  }
}

extension NodeTable {
  /// A name is gone; without any left, the node keeps its last attributes. Takes the lock.
  ///
  /// - Parameter former: where a lower branch holds the file still.
  func didUnlink(
    _ parent: UInt32, _ name: Name, left: UInt64, _ attributes: Attributes,
    former: (DirectoryDescriptor, UInt16)? = nil
  ) {
    lock.lock()
    defer { lock.unlock() }
    let index = find(parent, name, hash: name.hash)
    guard index != 0 else { return }
    let slot = node(named: index)
    unlink(index)
    if let former, !hasName(slot), let file = openFile(slot) {
      file.former = FormerPlace(
        directory: former.0, name: Array(name.bytes) + [0], branch: former.1)
    }
    if !hasName(slot) && left == 0 {
      setUnlinked(slot)
      setOrphan(slot, attributes)
    }
  }
}
