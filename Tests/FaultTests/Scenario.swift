import TestSupport
import Testing

/// An operation and what it begins with. Each of its cases has a folder of its own, on the lower
/// branch at least, so that one union serves many cases and none of them finds anything warm.
struct Scenario: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let top: [Item]
  let lower: [Item]
  /// Below `lower`.
  let bottom: [Item]
  /// Gets the case's folder; makes at most one change that is acknowledged. Answers what it read.
  let act: @Sendable (Path) throws -> String
  /// Among those that every run of the tests tries.
  var isRepresentative = false

  /// One that changes something.
  init(
    _ name: String, top: [Item] = [], lower: [Item] = [], bottom: [Item] = [],
    _ act: @escaping @Sendable (Path) throws -> Void
  ) {
    (testDescription, self.top, self.lower, self.bottom) = (name, top, lower, bottom)
    self.act = {
      try act($0)
      return ""
    }
  }

  init(
    reading name: String, top: [Item] = [], lower: [Item] = [], bottom: [Item] = [],
    _ act: @escaping @Sendable (Path) throws -> String
  ) {
    (testDescription, self.top, self.lower, self.bottom, self.act) = (name, top, lower, bottom, act)
  }

  /// Tried in every run, not only in the complete one.
  var always: Scenario {
    var scenario = self
    scenario.isRepresentative = true
    return scenario
  }

  func branches(_ cases: [Path]) -> [Branch] {
    func placed(_ items: [Item]) -> [Item] { cases.flatMap { c in items.map { $0.inside(c) } } }
    return [
      .rw(placed(top)), .lower(cases.map { .directory($0) } + placed(lower)),
      .lower(placed(bottom)),
    ]
  }

  /// The copy of a file with several lower names lies in `.wh..wh.plnk`, of which the model knows
  /// nothing.
  var checks: Checks { lower.contains(where: \.isHardLink) ? Checks.all.subtracting(.model) : .all }

  /// In which formats of whiteouts the top branch is written, and what is there before is made.
  static let formats: [String] = {
    let wanted = currentEnvironment["UNIONFS_TEST_FORMAT"]
    return wanted.map { [$0] } ?? ["aufs", "overlay"]
  }()

  /// The complete matrix takes minutes: `scripts/test-faults` runs it.
  static let isComplete = currentEnvironment["UNIONFS_TEST_FULL"] == "1"

  static func chosen(_ all: [Scenario]) -> [Scenario] {
    let wanted = currentEnvironment["UNIONFS_TEST_SCENARIO"]
    return all.filter {
      wanted.map($0.testDescription.contains) ?? (isComplete || $0.isRepresentative)
    }
  }
}

/// What an undisturbed run of a scenario shows.
struct Reference {
  let before: [String]
  let after: [String]
  let answer: String
  /// How many system calls the server made.
  let calls: Int

  init(_ scenario: Scenario, _ options: [String] = []) throws {
    var found: ([String], [String], String, Int)?
    let branches = scenario.branches(["case", "first"])
    try withUnion(branches, options: options, mounted: false, checks: scenario.checks) {
      u throws in
      u.environment = Faults.environment
      // The state before is taken from a folder of its own: a walk would warm the case's.
      try u.mount()
      let before = try state(of: u / "first")
      let faults = try Faults(in: u)
      defer { faults.close() }
      try faults.arm(.count)
      let answer = try scenario.act(u / "case")
      let calls = try faults.arm(.off)
      found = (before, try state(of: u / "case"), answer, calls)
    }
    (before, after, answer, calls) = try #require(found)
  }
}

/// All that a folder shows, its own attributes first. Times after the test's start are `now`.
func state(of folder: Path) throws -> [String] {
  let own = try folder.stat()
  let nodes = try walk(folder)
  return [". \(String(own.mode, radix: 8)) \(own.uid):\(own.gid) \(time(own))"]
    + nodes.map { node in
      let status = node.status
      var line = "\(node.line) \(String(status.mode, radix: 8)) \(status.uid):\(status.gid)"
      if status.kind != .directory { line += " size \(status.size) links \(status.links)" }
      for (name, value) in node.attributes.sorted(by: { $0.key < $1.key }) {
        line += " \(name)=\(value)"
      }
      return "\(line) \(time(status))"
    }
}

/// The same without the times of directories: a step that is no change yet may touch those.
func withoutDirectoryTimes(_ state: [String]) -> [String] {
  state.map { line in
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard let first = words.first, first == "." || first.hasSuffix("/") else { return line }
    return words.dropLast().joined(separator: " ")
  }
}

private func time(_ status: Status) -> String {
  status.modified.seconds > 1_600_000_000 ? "now" : "\(status.modified)"
}

/// The errno of what the body throws.
func failure(of body: () throws -> Void) throws -> Errno? {
  do { try body() } catch let error as Errno { return error }
  return nil
}

extension Union {
  /// What the work area holds beside its table of inode numbers.
  func leftovers() throws -> [String] {
    // A device of which whiteouts are links stays there.
    let lasting = writesOverlay ? ["inodes", "whiteout"] : ["inodes"]
    return try (top / ".wh..wh.unionfs").names().filter { !lasting.contains($0) }
  }
}
