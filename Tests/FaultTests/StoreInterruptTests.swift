import TestSupport
import Testing

/// Long work is called off by SIGINT at one system call after another: nothing half-made is left, in the store
/// or beside it, by the command itself.
@Suite struct StoreInterruptTests {
  private static let step = Scenario.isComplete ? 1 : 71
  private static let sigint: Int32 = 2

  private static let changes = StoreChange.chosen.filter { change in
    ["commit", "import", "load", "squash", "build"].contains(change.words[0])
  }

  @Test(arguments: changes)
  func workThatIsCalledOffLeavesNothing(_ change: StoreChange) throws {
    let store = try StoreCase(change)
    let states = try store.states()
    let last = states[states.count - 1]
    var (called, done, call) = (0, 0, 1)
    while done < 3 {
      try store.reset()
      let end = try store.act(faults: "interrupt:\(call)")
      let at = Comment(rawValue: "call \(call): \(end.status) \(end.errors)")
      // Before it listens to signals there is nothing to be called off.
      if end.status == -Self.sigint { _ = try store.ours(["rmi", "nothing"]) }
      let state = try store.state()
      #expect(try store.mounts() == [], at)
      switch end.status {
      case 0:
        done += 1
        if state != last { Issue.record("\(at.rawValue)\n\(difference(last.files, state.files))") }
      case 130:
        called += 1
        #expect(end.errors.contains("unionfs-swift: cancelled; "), at)
        if !states.dropLast().contains(state) {
          Issue.record("\(at.rawValue)\n\(nearest(state, states))")
        }
      default:
        #expect(end.status == -Self.sigint, at)
        if state != states[0] {
          Issue.record("\(at.rawValue)\n\(difference(states[0].files, state.files))")
        }
      }
      let check = try store.ours(["check"])
      #expect(check.status == 0 && check.output == "", "\(at.rawValue)\n\(check.output)")
      call += Self.step
    }
    #expect(called > 0, "never called off")
  }

  private func nearest(_ state: StoreState, _ states: [StoreState]) -> String {
    let same = states.first { $0.view == state.view }
    return same.map { difference($0.files, state.files) } ?? state.view
  }

  @Test(arguments: [
    ["save", "-q", "-o", "FILES/out", "me/app:1"],
    ["save", "-q", "--format", "oci-archive", "-o", "FILES/out", "me/app:1"],
    ["save", "-q", "--format", "oci-dir", "-o", "FILES/out", "me/app:1"],
    ["export", "-q", "-o", "FILES/out", "old"],
  ])
  func anOutputThatIsCalledOffIsNotThere(_ words: [String]) throws {
    let store = try StoreCase(StoreChange(words.joined(separator: " "), words))
    let before = try store.state()
    let beside = try store.files.names()
    try store.act().requireSuccess(words[0])
    let whole = try tree(of: store.files)
    var (called, done, call) = (0, 0, 1)
    while done < 3 {
      try (store.files / "out").removeTree()
      let end = try store.act(faults: "interrupt:\(call)")
      let at = Comment(rawValue: "call \(call): \(end.status) \(end.errors)")
      if end.status == 0 {
        done += 1
        #expect(try tree(of: store.files) == whole, at)
      } else {
        called += 1
        #expect([130, -Self.sigint].contains(end.status), at)
        // A directory has a name from the beginning; the next writer takes it away.
        if end.status == 130 { #expect(try store.files.names() == beside, at) }
      }
      #expect(try store.mounts() == [], at)
      #expect(try store.state() == before, at)
      call += Self.step
    }
    #expect(called > 0, "never called off")
    #expect(try store.files.names() == (beside + ["out"]).sorted())
  }
}
