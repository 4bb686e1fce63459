internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Bringing what is to be changed to the top branch.

extension Union {
  // MARK: Directories

  /// Makes sure that a directory, and so each above it, is on the top branch. Not locked by the
  /// caller.
  func ensureOnTop(_ directory: Directory) throws(Errno) {
    _ = try changing()
    // From the nearest ancestor that is on top, down; iterative, for paths of any depth.
    var missing: [Directory] = []
    var current = directory
    while true {
      try lockToRead(current)
      let isOnTop = current.isOnTop
      current.lock.unlock()
      if isOnTop { break }
      missing.append(current)
      guard let (parent, _) = nodes.parent(of: current.slot) else { throw Errno.notThere }
      current = parent
    }
    while let next = missing.popLast() { try copyUpDirectory(next) }
  }

  /// One directory whose parent is on top.
  private func copyUpDirectory(_ directory: Directory) throws(Errno) {
    let top = try changing()
    guard let (parent, name) = nodes.parent(of: directory.slot) else { throw Errno.notThere }
    try lockToWrite(parent)
    defer { parent.lock.unlock() }
    guard nodes.isChild(directory.slot, of: parent.slot) else { throw Errno.notThere }
    try lockToWrite(directory)
    defer { directory.lock.unlock() }
    guard !directory.isOnTop, let index = directory.branches.first else { return }

    let own = Name(unchecked: name, count: name.count - 1)
    let source = try descriptor(parent, index)
    let target = try topDescriptor(parent)
    let number = nodes.lock.whileLocked { nodes.inode(directory.slot) }
    try name.withUnsafeBufferPointer { buffer throws(Errno) in
      guard let base = buffer.baseAddress else { throw Errno.notThere }
      let attributes = copied(
        try status(at: source.raw, base, in: index))
      try keepingTimes(of: target.raw) { () throws(Errno) in
        try top.copyUp.copyOther(
          at: source.raw, base, attributes, number: number, to: target.raw, base)
      }
      directory.branches.insert(0, at: 0)
      nodes.lock.whileLocked { nodes.node(directory.slot).pointee.branch = 0 }
      parent.index?.setTop(
        Name(unchecked: base, count: own.count), type: .directory, inode: number,
        branches: directory.branches)
    }
  }

  /// Does something in a directory of the top branch that is no change of the view, and puts the
  /// directory's times back. A directory that its owner may not write to is made writable meanwhile
  /// for an unprivileged server: the caller changes something else, for which it needs no such right.
  func keepingTimes(of directory: CInt, _ body: () throws(Errno) -> Void) throws(Errno) {
    let before = try FileSystemCall.status(of: directory)
    let isLocked = !overridesModes && before.mode & 0o300 != 0o300
    if isLocked {
      try FileSystemCall.changeMode(
        at: directory, ReservedName.itself, before.permissions | 0o300)
    }
    defer {
      if isLocked {
        try? FileSystemCall.changeMode(at: directory, ReservedName.itself, before.permissions)
      }
    }
    try InodeFlags.unprotected(directory, before) { () throws(Errno) in
      try body()
      // What was done is done: a time that cannot be put back is no reason to say that it was not.
      try? FileSystemCall.changeTimes(
        at: directory, ReservedName.itself, accessed: .to(before.accessed),
        modified: .to(before.modified))
    }
  }

  // MARK: Files

  /// Makes sure that a file's content and attributes are on the top branch. For a directory see
  /// `ensureOnTop`.
  ///
  /// - Parameters:
  ///   - size: the copy's size in bytes, as truncate(2) makes it; nil for the lower file's.
  ///   - allowsProtected: also of a file that is immutable; otherwise EPERM.
  func copyUp(_ slot: UInt32, size: Int64? = nil, allowsProtected: Bool = false) throws(Errno) {
    let (kind, branch) = nodes.lock.whileLocked {
      (nodes.node(slot).pointee.kind, nodes.node(slot).pointee.branch)
    }
    if kind == .directory {
      return try ensureOnTop(
        nodes.lock.whileLocked { () throws(Errno) in try nodes.directory(at: slot) })
    }
    if isWritable(branch) { return }
    let file = openFile(slot)
    defer { letGo(file, slot) }
    try copyUp(file, slot, size: size, allowsProtected: allowsProtected)
  }

  /// The same for a file that is held already. False where it was on top.
  @discardableResult
  func copyUp(
    _ file: OpenFile, _ slot: UInt32, size: Int64? = nil, allowsProtected: Bool = false
  ) throws(Errno) -> Bool {
    _ = try changing()
    file.lock.lock()
    defer { file.lock.unlock() }
    if file.isOnTop.load(ordering: .relaxed) { return false }
    switch nodes.whereabouts(slot) {
    case .unnamed: try copyUpUnnamed(file, slot, size: size)
    case .pseudoLinked: break
    case .named(let parent):
      try ensureOnTop(parent)
      if kind(slot) == .regular {
        try copyUpRegular(file, slot, size: size, allowsProtected: allowsProtected)
      } else {
        try copyUpSpecial(slot)
      }
    }
    file.isOnTop.store(true, ordering: .releasing)
    return true
  }

  /// The content is copied without any directory's lock; the name is checked again to publish it.
  private func copyUpRegular(
    _ file: OpenFile, _ slot: UInt32, size: Int64?, allowsProtected: Bool
  ) throws(Errno) {
    let top = try changing()
    let (number, isLinked) = identity(slot)
    let source = try withPlace(slot) { place throws(Errno) in
      (descriptor: try openContent(place, write: false).descriptor, branch: place.branch)
    }
    defer { FileSystemCall.close(source.descriptor) }
    let attributes = copied(
      try status(of: source.descriptor, in: source.branch))
    if !allowsProtected && (attributes.isImmutable || attributes.isAppendOnly && size != nil) {
      throw Errno.notPermitted
    }
    if min(attributes.size, size ?? attributes.size) > 0 { Session.willBlock() }
    let staged = try top.copyUp.stageFile(
      source.descriptor, attributes, size: size, number: number)
    if isLinked {
      try recordLinkCount(attributes, number)
      try top.pseudoLinks.add(number: number) { (directory, name) throws(Errno) in
        try staged.link(at: directory, name)
      }
    }
    let descriptor: CInt
    do throws(Errno) { descriptor = try publish(staged, slot, isLinked: isLinked) } catch {
      // Under its number it would be seen by the other names.
      if isLinked { try? top.pseudoLinks.remove(number) }
      guard error == .improperLink, !isLinked else { throw error }
      // The directory lies on a file system that is mounted inside the branch: staged there.
      let place = try topDescriptor(ofParentOf: slot)
      let staged = try top.copyUp.stageFile(
        source.descriptor, attributes, size: size, number: number, in: place.raw)
      descriptor = try publish(staged, slot, isLinked: false)
    }
    InodeFlags.protect(descriptor, as: attributes)
    // Who reads without a descriptor needs one of the copy, which may lose its name.
    if file.descriptor.load(ordering: .relaxed) >= 0 || file.cachedHandles > 0 {
      keepLower(file, source.descriptor)
      try file.adopt(descriptor, readable: true, writable: true)
    } else {
      FileSystemCall.close(descriptor)
    }
  }

  private func topDescriptor(ofParentOf slot: UInt32) throws(Errno) -> DirectoryDescriptor {
    guard case .named(let parent) = nodes.whereabouts(slot) else {
      throw Errno.staleNFSFileHandle
    }
    return try topDescriptor(parent)
  }

  /// A node's number, and whether other names share it.
  private func identity(_ slot: UInt32) -> (number: UInt64, isLinked: Bool) {
    nodes.lock.whileLocked {
      let node = nodes.node(slot)
      return (nodes.inode(slot), node.pointee.flags.contains(.linked))
    }
  }

  /// From now on the table counts the names of a hard-linked lower file.
  private func recordLinkCount(_ attributes: Attributes, _ number: UInt64) throws(Errno) {
    let table = try changing().area.inodes
    if table.linkCount(of: number) == nil {
      try table.setLinkCount(of: number, to: visibleLinks(attributes, number))
    }
  }

  /// Shows a staged copy at the file's name, or keeps it nameless where the name went meanwhile.
  private func publish(
    _ staged: consuming StagedFile, _ slot: UInt32, isLinked: Bool
  ) throws(Errno) -> CInt {
    let top = try changing()
    while true {
      guard case .named(let parent) = nodes.whereabouts(slot) else {
        return staged.keepUnnamed()
      }
      // A rename may have moved the name to a directory that is not on top yet.
      try ensureOnTop(parent)
      try lockToWrite(parent)
      defer { parent.lock.unlock() }
      guard let (name, _) = nodes.name(of: slot, in: parent.slot) else { continue }
      let target = try topDescriptor(parent)
      var descriptor: CInt = -1
      var copy: StagedFile? = staged
      try keepingTimes(of: target.raw) { () throws(Errno) in
        if let staged = copy.take() { descriptor = try staged.publish(at: target.raw, name) }
      }
      if top.copyUp.flushing == .everything { try top.copyUp.syncDirectory(target.raw) }
      didCopyUp(slot, parent, name, isLinked: isLinked)
      return descriptor
    }
  }

  private func didCopyUp(
    _ slot: UInt32, _ parent: Directory, _ name: [CChar], isLinked: Bool
  ) {
    let (number, kind) = nodes.lock.whileLocked { () -> (UInt64, FileKind) in
      let node = nodes.node(slot)
      node.pointee.branch = 0
      if isLinked { node.pointee.flags.insert(.pseudoLinked) }
      return (nodes.inode(slot), node.pointee.kind)
    }
    name.withUnsafeBufferPointer {
      guard let base = $0.baseAddress else { return }
      parent.index?.setTop(
        Name(unchecked: base, count: name.count - 1), type: kind, inode: number, branches: [0])
    }
  }

  /// A removed file that is still open and was never on top.
  private func copyUpUnnamed(_ file: OpenFile, _ slot: UInt32, size: Int64?) throws(Errno) {
    let top = try changing()
    let source = try openContent(of: file, slot)
    let (number, branch) = nodes.lock.whileLocked {
      (nodes.inode(slot), nodes.node(slot).pointee.branch)
    }
    let attributes = copied(try status(of: source, in: branch))
    Session.willBlock()
    let staged = try top.copyUp.stageFile(source, attributes, size: size, number: number)
    let copy = staged.keepUnnamed()
    // No name will ever be looked up, so no number is kept for it.
    if let own = try? FileSystemCall.status(of: copy) { top.area.inodes.forget(top: own) }
    nodes.lock.whileLocked { nodes.node(slot).pointee.branch = 0 }
    keepLower(file, source)
    try file.adopt(copy, readable: true, writable: true)
  }

  /// A symbolic link, device, FIFO or socket.
  private func copyUpSpecial(_ slot: UInt32) throws(Errno) {
    let top = try changing()
    while true {
      guard case .named(let parent) = nodes.whereabouts(slot) else {
        throw Errno.staleNFSFileHandle
      }
      try ensureOnTop(parent)
      try lockToWrite(parent)
      defer { parent.lock.unlock() }
      guard let (name, branch) = nodes.name(of: slot, in: parent.slot) else { continue }
      let source = try descriptor(parent, branch)
      let target = try topDescriptor(parent)
      let (number, isLinked) = identity(slot)
      let attributes = copied(
        try status(at: source.raw, name, in: branch))
      // A branch that honours no whiteouts shows it as a device; the top branch would not.
      if attributes.isOverlayWhiteout { throw Errno.notPermitted }
      if isLinked { try recordLinkCount(attributes, number) }
      try keepingTimes(of: target.raw) { () throws(Errno) in
        try top.copyUp.copyOther(
          at: source.raw, name, attributes, number: number,
          links: isLinked ? top.pseudoLinks : nil, to: target.raw, name)
      }
      didCopyUp(slot, parent, name, isLinked: isLinked)
      return
    }
  }

  // MARK: Descriptors of content

  /// Keeps a lower file at hand for those who read it by passthrough. Where that cannot be, they are told
  /// of the copy's holes. The file is locked.
  private func keepLower(_ file: OpenFile, _ source: CInt) {
    guard file.lowerHandles > 0, file.lowerDescriptor.load(ordering: .relaxed) < 0,
      let kept = try? reopen(source, write: false, flags: 0)
    else { return }
    file.lowerDescriptor.store(kept.descriptor, ordering: .releasing)
    OpenFile.openCount.add(1, ordering: .relaxed)
  }

  /// Opens what an open descriptor stands for once more.
  private func reopen(
    _ descriptor: CInt, write: Bool, flags: CInt
  ) throws(Errno) -> (descriptor: CInt, isReadable: Bool) {
    let access = write ? OpenFlag.readWrite : OpenFlag.readOnly
    return (
      try FileSystemCall.open(
        path: "/proc/self/fd/\(descriptor)", flags & ~OpenFlag.noFollow | access), true
    )
  }

  /// Opens a regular file's content. A lower branch's access times stay as they are where that may be
  /// asked for, and all do on a `noatime` mount.
  func openContent(
    _ place: Place, write: Bool, flags: CInt = 0
  ) throws(Errno) -> (descriptor: CInt, isReadable: Bool) {
    let common = OpenFlag.noFollow | OpenFlag.nonBlocking | flags
    if place.isUnnamed { return try reopen(place.directory, write: write, flags: common) }
    if keepsAccessTimes || !isWritable(place.branch) {
      do throws(Errno) {
        let access = write ? OpenFlag.readWrite : OpenFlag.readOnly
        return (
          try FileSystemCall.open(
            at: place.directory, place.name, common | access | OpenFlag.noAccessTime), true
        )
      } catch { if error != .notPermitted && error != .permissionDenied { throw error } }
    }
    if !write { return (try FileSystemCall.open(at: place.directory, place.name, common), true) }
    do throws(Errno) {
      return (
        try FileSystemCall.open(at: place.directory, place.name, common | OpenFlag.readWrite), true
      )
    } catch {
      // The kernel has checked the caller; an unprivileged server may write what it cannot read.
      guard error == .permissionDenied else { throw error }
      return (
        try FileSystemCall.open(at: place.directory, place.name, common | OpenFlag.writeOnly),
        false
      )
    }
  }
}

extension NodeTable {
  /// Whether a node is in that directory still. Takes the lock.
  func isChild(_ slot: UInt32, of parent: UInt32) -> Bool {
    lock.whileLocked { hasName(slot) && node(slot).pointee.parent == parent }
  }
}
