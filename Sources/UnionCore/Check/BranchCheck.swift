internal import SystemPackage

/// `unionfs-swift check`: everything that is wrong with a union's branches, found without mounting it.
public struct BranchCheck {
  private let branches: BranchSet
  private let mode: RepairMode
  private let mayRepair: (Int) -> Bool

  /// - Parameter mayRepair: whether the branch of an index may be changed; with `mode` on, their locks
  ///   must be held.
  public init(_ branches: BranchSet, mode: RepairMode, mayRepair: @escaping (Int) -> Bool) {
    self.branches = branches
    self.mode = mode
    self.mayRepair = mayRepair
  }

  /// Calls `emit` with each finding as it is settled.
  public func run(_ emit: @escaping (Finding) -> Void) {
    let numbers = InodeNumbers(branches)
    var settled: [Bookkeeping] = []
    for branch in branches.branches {
      var book = Bookkeeping(branch, numbers: numbers)
      // The lock is ours then.
      if mode == .on && mayRepair(branch.index) { book.isInUse = false }
      for found in book.findings() { settle(found, emit) }
      settled.append(book)
    }
    let books = settled
    let opened = OpenedBranches(branches)
    let wanted = Set(books.first?.files.compactMap { Bookkeeping.number(of: $0.name) } ?? [])
    var walk = CheckWalk(
      opened, mode: mode, mayRepair: mayRepair,
      watched: { branch, inode in
        if wanted.isEmpty { return nil }
        let number = numbers.number(branch: branch, listed: inode)
        return wanted.contains(number) ? number : nil
      },
      emit: { finding in
        // A mount that holds the branch is about to move it to its place.
        if finding.kind == .stagedLeftover, books[finding.branch].isInUse { return }
        emit(finding)
      })
    walk.run(DirectoryPart.roots(honouringWhiteouts: branches.branches.map(\.honoursWhiteouts)))
    let sawAll = walk.isComplete && !opened.cursors.contains { $0.sawOtherDevice }
    for book in books {
      for found in book.pseudoLinkFindings(shown: sawAll ? walk.shownNumbers : nil) {
        settle(found, emit)
      }
    }
  }

  private func settle(_ found: ReservedFinding, _ emit: (Finding) -> Void) {
    let local = found.finding
    let slash: [UInt8] = found.directory.isEmpty ? [] : [UInt8(ascii: "/")]
    var finding = Finding(
      local.kind, branch: local.branch, path: found.directory + slash + local.name,
      local.message, advice: local.advice)
    let branch = branches[local.branch]
    finding.state = repair(local, mode: mode, mayRepair: mayRepair(local.branch)) {
      _ throws(Errno) in
      try Bookkeeping.apply(found, on: branch)
    }
    emit(finding)
  }
}
