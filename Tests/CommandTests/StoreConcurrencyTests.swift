import TestSupport
import Testing

@Suite struct StoreConcurrencyTests {
  @Test func manyCommandsAtOnceLeaveAStoreThatIsSound() throws {
    let store = try ImageStore.sample()
    let root = store.root.string
    for number in 0..<4 { try store.add("e\(number)", on: "c2", tags: ["t\(number):1"]) }
    _ = try store.run("rmi", "nothing")
    let errors = concurrently(8) { index in
      let number = index / 2
      for turn in 0..<3 {
        if index % 2 == 0 {
          let made = try run([
            Server.binary, "create", "--root", root, "--name", "c\(index)-\(turn)", "me/app:1",
          ])
          try made.requireSuccess("create")
          try run([Server.binary, "tag", "--root", root, "debian", "n\(index):\(turn)"])
            .requireSuccess("tag")
          try run([Server.binary, "rm", "--root", root, "c\(index)-\(turn)"]).requireSuccess("rm")
        } else if turn == 1 {
          try run([Server.binary, "rmi", "--root", root, "t\(number):1"]).requireSuccess("rmi")
        } else {
          try run([Server.binary, "images", "--root", root]).requireSuccess("images")
        }
      }
    }
    #expect(errors == [])
    #expect(try store.lines("check").isEmpty)
    #expect(try store.lines("ps", "-aq").isEmpty)
    #expect(try store.lines("images", "--format", "{{.Repository}}:{{.Tag}}", "n*").count == 12)
    #expect(try store.lines("images", "-q", "t*").isEmpty)
    #expect(try (store.root / "unionfs-swift/tmp").names() == [])
    #expect(try (store.root / "unionfs-swift/transactions").names() == [])
    #expect(try (store.root / "aufs/diff").names().count == 4)
  }
}
