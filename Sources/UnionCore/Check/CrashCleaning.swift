internal import SystemCalls

/// Removes the whiteouts and opaque markers of the top branch that hide nothing, and what was staged beside
/// its target: what a killed server leaves between two steps of a change. No view changes; what cannot be
/// read or removed stays.
public func removeNeedlessMarkers(on branches: BranchSet) {
  var walk = CheckWalk(
    OpenedBranches(branches), mode: .on, mayRepair: { $0 == 0 },
    kinds: [
      .whiteoutBesideEntry, .needlessWhiteout, .whiteoutInOpaque, .needlessOpaque, .stagedLeftover,
    ],
    onlyBranch: 0, emit: { _ in })
  walk.run(DirectoryPart.roots(honouringWhiteouts: branches.branches.map(\.honoursWhiteouts)))
}
