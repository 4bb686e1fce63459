import Foundation
import SnapshotTestSupport
import SystemPackage
import Testing

@testable import SnapshotStore

@Suite struct OperationTests {
  let fixture: StoreFixture
  var store: SnapshotStore { fixture.store }

  init() throws { fixture = try StoreFixture() }

  @Test func aSnapshotOnNothingIsABindOfItsDirectory() throws {
    let mounts = try store.create(.active, "a", parent: "", labels: [:])
    #expect(
      mounts == [
        MountInstruction(
          type: "bind", source: "\(fixture.folder)/1/fs", options: ["rw", "rbind"])
      ])
    #expect(try store.mounts("a") == mounts)
    #expect(fixture.scratch.names("root/snapshots/1") == ["fs", "work"])
    #expect(try fixture.scratch.mode("root") == 0o700)
    #expect(try fixture.scratch.mode("root/snapshots/1") == 0o700)
    #expect(try fixture.scratch.mode("root/snapshots/1/fs") == 0o755)
    #expect(try fixture.scratch.mode("root/snapshots/1/work") == 0o711)
  }

  @Test func aSnapshotOnLayersIsAUnionOfThemNearestFirst() throws {
    try fixture.layer("one")
    try fixture.layer("two", on: "one")
    try fixture.layer("three", on: "two")
    let folder = fixture.folder
    #expect(
      try store.create(.active, "a", parent: "three", labels: [:]) == [
        MountInstruction(
          type: "fuse3.unionfs-swift", source: "overlay",
          options: [
            "workdir=\(folder)/4/work", "upperdir=\(folder)/4/fs",
            "lowerdir=\(folder)/3/fs:\(folder)/2/fs:\(folder)/1/fs",
          ])
      ])
    #expect(
      try store.create(.view, "v", parent: "two", labels: [:]) == [
        MountInstruction(
          type: "fuse3.unionfs-swift", source: "overlay",
          options: ["lowerdir=\(folder)/2/fs:\(folder)/1/fs"])
      ])
    #expect(fixture.scratch.names("root/snapshots/5") == ["fs"])
    #expect(
      try store.create(.view, "v1", parent: "one", labels: [:]) == [
        MountInstruction(type: "bind", source: "\(folder)/1/fs", options: ["ro", "rbind"])
      ])
    #expect(
      try store.create(.view, "v0", parent: "", labels: [:]) == [
        MountInstruction(type: "bind", source: "\(folder)/7/fs", options: ["ro", "rbind"])
      ])
  }

  @Test func idMappingsBecomeOptions() throws {
    try fixture.layer("one")
    let labels = [IDMapping.user: "0:1000:65536,65536:9:1", IDMapping.group: "0:7:1"]
    let mounts = try store.create(.view, "v", parent: "one", labels: labels)
    #expect(
      mounts.first?.options == [
        "lowerdir=\(fixture.folder)/1/fs", "uidmapping=0:1000:65536:65536:9:1", "gidmapping=0:7:1",
      ])
    for hostile in ["0:1", "0:1:2:3", "0:1:x", "a,suid", "0:1:2,", "0:1:-2", "0:1:+2", "0:1: 2"] {
      #expect(
        try refusal {
          _ = try store.create(.active, "x", parent: "one", labels: [IDMapping.user: hostile])
        } == .invalidArgument)
    }
  }

  @Test func aNewLayersRootHasTheOwnerAndModeOfItsParents() throws {
    let id = try fixture.layer("one")
    let root = "root/snapshots/\(id)/fs"
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o2751], ofItemAtPath: fixture.scratch.path(root).string)
    if try #require(fixture.scratch.attributes("root")[.ownerAccountID] as? NSNumber) == 0 {
      try FileManager.default.setAttributes(
        [.ownerAccountID: 12, .groupOwnerAccountID: 34],
        ofItemAtPath: fixture.scratch.path(root).string)
      // chown(2) takes the bit away from files only, and Foundation's order is its own.
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o2751], ofItemAtPath: fixture.scratch.path(root).string)
    }
    _ = try store.create(.active, "a", parent: "one", labels: [:])
    let made = "root/snapshots/\(try fixture.number(of: "a"))/fs"
    for key in [FileAttributeKey.ownerAccountID, .groupOwnerAccountID, .posixPermissions] {
      let expected = try fixture.scratch.attributes(root)[key] as? NSNumber
      #expect(try fixture.scratch.attributes(made)[key] as? NSNumber == expected)
    }
  }

  @Test func whatIsCreatedCanBeReadBack() throws {
    let before = Int64(Date().timeIntervalSince1970 * 1e9) - 1_000_000
    _ = try store.create(.active, "a", parent: "", labels: ["x": "1", "gone": ""])
    let info = try store.stat("a")
    #expect(info.kind == .active && info.parent.isEmpty && info.name == "a")
    #expect(info.labels == ["x": "1"])
    #expect(info.created > before && info.created == info.updated)
    try store.commit("a", as: "b", labels: ["y": "2"])
    let committed = try store.stat("b")
    #expect(committed.kind == .committed && committed.labels == ["y": "2"])
    #expect(committed.created >= info.created)
    #expect(try refusal { _ = try store.stat("a") } == .notFound)
  }

  @Test func errorsHaveTheCodesByWhichContainerdDecides() throws {
    try fixture.layer("one")
    _ = try store.create(.active, "a", parent: "one", labels: [:])
    _ = try store.create(.view, "v", parent: "one", labels: [:])
    func create(_ key: String, _ parent: String) throws -> SnapshotError.Code {
      try refusal { _ = try store.create(.active, key, parent: parent, labels: [:]) }
    }
    #expect(try create("a", "one") == .alreadyExists)
    #expect(try create("one", "") == .alreadyExists)
    #expect(try create("b", "absent") == .notFound)
    #expect(try create("b", "a") == .invalidArgument)
    #expect(try create("", "one") == .invalidArgument)
    #expect(try create("a\0b", "one") == .invalidArgument)
    #expect(try create(String(repeating: "k", count: 32769), "one") == .invalidArgument)
    #expect(try refusal { _ = try store.mounts("one") } == .failedPrecondition)
    #expect(try refusal { _ = try store.mounts("absent") } == .notFound)
    #expect(try refusal { try store.commit("v", as: "w", labels: [:]) } == .failedPrecondition)
    #expect(try refusal { try store.commit("one", as: "w", labels: [:]) } == .failedPrecondition)
    #expect(try refusal { try store.commit("absent", as: "w", labels: [:]) } == .notFound)
    #expect(try refusal { try store.commit("a", as: "one", labels: [:]) } == .alreadyExists)
    #expect(try refusal { try store.commit("a", as: "", labels: [:]) } == .invalidArgument)
    #expect(
      try refusal { try store.commit("a", as: "w", parent: "v", labels: [:]) } == .invalidArgument)
    #expect(try refusal { try store.remove("one") } == .failedPrecondition)
    #expect(try refusal { try store.remove("absent") } == .notFound)
    #expect(try refusal { _ = try store.usage("absent") } == .notFound)
    #expect(
      try refusal { _ = try store.update("absent", labels: [:], fields: []) } == .notFound)
    // Nothing of all that has left anything.
    #expect(fixture.directories.count == 3)
    #expect(try store.list([]).map(\.name) == ["a", "one", "v"])
    try store.commit("a", as: "w", parent: "one", labels: [:])
    #expect(try store.stat("w").parent == "one")
  }

  @Test func aParentGoesAfterItsChildren() throws {
    try fixture.layer("one")
    try fixture.layer("two", on: "one")
    _ = try store.create(.view, "v", parent: "two", labels: [:])
    #expect(try refusal { try store.remove("one") } == .failedPrecondition)
    #expect(try refusal { try store.remove("two") } == .failedPrecondition)
    try store.remove("v")
    try store.remove("two")
    try store.remove("one")
    #expect(fixture.directories.isEmpty)
    #expect(try store.list([]).isEmpty)
  }

  @Test func labelsAreChangedAllOrOneByOne() throws {
    _ = try store.create(.active, "a", parent: "", labels: ["x": "1", "y": "2"])
    let before = try store.stat("a")
    #expect(
      try store.update("a", labels: ["x": "9", "z": "3"], fields: ["labels.x"]).labels
        == ["x": "9", "y": "2"])
    #expect(
      try store.update("a", labels: [:], fields: ["labels.y", "labels.absent"]).labels == ["x": "9"]
    )
    #expect(
      try store.update("a", labels: ["q": "4", "e": ""], fields: ["labels"]).labels == ["q": "4"])
    #expect(
      try store.update("a", labels: ["dotted.name": "5"], fields: []).labels == ["dotted.name": "5"]
    )
    #expect(
      try store.update("a", labels: ["dotted.name": "6"], fields: ["labels.dotted.name"]).labels
        == ["dotted.name": "6"])
    let after = try store.stat("a")
    #expect(after.created == before.created && after.updated > before.updated)
    for field in ["name", "kind", "parent", "created_at", "label", ""] {
      #expect(
        try refusal { _ = try store.update("a", labels: [:], fields: [field]) } == .invalidArgument)
    }
    #expect(try store.stat("a").labels == ["dotted.name": "6"])
  }

  @Test func aLabelThatIsTooLongOrHoldsANulIsRefused() throws {
    let long = String(repeating: "v", count: 4096)
    for labels in [["x": long], ["x\0": "1"], ["x": "\0"]] {
      #expect(
        try refusal { _ = try store.create(.active, "a", parent: "", labels: labels) }
          == .invalidArgument)
    }
    _ = try store.create(.active, "a", parent: "", labels: ["x": String(long.dropFirst())])
    #expect(
      try refusal { _ = try store.update("a", labels: ["x": long], fields: []) } == .invalidArgument
    )
    #expect(fixture.directories.count == 1)
  }

  @Test(arguments: [
    "../../../../etc/passwd", "/absolute", "..", ".", "a/b/c", "new-1", "gone-1", "1", "work",
    "k8s.io/37/extract-12 sha256:aa", "%2e%2e", "'; DROP TABLE snapshot; --", "né\u{301}", "\n",
  ])
  func aKeyIsNeverAPath(_ key: String) throws {
    _ = try store.create(.active, key, parent: "", labels: [key: key])
    #expect(fixture.directories == ["1"])
    #expect(try store.stat(key).labels == [key: key])
    try store.commit(key, as: key + " done", labels: [:])
    #expect(try store.list([]).map(\.name) == [key + " done"])
    try store.remove(key + " done")
    #expect(fixture.directories.isEmpty)
    #expect(fixture.scratch.names("") == ["root"])
  }

  @Test func keysThatOnlyUnicodeTakesForEqualAreTwo() throws {
    _ = try store.create(.active, "caf\u{e9}", parent: "", labels: [:])
    _ = try store.create(.active, "cafe\u{301}", parent: "", labels: [:])
    try store.remove("caf\u{e9}")
    #expect(try store.list([]).map { Array($0.name.utf8) } == [Array("cafe\u{301}".utf8)])
  }

  @Test func manyAtOnceAllGetDirectoriesOfTheirOwn() throws {
    try fixture.layer("base")
    let store = store
    DispatchQueue.concurrentPerform(iterations: 48) { index in
      _ = try? store.create(
        index % 2 == 0 ? .active : .view, "key \(index / 3)", parent: "base", labels: [:])
      if index % 5 == 0 { try? store.remove("key \(index / 5)") }
      if index % 7 == 0 { try? store.cleanup() }
    }
    let used = Set(try store.metadata.records().map { String($0.id.number) })
    #expect(Set(fixture.directories) == used)
    #expect(used.count > 1)
    for info in try store.list(["kind!=committed"]) {
      #expect(try !store.mounts(info.name).isEmpty)
    }
  }

  @Test func listsAreFilteredAndSortedByBytes() throws {
    for name in ["b", "a", "B", "é", "z"] { try fixture.layer(name) }
    _ = try store.create(.view, "0/view", parent: "a", labels: ["l": "1"])
    #expect(try store.list([]).map(\.name) == ["0/view", "B", "a", "b", "z", "é"])
    #expect(try store.list(["parent==a", "name==z"]).map(\.name) == ["0/view", "z"])
    #expect(try refusal { _ = try store.list(["name=="]) } == .invalidArgument)
  }
}
