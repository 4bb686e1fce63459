internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Getting at directories: their descriptors, their merges and their indexes.

extension Union {
  /// The directory of a node id: ESTALE, ENOTDIR.
  func directory(_ id: UInt64) throws(Errno) -> Directory {
    try nodes.lock.whileLocked { () throws(Errno) in
      try nodes.directory(at: try nodes.slot(of: id))
    }
  }

  // MARK: Descriptors

  /// A descriptor of a directory's part in one of its branches.
  func descriptor(_ directory: Directory, _ branch: UInt16) throws(Errno) -> DirectoryDescriptor {
    if let known = descriptors.get(directory, branch: branch) { return known }
    treeLock.lockToRead()
    defer { treeLock.unlock() }
    return try openAlongTree(directory, branch)
  }

  /// The descriptor that changes go through. The directory must be on the top branch.
  func topDescriptor(_ directory: Directory) throws(Errno) -> DirectoryDescriptor {
    try descriptor(directory, 0)
  }

  /// A descriptor that names may be read from, where it was not open before and the server may.
  private func descriptorToList(
    _ directory: Directory, _ branch: UInt16
  ) throws(Errno) -> DirectoryDescriptor {
    if let known = descriptors.get(directory, branch: branch) { return known }
    treeLock.lockToRead()
    defer { treeLock.unlock() }
    if let (parent, name) = nodes.parent(of: directory.slot),
      let above = descriptors.get(parent, branch: branch),
      let opened = try? FileSystemCall.open(
        at: above.raw, name,
        OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow | OpenFlag.noAccessTime)
    {
      return descriptors.put(
        directory, branch: branch, DirectoryDescriptor(opened, isReadable: true))
    }
    return try openAlongTree(directory, branch)
  }

  /// Opens from the nearest ancestor that is open, down; no path is built, so depth has no limit.
  private func openAlongTree(
    _ directory: Directory, _ branch: UInt16
  ) throws(Errno) -> DirectoryDescriptor {
    var missing: [(Directory, [CChar])] = []
    var current = directory
    var nearest = descriptors.get(current, branch: branch)
    while nearest == nil {
      guard let (parent, name) = nodes.parent(of: current.slot) else { throw Errno.notThere }
      missing.append((current, name))
      current = parent
      nearest = descriptors.get(current, branch: branch)
    }
    guard var descriptor = nearest else { throw Errno.notThere }
    while let (next, name) = missing.popLast() {
      let opened = try FileSystemCall.open(
        at: descriptor.raw, name, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
      descriptor = descriptors.put(next, branch: branch, DirectoryDescriptor(opened))
    }
    return descriptor
  }

  // MARK: Locks that make sure of what a directory is made of

  /// Locks a directory to look at its names.
  func lockToRead(_ directory: Directory) throws(Errno) {
    directory.lockPatientlyToRead()
    while !isMadeOut(directory) {
      directory.lock.unlock()
      try lockToWrite(directory)
      directory.lock.unlock()
      directory.lockPatientlyToRead()
    }
  }

  /// Locks a directory to change its names.
  func lockToWrite(_ directory: Directory) throws(Errno) {
    directory.lockPatientlyToWrite()
    if isMadeOut(directory) { return }
    do throws(Errno) {
      if needsIndexes { try makeIndex(directory) } else { try resolveMerge(directory) }
    } catch {
      directory.lock.unlock()
      throw error
    }
  }

  private func isMadeOut(_ directory: Directory) -> Bool {
    directory.isResolved && (directory.index != nil || !needsIndexes)
  }

  /// Cuts the list of branches after an opaque directory.
  private func resolveMerge(_ directory: Directory) throws(Errno) {
    for (position, index) in directory.branches.enumerated().dropLast()
    where branch(index).honoursWhiteouts {
      let part = try descriptor(directory, index).raw
      let isMarked = try marks(of: part, in: branch(index)).isOpaque
      let isOpaque = try isMarked ? true : FileSystemCall.type(at: part, ReservedName.opaque) != nil
      if isOpaque {
        cut(directory, after: position)
        break
      }
    }
    directory.isResolved = true
  }

  /// What overlayfs's attributes say of a directory that branches below have too. EIO where what it shows
  /// of them lies elsewhere.
  private func marks(of part: CInt, in branch: Branch) throws(Errno) -> OverlayMarks {
    let marks = try branch.marks(of: part)
    if marks.isRedirected { throw Errno.ioError }
    return marks
  }

  private func cut(_ directory: Directory, after position: Int) {
    directory.branches.removeSubrange((position + 1)...)
    let kept = directory.branches
    descriptors.drop(directory) { kept.contains($0) }
  }

  // MARK: The index

  /// Makes the index of a directory that is locked to write.
  func makeIndex(_ directory: Directory) throws(Errno) {
    if directory.index != nil { return }
    var merge = Merge(showingWhiteouts: configuration.showsWhiteouts)
    for (position, index) in directory.branches.enumerated() {
      let branch = branch(index)
      let part = try descriptorToList(directory, index)
      let isLast = position + 1 == directory.branches.count
      // Below the last branch there is nothing to hide.
      let marks =
        isLast && !branch.holdsMarkedWhiteouts
        ? OverlayMarks() : try marks(of: part.raw, in: branch)
      // Another thread's wake-up costs as much as reading some hundred names.
      try merge.addAll(
        of: part.raw, isFresh: part.takeUnread(), branch: index, isTop: isWritable(index),
        isLast: isLast, honoursWhiteouts: branch.honoursWhiteouts, marks: marks,
        isLarge: Session.willBlock
      ) { inode in listedNumber(index, inode) }
      if merge.isOpaque {
        if position + 1 < directory.branches.count { cut(directory, after: position) }
        break
      }
    }
    directory.isResolved = true
    directory.index = merge.finish()
  }

  /// The number that the union shows for an inode that a listing tells.
  private func listedNumber(_ branch: UInt16, _ inode: UInt64) -> UInt64 {
    if isWritable(branch), let top, let number = top.area.inodes.number(ofTop: inode) {
      return number
    }
    return numbers.number(branch: Int(branch), listed: inode)
  }

  /// Makes sure of an index, then holds the directory locked to read.
  func lockToList(_ directory: Directory) throws(Errno) {
    directory.lockPatientlyToRead()
    while directory.index == nil {
      directory.lock.unlock()
      directory.lockPatientlyToWrite()
      do throws(Errno) { try makeIndex(directory) } catch {
        directory.lock.unlock()
        throw error
      }
      directory.lock.unlock()
      directory.lockPatientlyToRead()
    }
  }

  func countProbes(_ directory: Directory, _ count: Int) {
    directory.probes.add(count, ordering: .relaxed)
  }

  /// The most bytes of a branch's part of a directory whose index is made at the first lookup.
  private static let smallPart: Int64 = 16 << 10

  /// Makes the index of a small merged directory at its first lookup: reading it costs no more than asking
  /// each branch for the name, its whiteout and the opaque marker. Not locked by the caller.
  func makeIndexIfSmall(_ directory: Directory) {
    guard directory.isMerged.load(ordering: .relaxed),
      !directory.wasMeasured.load(ordering: .relaxed),
      !directory.wasMeasured.exchange(true, ordering: .relaxed)
    else { return }
    directory.lockPatientlyToWrite()
    defer { directory.lock.unlock() }
    guard directory.index == nil, !directory.isResolved else { return }
    for index in directory.branches {
      guard let part = try? descriptorToList(directory, index),
        let size = try? FileSystemCall.status(of: part.raw).size, size <= Self.smallPart
      else { return }
    }
    // A server that may not read it asks for each name.
    try? makeIndex(directory)
  }

  /// Makes the index of a directory that has been asked often: what was spent on looking names up is
  /// what reading it costs. Not locked by the caller.
  func makeIndexIfWorthIt(_ directory: Directory) {
    let spent = directory.probes.load(ordering: .relaxed)
    guard spent >= directory.probesBeforeIndex.load(ordering: .relaxed) else { return }
    directory.lockPatientlyToWrite()
    defer { directory.lock.unlock() }
    guard directory.index == nil, directory.isResolved, directory.branches.count > 1 else { return }
    var bytes: Int64 = 0
    for index in directory.branches {
      guard let opened = try? descriptor(directory, index),
        let attributes = try? FileSystemCall.status(of: opened.raw)
      else { return }
      bytes += attributes.size
    }
    // A listing costs with the directory's size, so a large one waits longer; looked at once.
    let worth = Directory.leastProbes + Int(bytes / 512)
    directory.probesBeforeIndex.store(worth, ordering: .relaxed)
    if spent >= worth { try? makeIndex(directory) }
  }
}
