import Glibc
import TestSupport
import Testing

/// Each system call of the server fails in turn.
@Suite struct FailTests {
  @Test(arguments: Scenario.chosen(Scenario.changes + Scenario.readings), Scenario.formats)
  func aFailureOfAnyCallReachesTheCallerAndChangesNothing(
    _ scenario: Scenario, _ format: String
  ) throws {
    let options = ["whiteout=\(format)"]
    let reference = try Reference(scenario, options)
    let cases = Fault.all(calls: reference.calls + 2)
    let branches = scenario.branches(cases.map(\.folder))
    try withUnion(branches, options: options, mounted: false, checks: scenario.checks) {
      u throws in
      u.environment = Faults.environment
      try u.mount()
      let server = try #require(u.server)
      for fault in cases {
        try FaultyCase(u, server: server, scenario, reference, fault).run()
      }
    }
  }
}

/// Which call fails how.
struct Fault {
  let call: Int
  let code: Int32

  var folder: Path { "\(call)-\(code)" }

  /// Every call with two errors, some with all; in the short form with one, and some with another.
  static func all(calls: Int) -> [Fault] {
    (1...calls).flatMap { call in
      var codes = [EIO]
      if Scenario.isComplete {
        codes += call % 4 == 1 ? [ENOSPC, EDQUOT, ENOMEM, EINTR] : [[ENOSPC, EINTR][call % 2]]
      } else if call % 5 == 1 {
        codes.append([ENOSPC, EDQUOT, ENOMEM, EINTR][call / 5 % 4])
      }
      return codes.map { Fault(call: call, code: $0) }
    }
  }
}

struct FaultyCase {
  let u: Union
  let scenario: Scenario
  let reference: Reference
  let fault: Fault
  let server: Int32
  let folder: Path
  let at: Comment

  init(
    _ u: Union, server: Int32, _ scenario: Scenario, _ reference: Reference, _ fault: Fault
  ) {
    (self.u, self.scenario, self.reference, self.fault) = (u, scenario, reference, fault)
    self.server = server
    folder = u / fault.folder
    let code = Errno(fault.code)
    at = Comment(rawValue: "\(scenario.testDescription), call \(fault.call) fails with \(code)")
  }

  func run() throws {
    let before = held()
    let faults = try Faults(in: u)
    defer { faults.close() }
    try faults.arm(.fail, at: fault.call, fault.code)
    var answer = ""
    let error = try failure { answer = try scenario.act(folder) }
    // A server that died of it ends the whole scenario.
    let calls = try faults.arm(.off)
    if error != nil, calls < fault.call {
      Issue.record("\(at.rawValue): not reached, yet it failed")
    }
    if let error { try checkFailed(error) } else { try checkSucceeded(answer) }
    if error == nil, calls >= fault.call, fault.code != EINTR { try finishTidyingUp() }
    checkDescriptors(before)
  }

  private func checkFailed(_ error: Errno) throws {
    #expect(error == Errno(fault.code) && fault.code != EINTR, at)
    #expect(try u.leftovers() == [], at)
    let shown = try state(of: folder)
    #expect(
      withoutDirectoryTimes(shown) == withoutDirectoryTimes(reference.before),
      "\(at.rawValue): the view changed\n\(difference(reference.before, shown))")
    var answer = ""
    let again = try failure { answer = try scenario.act(folder) }
    #expect(again == nil, "\(at.rawValue), then again")
    if again == nil { try checkSucceeded(answer) }
  }

  private func checkSucceeded(_ answer: String) throws {
    #expect(answer == reference.answer, at)
    let shown = try state(of: folder)
    #expect(
      withoutDirectoryTimes(shown) == withoutDirectoryTimes(reference.after),
      "\(at.rawValue): not what it should have done\n\(difference(reference.after, shown))")
  }

  /// What failed was the tidying up after the operation: a needless whiteout may be left inside a
  /// directory, until that goes.
  private func finishTidyingUp() throws {
    if Scenario.isComplete { print("note: \(at.rawValue), and nobody is told") }
    for entry in try folder.entries() { try (folder / entry.name).removeTree() }
  }

  /// What the server must not hold more of afterwards: files, and whatever it holds already, since a
  /// directory is kept open once.
  private func held() -> [String] {
    var seen: Set<String> = []
    let duplicates = Server.descriptors(of: server).filter {
      $0.hasPrefix("\(u.folder)") && !seen.insert($0).inserted
    }
    return duplicates.sorted() + Server.openFiles(of: server, in: u.branches)
  }

  /// A release comes after the close, so what is still open is looked at again.
  private func checkDescriptors(_ before: [String]) {
    var now = held()
    for _ in 0..<20 where now != before {
      if Server.waitForEnd(of: server, milliseconds: 20) { break }
      now = held()
    }
    let more = Set(now).subtracting(before).sorted()
    #expect(now.count <= before.count && more == [], at)
  }
}
