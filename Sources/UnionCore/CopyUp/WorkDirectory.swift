internal import SystemCalls
internal import SystemPackage

// A work directory beside the writable branch, as overlayfs has one: the branch holds the layer and
// nothing else, so that whoever reads it (a graph driver that packs it, another union) meets no names of
// this program's.

extension Branch {
  /// Refuses what overlayfs refuses: a work directory on another mount, from which nothing could be renamed
  /// or linked to the branch, and one that contains a branch or lies in one.
  func checkWorkDirectory(against branches: [Branch]) throws(Failure) {
    let work = "\(specification.workDirectory ?? "")"
    if !isOnOneMount {
      throw Failure(
        .unusableBranches,
        "the work directory \(work) is not on the mount of the upper directory \(specification.path)",
        advice: "make one beside the upper directory")
    }
    let own = (try? FileSystemCall.status(of: bookkeeping)).map(BranchSet.Identity.init)
    let around = [own].compactMap { $0 } + BranchSet.directories(above: bookkeeping)
    for branch in branches {
      let path = branch.specification.path
      if around.contains(BranchSet.Identity(branch.rootAttributes)) {
        throw Failure(
          .unusableBranches, "the work directory \(work) lies in the branch \(path)",
          advice: "make one outside of all branches")
      }
      if let own, BranchSet.directories(above: branch.root).contains(own) {
        throw Failure(
          .unusableBranches, "the branch \(path) lies in the work directory \(work)",
          advice: "make a work directory beside the branches")
      }
    }
  }

  /// rename(2) looks at the mounts before it looks for the name: ENOENT where they are one, else EXDEV.
  private var isOnOneMount: Bool {
    let name = ReservedName.neverThere
    do throws(Errno) {
      try FileSystemCall.rename(
        at: bookkeeping, name, to: root, name, flags: FileSystemCall.RenameFlag.noReplace)
    } catch { return error != .improperLink }
    return true
  }

  /// What an earlier mount of another branch has left in the work directory is of no use to this one, whose
  /// files have other numbers: it goes. The branch is told by its root's inode and birth time, in a symbolic
  /// link: it is there with its target or not at all, and never after the records that it stands for.
  func claimWorkDirectory(area: CInt) throws(Errno) {
    let mark = "\(rootAttributes.inode) \(rootAttributes.birth)"
    if Self.mark(in: area) == Array(mark.utf8) { return }
    for (directory, name) in [
      (area, ReservedName.workAreaOwner), (area, ReservedName.inodeTable),
      (bookkeeping, ReservedName.pseudoLinks),
    ] {
      do throws(Errno) {
        try TreeRemoval.remove(Array(cString: name), in: directory, opening: true)
      } catch { if error != .noSuchFileOrDirectory { throw error } }
    }
    try FileSystemCall.makeSymbolicLink(at: area, ReservedName.workAreaOwner, to: mark)
  }

  private static func mark(in area: CInt) -> [UInt8]? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { room in
      guard
        let count = try? FileSystemCall.readLink(at: area, ReservedName.workAreaOwner, into: room)
      else { return nil }
      return room.prefix(count).map { UInt8(bitPattern: $0) }
    }
  }
}
