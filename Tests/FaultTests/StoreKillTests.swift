import TestSupport
import Testing

/// A command that changes a layer store is killed before each of its system calls in turn. What is
/// there then is the state before it or the one after it, for readers at once, and the next change
/// ends what it has left.
@Suite struct StoreKillTests {
  struct Change: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let words: [String]
  }

  private static let changes = [
    Change(testDescription: "tag", words: ["tag", "me/app:1", "new:1"]),
    Change(testDescription: "rmi", words: ["rmi", "me/app:1"]),
    Change(testDescription: "create", words: ["create", "--name", "web", "me/app:1"]),
    Change(testDescription: "rm", words: ["rm", "old"]),
    Change(testDescription: "prune", words: ["prune", "-a", "--containers"]),
  ]

  private func ours(
    _ store: ImageStore, _ words: [String], faults: String? = nil
  ) throws -> Finished {
    try run(
      [Server.binary, words[0], "--root", store.root.string] + words[1...],
      environment: faults.map { ["UNIONFS_SWIFT_TEST_FAULTS": $0] } ?? [:])
  }

  private func made() throws -> ImageStore {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "b1", name: "old", [.file("a/b/c", "text")])
    return store
  }

  /// What the store tells, without a container's id.
  private func state(_ store: ImageStore) throws -> String {
    let images = try ours(store, ["images", "-a", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"])
    let containers = try ours(store, ["ps", "-a", "--format", "{{.Names}} {{.Image}}"])
    #expect(images.errors.isEmpty && containers.errors.isEmpty)
    return images.output + containers.output
  }

  @Test(arguments: changes)
  func aKillAtAnyCallLeavesTheOldStateOrTheNewOne(_ change: Change) throws {
    let (before, after) = try states(change)
    // Every call takes minutes: scripts/test-faults does that.
    let step = Scenario.isComplete ? 1 : 29
    var seen: Set<String> = []
    var call = 1
    while true {
      let store = try made()
      let end = try ours(store, change.words, faults: "kill:\(call)")
      if end.status != -9 {
        #expect(end.status == 0, "call \(call): \(end.errors)")
        break
      }
      let at = Comment(rawValue: "\(change.testDescription), killed at call \(call)")
      let read = try state(store)
      #expect(read == before || read == after, at)
      // Opens the store to change it, and changes nothing.
      #expect(try ours(store, ["rmi", "nothing"]).status == 1, at)
      #expect(try state(store) == read, at)
      let check = try run([Server.binary, "check", "--deep", "--root", store.root.string])
      #expect(check.status == 0, "\(at.rawValue): \(check.output)")
      #expect(try (store.root / "unionfs-swift/tmp").names() == [], at)
      if read == before {
        #expect(try ours(store, change.words).status == 0, "\(at.rawValue), then again")
        #expect(try state(store) == after, at)
      }
      seen.insert(read)
      call += step
    }
    #expect(seen.contains(before))
    #expect(call > step)
  }

  private func states(_ change: Change) throws -> (before: String, after: String) {
    let store = try made()
    let before = try state(store)
    #expect(try ours(store, change.words).status == 0)
    let after = try state(store)
    #expect(before != after)
    return (before, after)
  }

  @Test(arguments: [5, 28])
  func aRefusedCallIsALineAndLeavesTheOldState(_ code: Int32) throws {
    for change in Self.changes {
      let (before, after) = try states(change)
      var call = 3
      while true {
        let store = try made()
        let end = try ours(store, change.words, faults: "fail:\(call):\(code)")
        let at = Comment(rawValue: "\(change.testDescription), call \(call): \(end.errors)")
        #expect(end.status >= 0, at)
        let read = try state(store)
        #expect(read == before || read == after, at)
        _ = try ours(store, ["rmi", "nothing"])
        #expect(try state(store) == read, at)
        let check = try run([Server.binary, "check", "--root", store.root.string])
        #expect(check.status == 0, "\(at.rawValue): \(check.output)")
        if end.status == 0, read == after, call > 400 { break }
        if call > 600 { break }
        call += Scenario.isComplete ? 7 : 97
      }
    }
  }
}
