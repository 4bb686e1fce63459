import JSONValue
import SystemPackage
import TestSupport
import Testing
import UnionCore

@testable import LayerStore

/// Docker's rules of `rmi`.
@Suite struct RemovalTests {
  private func remove(
    _ names: [String], force: Bool = false, prunes: Bool = true, in store: ImageStore
  ) throws -> [String] {
    let catalog = try store.reading().catalog()
    var changes = Changes(planning: catalog)
    var lines: [String] = []
    for name in names {
      let records = try ImageRemoval.remove(
        name, ImageRemoval.Options(force: force, prunesParents: prunes), catalog: catalog, used: [],
        changes: &changes)
      lines += records.map { record in
        switch record {
        case .untagged(let name): "-\(name)"
        case .deleted(let id): id.hex.prefix(2).description
        }
      }
    }
    return lines
  }

  @Test(arguments: [
    (["debian:8"], ["-debian:8"]),
    (["me/app:1"], ["-me/app:1", "c2"]),
    (["c2"], ["-me/app:1", "c2"]),
    (
      ["me/app:1", "debian", "debian:8"],
      ["-me/app:1", "c2", "-debian:latest", "-debian:8", "b1", "a0"]
    ),
    (["d3"], ["d3"]),
  ])
  func theLastNameTakesTheImageAndWhatNothingNeeds(
    _ names: [String], _ lines: [String]
  ) throws {
    #expect(try remove(names, in: ImageStore.sample()) == lines)
  }

  @Test func withoutPruningTheImagesBelowStay() throws {
    let store = try ImageStore.sample()
    let lines = try remove(["me/app:1", "debian", "debian:8"], prunes: false, in: store)
    #expect(lines.suffix(2) == ["-debian:8", "b1"])
  }

  @Test func childrenAndNamesAndContainersKeepAnImage() throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "c2", name: "web")
    #expect(
      try refusal { _ = try remove(["a0"], force: true, in: store) }.message
        == "conflict: unable to delete a00000000000 (cannot be forced) - image has dependent child images"
    )
    try store.add("e4", tags: ["x:1", "y:1"])
    #expect(
      try refusal { _ = try remove(["e4"], in: store) }.message
        == "conflict: unable to delete e40000000000 (must be forced) - image is referenced in one or more repositories"
    )
    #expect(try remove(["e4"], force: true, in: store) == ["-x:1", "-y:1", "e4"])
    #expect(
      try refusal { _ = try remove(["me/app:1"], in: store) }.message
        == "conflict: unable to remove repository reference \"me/app:1\" (must force) - container cc0000000000 is using its referenced image c20000000000"
    )
    #expect(try remove(["me/app:1"], force: true, in: store) == ["-me/app:1", "c2"])
  }

  @Test func whatABrokenImageMayNeedStays() throws {
    let store = try ImageStore.sample()
    try (store.root / Path("graph/\(ImageStore.id("c2"))/json")).write("{")
    #expect(
      try refusal { _ = try remove(["b1"], force: true, in: store) }.message.contains("broken"))
    #expect(try remove(["d3"], in: store) == ["d3"])
    #expect(try remove(["c2"], in: store) == ["-me/app:1", "c2"])
    try (store.root / Path("aufs/layers/\(ImageStore.id("c2"))")).unlink()
    #expect(try refusal { _ = try remove(["d3"], in: store) }.message.contains("broken"))
  }

  @Test func pruneTakesWhatNothingNeedsFromTheHeadsDown() throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "b1", name: "web")
    let catalog = try store.reading().catalog()
    func prune(all: Bool) throws -> [ObjectID] {
      var changes = Changes(planning: catalog)
      _ = try ImageRemoval.prune(all: all, catalog: catalog, used: [], changes: &changes)
      return changes.removedImages
    }
    #expect(try prune(all: false) == [id("d3")])
    #expect(try prune(all: true).sorted() == [id("c2"), id("d3")])
  }
}

@Suite struct StoreCheckTests {
  @Test func aSoundStoreHasNoFindings() throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "c2", name: "web")
    #expect(try store.reading().check(measures: true) == [])
  }

  @Test(arguments: [
    (StoreFinding.Kind.missingLayer, "aufs/diff/b1"), (.missingLayer, "aufs/layers/b1"),
    (.missingMountPoint, "aufs/mnt/b1"), (.brokenChain, "graph/a0"), (.broken, "graph/b1/json"),
    (.danglingTag, "graph/c2"), (.missingImage, "graph/c2"),
  ])
  func whatIsMissingIsFound(_ kind: StoreFinding.Kind, _ path: String) throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "c2", name: "web")
    let parts = path.split(separator: "/").map {
      $0.utf8.count == 2 ? ImageStore.id("\($0)") : "\($0)"
    }
    try (store.root / Path(parts.joined(separator: "/"))).removeTree()
    #expect(try store.reading().check().map(\.kind).contains(kind))
  }

  @Test func aWrongSizeAndAnotherChainAndAnOrphanAreFound() throws {
    let store = try ImageStore.sample()
    try store.add("e4", [.file("f", "12345")], size: 4)
    try (store.root / Path("aufs/layers/\(ImageStore.id("c2"))")).write(ImageStore.id("a0") + "\n")
    try store.layer(ImageStore.id("f5"), [])
    let findings = try store.reading().check(measures: true)
    #expect(
      findings.map(\.kind)
        == [.differingChains, .orphanLayer, .orphanLayer, .orphanLayer, .wrongSize])
  }

  @Test func aLinkCountsOnceAndWhatAufsKeepsDoesNot() throws {
    let store = try ImageStore.sample()
    try store.layer(
      ImageStore.id("e4"), [],
      [
        .file("a/b", "12345"), .hardLink("c", of: "a/b"), .symlink("l", to: "123"),
        .sparse("s", size: 1000), .file(".wh..wh.plnk/5", "x"), .whiteout("gone"),
      ])
    let size = try store.reading().measure(id("e4").layer)
    #expect(size.files == 1005)
    #expect(size.total == 1008)
  }
}
