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

/// One pass over all branches, directory by directory, each branch only where it has the directory.
/// No recursion and one descriptor a branch, so depth has no limit.
public struct CheckWalk<Branches: CheckedBranches> {
  private struct Frame {
    var name: [UInt8]
    var parts: [DirectoryPart]
    var isOpen: [Bool]
    var children: [(name: [UInt8], parts: [DirectoryPart])] = []
    var next = 0
  }

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
  private var frames: [Frame] = []
  private var lost: Set<Int> = []
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

  public mutating func run(_ roots: [DirectoryPart]) {
    frames = [Frame(name: [], parts: roots, isOpen: roots.map { _ in true })]
    examineTop()
    while let frame = frames.last {
      guard frame.next < frame.children.count else {
        leave(frame)
        continue
      }
      let child = frame.children[frame.next]
      frames[frames.count - 1].next += 1
      enter(child.name, child.parts)
    }
  }

  private mutating func enter(_ name: [UInt8], _ parts: [DirectoryPart]) {
    var isOpen: [Bool] = []
    for part in parts {
      guard !lost.contains(part.branch) else {
        isOpen.append(false)
        continue
      }
      do throws(Errno) {
        try branches.enter(name, in: part.branch)
        isOpen.append(true)
      } catch {
        isOpen.append(false)
        unreadable(name, part.branch, error)
      }
    }
    frames.append(Frame(name: name, parts: parts, isOpen: isOpen))
    examineTop()
  }

  private mutating func leave(_ frame: Frame) {
    frames.removeLast()
    if frames.isEmpty { return }
    for (part, isOpen) in zip(frame.parts, frame.isOpen)
    where isOpen && !lost.contains(part.branch) {
      do throws(Errno) { try branches.leave(part.branch) } catch {
        lost.insert(part.branch)
        unreadable(frame.name, part.branch, error)
      }
    }
  }

  private mutating func examineTop() {
    let position = frames.count - 1
    let frame = frames[position]
    var listings: [DirectoryListing?] = []
    for (part, isOpen) in zip(frame.parts, frame.isOpen) {
      var listing: DirectoryListing?
      if isOpen, !lost.contains(part.branch) {
        do throws(Errno) { listing = try branches.list(part.branch) } catch {
          unreadable([], part.branch, error)
        }
      }
      listings.append(listing)
    }
    let rules = DirectoryRules(frame.parts, listings, watched: watched)
    frames[position].children = rules.children.filter { child in
      onlyBranch.map { only in child.parts.contains { $0.branch == only } } ?? true
    }
    shownNumbers.formUnion(rules.shownNumbers)
    for finding in rules.findings where kinds.contains(finding.kind) { settle(finding) }
  }

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

  private mutating func unreadable(_ name: [UInt8], _ branch: Int, _ error: Errno) {
    isComplete = false
    emit(
      Finding(
        .unreadable, branch: branch, path: path(name), "it cannot be read: \(error)",
        advice: "run the check as a user who may, while nothing changes the branch"))
  }

  private func path(_ name: [UInt8]) -> [UInt8] {
    var names = frames.dropFirst().map(\.name)
    if !name.isEmpty { names.append(name) }
    return Array(names.joined(separator: [UInt8(ascii: "/")]))
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
