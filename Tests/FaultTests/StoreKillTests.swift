import TestSupport
import Testing

/// A command that changes a layer store is killed before each of its system calls in turn. What is
/// there then is the state before it or the one after it, for readers at once, and the next change
/// ends what it has left.
@Suite struct StoreKillTests {
  /// Which calls are counted, and every how many of them the command is killed.
  private struct Pass {
    let faults: String
    let step: Int
  }

  /// All calls, where there is time; else all that publish something, and some of the others.
  private static func passes(_ change: StoreChange) -> [Pass] {
    if Scenario.isComplete { return [Pass(faults: "kill", step: 1)] }
    return [
      Pass(faults: "kill-publish", step: 1), Pass(faults: "kill-change", step: 13),
      Pass(faults: "kill", step: change.isQuick ? 29 : 151),
    ]
  }

  @Test(arguments: StoreChange.chosen)
  func aKillAtAnyCallLeavesTheOldStateOrTheNewOne(_ change: StoreChange) throws {
    let store = try StoreCase(change)
    let states = try store.states()
    var seen: Set<String> = []
    for pass in Self.passes(change) {
      var call = 1
      while try kill(store, change, states, pass.faults, call, &seen) { call += pass.step }
      #expect(call > pass.step, "\(pass.faults) kills nothing")
      if Scenario.isComplete {
        print("note: \(change.testDescription): killed at each of \(call - 1) calls")
      }
    }
    for state in states.dropLast() {
      #expect(seen.contains(state.view), "never left:\n\(state.view)")
    }
  }

  /// False where the command has no such call any more.
  private func kill(
    _ store: StoreCase, _ change: StoreChange, _ states: [StoreState], _ calls: String,
    _ call: Int, _ seen: inout Set<String>
  ) throws -> Bool {
    let faults = "\(calls):\(call)"
    try store.reset()
    let at = Comment(rawValue: faults)
    let last = states[states.count - 1]
    let end = try store.act(faults: faults)
    if end.status != -9 {
      #expect(end.status == 0, "\(faults): \(end.errors)")
      let state = try store.state()
      if state != last { Issue.record("\(faults):\n\(difference(last.files, state.files))") }
      return false
    }
    let shown = try store.view()
    #expect(shown.errors == "", at)
    seen.insert(shown.text)
    // Opens the store to change it, and changes nothing.
    #expect(try store.ours(["rmi", "nothing"]).status == 1, at)
    let check = try store.ours(["check", "--deep"])
    #expect(check.status == 0 && check.output == "", "\(faults): \(check.output)\(check.errors)")
    let left = try store.listing()
    #expect(try store.mounts() == [], at)
    guard let state = states.first(where: { $0.view == shown.text }) else {
      Issue.record("\(faults): a state that is none of its own:\n\(shown.text)")
      return true
    }
    if state.files != left {
      Issue.record("\(faults), from the state that was shown:\n\(difference(state.files, left))")
    }
    if state != last, Scenario.isComplete || change.isQuick || call % 4 == 1 {
      let again = try store.act()
      #expect(again.status == 0, "\(faults), then again: \(again.errors)")
      let files = try store.listing()
      if files != last.files {
        Issue.record("\(faults), then again:\n\(difference(last.files, files))")
      }
    }
    return true
  }

  @Test(arguments: [5, 28])
  func aRefusedCallIsALineAndLeavesTheOldState(_ code: Int32) throws {
    for change in StoreChange.chosen {
      let store = try StoreCase(change)
      let states = try store.states()
      var call = 3
      while try fail(store, states, call, code) { call += Scenario.isComplete ? 7 : 97 }
      if Scenario.isComplete {
        print("note: \(change.testDescription): calls up to \(call) refused with \(code)")
      }
    }
  }

  /// At every call that a transaction makes its own directory with, and others that are told of it.
  @Test func whatARefusedCallHasStagedIsGoneWithTheNextChange() throws {
    let store = try StoreCase(StoreChange("tag", ["tag", "me/app:1", "new:1"]))
    var (found, done, call) = (0, 0, 0)
    while done < 20 {
      call += 1
      try store.reset()
      let end = try store.act(faults: "fail:\(call):28")
      done = end.status == 0 ? done + 1 : 0
      guard end.errors.contains("/unionfs-swift/tmp/") else { continue }
      found += 1
      _ = try store.ours(["rmi", "nothing"])
      let check = try store.ours(["check"])
      #expect(check.status == 0 && check.output == "", "call \(call): \(check.output)")
    }
    #expect(found >= 3, "nothing was refused")
  }

  /// False once the command has no such call.
  private func fail(
    _ store: StoreCase, _ states: [StoreState], _ call: Int, _ code: Int32
  ) throws -> Bool {
    try store.reset()
    let end = try store.act(faults: "fail:\(call):\(code)")
    let at = Comment(rawValue: "call \(call): \(end.errors)")
    #expect(end.status >= 0, at)
    #expect(end.status == 0 || !end.errors.isEmpty, at)
    let read = try store.view().text
    #expect(states.contains { $0.view == read }, at)
    _ = try store.ours(["rmi", "nothing"])
    #expect(try store.view().text == read, at)
    let check = try store.ours(["check"])
    #expect(check.status == 0, "\(at.rawValue): \(check.output)")
    return end.status != 0 || read != states[states.count - 1].view || call < 400
  }
}
