import JSONValue
import SystemPackage
import TestSupport
import Testing
import UnionCore

@testable import LayerStore

@Suite struct TransactionTests {
  /// Stages an image with one file.
  private func stage(
    _ head: String, on parent: String?, in transaction: Transaction
  ) throws -> StoreDirectory {
    let (own, below) = (try id(head), try parent.map { try id($0) })
    let layer = try transaction.stageLayer(own, on: below)
    try layer.diff.write("file", Array("content".utf8))
    var json: JSONValue = ["id": .string(own.hex)]
    if let below { json["parent"] = .string(below.hex) }
    return try transaction.stageImage(own, parent: below, json: json.bytes, layerSize: 7)
  }

  @Test func nothingIsSeenBeforeItIsPublishedAndAllOfItAfter() throws {
    let store = try ImageStore.sample()
    let opened = try store.changing()
    let transaction = try opened.transaction()
    _ = try stage("e4", on: "c2", in: transaction)
    let own = try stage("e5", on: "e4", in: transaction)
    try own.make("unionfs-swift").write("config", Array("{}".utf8))
    #expect(try opened.catalog().images.count == 4)
    try transaction.publish { _, _, changes throws(Failure) in
      changes.tags.set(try Reference("new:1"), to: try id5())
    }
    let catalog = try store.reading().catalog()
    #expect(try catalog.chain(of: id("e5")).count == 5)
    #expect(try catalog.image("new:1").id == id("e5"))
    #expect(try opened.imageFile("unionfs-swift/config", of: id("e5")) == Array("{}".utf8))
    #expect(try (store.diff("e5") / "file").text() == "content")
    #expect(try store.diff("e5").stat().mode == 0o755)
    #expect(try opened.check(measures: true) == [])
    #expect(try (store.root / "unionfs-swift/transactions").names() == [])
    #expect(try (store.root / "unionfs-swift/tmp").names() == [])
  }

  private func id5() throws(Failure) -> ObjectID {
    guard let id = ObjectID(ImageStore.id("e5")) else { throw Failure(.failed, "no id") }
    return id
  }

  @Test func whatIsDroppedHasNeverBeen() throws {
    let store = try ImageStore.sample()
    let before = try tree(of: store.root / "aufs") + tree(of: store.root / "graph")
    let opened = try store.changing()
    do {
      let transaction = try opened.transaction()
      _ = try stage("e4", on: "c2", in: transaction)
      _ = try transaction.makeLayer(on: id("c2").layer)
    }
    #expect(try tree(of: store.root / "aufs") + tree(of: store.root / "graph") == before)
    #expect(try (store.root / "unionfs-swift/tmp").names() == [])
    #expect(try opened.check() == [])
  }

  @Test func ofTwoThatMakeTheSameTheSecondDropsItsOwn() throws {
    let store = try ImageStore.sample()
    let opened = try store.changing()
    let (first, second) = (try opened.transaction(), try opened.transaction())
    _ = try stage("e4", on: "c2", in: first)
    _ = try stage("e4", on: "c2", in: second)
    try first.publish()
    let inode = try store.diff("e4").stat().inode
    try second.publish()
    #expect(try store.diff("e4").stat().inode == inode)
    #expect(try opened.check() == [])
    #expect(try opened.catalog().images.count == 5)
  }

  @Test func anImageInUseIsNotRemoved() throws {
    let store = try ImageStore.sample()
    let opened = try store.changing()
    let user = try opened.transaction()
    try user.use(id("c2"))
    func remove() throws {
      try opened.transaction().publish { catalog, used, changes throws(Failure) in
        _ = try ImageRemoval.remove(
          "me/app:1", catalog: catalog, used: used, changes: &changes)
      }
    }
    // Its name may go: with that it dangles, and nobody is told that it stays.
    try remove()
    let failure = try refusal {
      try opened.transaction().publish { catalog, used, changes throws(Failure) in
        _ = try ImageRemoval.remove("c2", catalog: catalog, used: used, changes: &changes)
      }
    }
    #expect(failure.message.contains("in use by another command"))
    user.abandon()
    try opened.transaction().publish { catalog, used, changes throws(Failure) in
      _ = try ImageRemoval.remove("c2", catalog: catalog, used: used, changes: &changes)
    }
    #expect(try opened.catalog().images.count == 3)
    #expect(!store.diff("c2").exists)
  }

  @Test func aTagForWhatIsNotThereIsRefused() throws {
    let store = try ImageStore.sample()
    let opened = try store.changing()
    let failure = try refusal {
      try opened.transaction().publish { _, _, changes throws(Failure) in
        changes.tags.set(try Reference("new"), to: try id5())
      }
    }
    #expect(failure.message.contains("not there"))
    #expect(try opened.check() == [])
  }

  @Test func aLayerOfModeZeroDirectoriesGoes() throws {
    let store = try ImageStore.sample()
    try (store.diff("d3") / "a").mkdir()
    try (store.diff("d3") / "a/b").mkdir()
    try (store.diff("d3") / "a/b/c").write("")
    try (store.diff("d3") / "a/link").symlink(to: "/etc")
    try (store.diff("d3") / "a/b").chmod(0)
    try (store.diff("d3") / "a").chmod(0)
    let opened = try store.changing()
    try opened.transaction().publish { catalog, used, changes throws(Failure) in
      _ = try ImageRemoval.remove("d3", catalog: catalog, used: used, changes: &changes)
    }
    #expect(try (store.root / "aufs/diff").names().count == 3)
    #expect(Path("/etc/passwd").exists)
  }

  @Test func whatDockerLeftHalfRemovedGoesWithTheNextChange() throws {
    let store = try ImageStore.sample()
    let left = store.root / Path("aufs/diff/\(ImageStore.id("f7"))-removing")
    try left.mkdir()
    try (left / "file").write("")
    #expect(try store.reading().check().map(\.kind) == [.leftover])
    #expect(try store.changing().check() == [])
    #expect(!left.exists)
  }

  @Test func aDeadTransactionIsEndedAsItsLogSays() throws {
    let store = try ImageStore.sample()
    let opened = try store.changing()
    let logs = store.root / "unionfs-swift/transactions"
    // Not committed: what it added goes, what it meant to remove stays.
    try store.layer(ImageStore.id("e4"), [])
    try (logs / "dead1").write(
      "add \(ImageStore.id("e4"))\nremove \(ImageStore.id("d3"))\nadd \(ImageStore.id("a0"))")
    // Committed: the other way round, and its tags are in force.
    try (logs / "dead2").write("remove \(ImageStore.id("d3"))\ncommit\n")
    try (store.root / "unionfs-swift/tmp/dead2").mkdir()
    try (store.root / "unionfs-swift/tmp/dead2/repositories-aufs").write(
      #"{"Repositories":{"only":{"1":"\#(ImageStore.id("a0"))"}}}"#)
    let seen = try opened.catalog()
    #expect(seen.tags.all.map(\.reference) == ["only:1"])
    #expect(seen.images.count == 3)
    let after = try store.changing().catalog()
    #expect(after.tags == seen.tags)
    #expect(after.images.keys.sorted() == seen.images.keys.sorted())
    let findings = try opened.check()
    #expect(findings == [])
    #expect(!store.diff("e4").exists)
  }
}
