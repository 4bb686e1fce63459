public import SystemPackage

/// The branches as the walk sees them: in each, one directory is the current one, and names are in it.
public protocol CheckedBranches {
  /// What the current directory holds.
  func list(_ branch: Int) throws(Errno) -> DirectoryListing
  /// Goes into a directory, never through a symbolic link. On an error nothing changes.
  func enter(_ name: [UInt8], in branch: Int) throws(Errno)
  /// Goes back up. On an error the branch is lost to the walk.
  func leave(_ branch: Int) throws(Errno)
  /// Mends, in the current directory; says why not where that would lose something.
  func apply(_ remedy: Finding.Remedy, to name: [UInt8], in branch: Int) throws(Errno) -> String?
}

/// Which findings are mended.
public enum RepairMode: Sendable, Equatable {
  case off
  /// Says what would be mended.
  case dry
  case on
}

/// One pass over all branches, which tells what is wrong in each directory.
public struct CheckWalk<Branches: CheckedBranches> {
  private let branches: Branches
  private let mode: RepairMode
  /// Whether a branch may be repaired.
  private let mayRepair: (Int) -> Bool
  private let watched: (Int, UInt64) -> UInt64?
  private let emit: (Finding) -> Void
  /// The kinds that are looked for.
  private let kinds: Set<Finding.Kind>
  /// Nothing is read that has no part in this branch.
  private let onlyBranch: Int?
  var place = WalkPlace<[UInt8], DirectoryPart>()
  /// Those of the numbers asked for that lower branches show.
  public private(set) var shownNumbers: Set<UInt64> = []
  /// Whether everything could be read.
  public private(set) var isComplete = true

  public init(
    _ branches: Branches, mode: RepairMode, mayRepair: @escaping (Int) -> Bool,
    watched: @escaping (Int, UInt64) -> UInt64? = { _, _ in nil },
    kinds: Set<Finding.Kind> = Set(Finding.Kind.allCases), onlyBranch: Int? = nil,
    emit: @escaping (Finding) -> Void
  ) {
    self.kinds = kinds
    self.onlyBranch = onlyBranch
    self.branches = branches
    self.mode = mode
    self.mayRepair = mayRepair
    self.watched = watched
    self.emit = emit
  }

  public mutating func run(_ roots: [DirectoryPart]) { walk([], roots) }

  /// Mends what is to be mended, and tells of it.
  private func settle(_ local: LocalFinding) {
    var finding = Finding(
      local.kind, branch: local.branch, path: path(local.name), local.message,
      advice: local.advice)
    finding.state = repair(local, mode: mode, mayRepair: mayRepair(local.branch)) {
      (remedy) throws(Errno) in
      try branches.apply(remedy, to: local.name, in: local.branch)
    }
    emit(finding)
  }

  private func path(_ name: [UInt8]) -> [UInt8] {
    var names = place.frames.dropFirst().map(\.node)
    if !name.isEmpty { names.append(name) }
    return Array(names.joined(separator: [UInt8(ascii: "/")]))
  }
}

extension CheckWalk: BranchWalk {
  func enter(_ name: [UInt8], in branch: Int) throws(Errno) { try branches.enter(name, in: branch) }
  func leave(_ branch: Int) throws(Errno) { try branches.leave(branch) }

  mutating func examine(
    _ name: [UInt8], _ parts: [DirectoryPart], isReadable: [Bool]
  ) -> [(node: [UInt8], parts: [DirectoryPart])] {
    var listings: [DirectoryListing?] = []
    for (part, isReadable) in zip(parts, isReadable) {
      var listing: DirectoryListing?
      if isReadable {
        do throws(Errno) { listing = try branches.list(part.branch) } catch {
          note(error, at: [], in: part.branch)
        }
      }
      listings.append(listing)
    }
    let rules = DirectoryRules(parts, listings, watched: watched)
    shownNumbers.formUnion(rules.shownNumbers)
    for finding in rules.findings where kinds.contains(finding.kind) { settle(finding) }
    return rules.children.filter { child in
      onlyBranch.map { only in child.parts.contains { $0.branch == only } } ?? true
    }.map { ($0.name, $0.parts) }
  }

  mutating func note(_ error: Errno, at name: [UInt8], in branch: Int) {
    isComplete = false
    emit(
      Finding(
        .unreadable, branch: branch, path: path(name), "it cannot be read: \(error)",
        advice: "run the check as a user who may, while nothing changes the branch"))
  }
}

/// What becomes of a finding.
func repair(
  _ finding: LocalFinding, mode: RepairMode, mayRepair: Bool,
  _ apply: (Finding.Remedy) throws(Errno) -> String?
) -> Finding.State {
  if mode == .off || finding.kind.isNote { return .found }
  if finding.remedy == .none { return .left("nothing that is sure to be safe mends it") }
  guard mayRepair else { return .left("the branch is not writable") }
  if mode == .dry { return .wouldRepair }
  do throws(Errno) {
    if let reason = try apply(finding.remedy) { return .left(reason) }
    return .repaired
  } catch { return .left("\(error)") }
}
