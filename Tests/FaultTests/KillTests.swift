import TestSupport
import Testing

/// The server is killed before each of its system calls in turn. What is there at the next mount is
/// the state before the operation or the one after it.
@Suite struct KillTests {
  @Test(arguments: Scenario.chosen(Scenario.changes), Scenario.formats)
  func aKillAtAnyCallLeavesTheOldStateOrTheNewOne(_ scenario: Scenario, _ format: String) throws {
    let options = ["whiteout=\(format)"]
    let reference = try Reference(scenario, options)
    let calls = 1...(reference.calls + 4)
    let branches = scenario.branches(calls.map { "\($0)" })
    try withUnion(branches, options: options, mounted: false, checks: scenario.checks) {
      u throws in
      u.environment = Faults.environment
      try u.mount()
      for call in calls where try !kill(u, scenario, reference, at: call) { return }
      Issue.record("more calls than the \(reference.calls) that were counted")
    }
  }

  /// False where the operation has no such call any more.
  private func kill(
    _ u: Union, _ scenario: Scenario, _ reference: Reference, at call: Int
  ) throws -> Bool {
    let folder = u / "\(call)"
    let at = Comment(rawValue: "\(scenario.testDescription), killed at call \(call)")
    let server = try #require(u.server)
    let faults = try Faults(in: u)
    defer { faults.close() }
    try faults.arm(.kill, at: call)
    let error = try failure { _ = try scenario.act(folder) }
    if (try? faults.arm(.off)) != nil {
      #expect(error == nil, at)
      #expect(try state(of: folder) == reference.after, at)
      return false
    }
    faults.close()
    try u.clearDeadMount(of: server)
    try u.mount()
    #expect(try u.leftovers() == [], at)
    #expect(try u.needlessWhiteouts(in: "\(call)") == [], at)
    try check(folder, scenario, reference, isAcknowledged: error == nil, at)
    return true
  }

  /// The state after a crash is one of the two, the operation can be done from there, and nothing of
  /// it remains once all is removed (the fixture looks for needless whiteouts).
  private func check(
    _ folder: Path, _ scenario: Scenario, _ reference: Reference, isAcknowledged: Bool,
    _ at: Comment
  ) throws {
    let before = withoutDirectoryTimes(reference.before)
    let after = withoutDirectoryTimes(reference.after)
    let shown = withoutDirectoryTimes(try state(of: folder))
    if shown == before, before != after {
      #expect(!isAcknowledged, at)
      let error = try failure { _ = try scenario.act(folder) }
      #expect(error == nil, "\(at.rawValue), then again")
      let again = withoutDirectoryTimes(try state(of: folder))
      #expect(again == after, "\(at.rawValue), then again:\n\(difference(after, again))")
    } else if shown != after {
      Issue.record(
        """
        \(at.rawValue)
        from the old state:
        \(difference(before, shown))
        from the new state:
        \(difference(after, shown))
        """)
    }
    for entry in try folder.entries() { try (folder / entry.name).removeTree() }
    #expect(try folder.names() == [], at)
  }
}
