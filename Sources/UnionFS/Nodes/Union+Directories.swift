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
    directory.lock.lockToRead()
    while !directory.isResolved {
      directory.lock.unlock()
      try lockToWrite(directory)
      directory.lock.unlock()
      directory.lock.lockToRead()
    }
  }

  /// Locks a directory to change its names.
  func lockToWrite(_ directory: Directory) throws(Errno) {
    directory.lock.lockToWrite()
    if directory.isResolved { return }
    do throws(Errno) { try resolveMerge(directory) } catch {
      directory.lock.unlock()
      throw error
    }
  }

  /// Cuts the list of branches after an opaque directory.
  private func resolveMerge(_ directory: Directory) throws(Errno) {
    for (position, index) in directory.branches.enumerated().dropLast()
    where branch(index).honoursWhiteouts {
      if try isOpaque(descriptor(directory, index).raw) {
        cut(directory, after: position)
        break
      }
    }
    directory.isResolved = true
  }

  private func cut(_ directory: Directory, after position: Int) {
    directory.branches.removeSubrange((position + 1)...)
    let kept = directory.branches
    descriptors.drop(directory) { kept.contains($0) }
  }

  // MARK: The index

  /// From so many bytes on, reading a directory takes long enough for others to be kept waiting.
  private static let largeDirectory: Int64 = 1 << 16

  /// Makes the index of a directory that is locked to write.
  func makeIndex(_ directory: Directory) throws(Errno) {
    if directory.index != nil { return }
    var merge = Merge(showingWhiteouts: configuration.showsWhiteouts)
    for (position, index) in directory.branches.enumerated() {
      let branch = branch(index)
      let part = try descriptor(directory, index).raw
      // Another thread's wake-up costs as much as reading some hundred names.
      if try FileSystemCall.status(at: part, ReservedName.itself).size > Self.largeDirectory {
        Session.willBlock()
      }
      try merge.addAll(
        of: part, branch: index, isTop: isWritable(index),
        honoursWhiteouts: branch.honoursWhiteouts
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
    directory.lock.lockToRead()
    while directory.index == nil {
      directory.lock.unlock()
      directory.lock.lockToWrite()
      do throws(Errno) { try makeIndex(directory) } catch {
        directory.lock.unlock()
        throw error
      }
      directory.lock.unlock()
      directory.lock.lockToRead()
    }
  }

  /// After so many system calls spent on looking up in a merged directory, its index has been worth
  /// making. A listing costs with the directory's size, so a large one waits longer.
  private static let probesBeforeIndex = 24

  func countProbes(_ directory: Directory, _ count: Int) {
    directory.probes.add(count, ordering: .relaxed)
  }

  /// Makes the index of a directory that has been asked often. Not locked by the caller.
  func makeIndexIfWorthIt(_ directory: Directory) {
    guard directory.probes.load(ordering: .relaxed) >= Self.probesBeforeIndex else { return }
    directory.lock.lockToWrite()
    defer { directory.lock.unlock() }
    guard directory.index == nil, directory.isResolved, directory.branches.count > 1 else { return }
    var bytes: Int64 = 0
    for index in directory.branches {
      guard let opened = try? descriptor(directory, index),
        let attributes = try? FileSystemCall.status(of: opened.raw)
      else { return }
      bytes += attributes.size
    }
    // About 16 bytes of a listing are read in the time of one probe's share.
    if directory.probes.load(ordering: .relaxed) < Self.probesBeforeIndex + Int(bytes / 512) {
      return
    }
    try? makeIndex(directory)
  }
}
