import Glibc
import UnionCore
import TestSupport
import SystemPackage
import Testing

@testable import LayerStore

/// `diff`: the lines that Docker's drivers give for the same trees.
@Suite(.enabled(if: geteuid() == 0, "trees of a Docker are root's")) struct ContainerChangeTests {
  /// The lines for a container on two layers.
  private func changes(_ base: [Item], _ upper: [Item], _ own: [Item]) throws -> [String] {
    let store = try ImageStore()
    try store.add("a0", base)
    try store.add("b1", on: "a0", upper, tags: ["x:1"])
    try store.addContainer("cc", of: "b1", name: "web", own)
    let opened = try LayerStore(reading: FilePath(store.root.string))
    let container = try opened.catalog().container("web")
    return try ContainerChange.all(of: container, in: opened).map {
      "\($0.kind.rawValue) \(escaped($0.path))"
    }
  }

  private func changes(_ base: [Item], _ own: [Item]) throws -> [String] {
    try changes(base, [], own)
  }

  private let base: [Item] = [
    .file("d/old", "1"), .file("d/same", "1"), .file("d/sub/x", "1"), .file("d/gone/y", "1"),
    .file("e/f", "1"),
  ]

  @Test func whatIsAddedAndDeletedTellsOfItsDirectoryTooAndWhatIsChangedDoesNot() throws {
    #expect(try changes(base, [.file("d/new", "1")]) == ["C /d", "A /d/new"])
    #expect(try changes(base, [.whiteout("d/old")]) == ["C /d", "D /d/old"])
    #expect(try changes(base, [.file("d/old", "2")]) == ["C /d/old"])
    #expect(try changes(base, [.file("d/sub/new", "2")]) == ["C /d/sub", "A /d/sub/new"])
    #expect(try changes(base, [.file("top", "2"), .whiteout("e")]) == ["D /e", "A /top"])
  }

  @Test func aDirectoryThatWasMadeAnewTellsWhatIsGoneFromIt() throws {
    #expect(
      try changes(
        base,
        [
          .opaque("d"), .file("d/new", "1"), .file("d/same", "2"), .file("d/sub/z", "1"),
          .whiteout("d/old"),
        ]) == [
          "C /d", "D /d/gone", "A /d/new", "D /d/old", "C /d/same", "C /d/sub", "D /d/sub/x",
          "A /d/sub/z",
        ])
    // What an upper layer has deleted already is not deleted once more.
    #expect(
      try changes(base, [.whiteout("d/old"), .opaque("d/gone")], [.opaque("d")])
        == ["C /d", "D /d/gone", "D /d/same", "D /d/sub"])
    #expect(try changes(base, [.opaque("d")], [.file("d/old", "2")]) == ["C /d", "A /d/old"])
  }

  @Test func aWholeRootThatCoversAllTellsAllThatIsGone() throws {
    #expect(try changes(base, [.file(".wh..wh..opq", mode: 0o444)]) == ["D /d", "D /e"])
  }

  @Test func aFileInADirectorysPlaceIsAChangeAndNoMore() throws {
    #expect(try changes(base, [.file("d", "now a file")]) == ["C /d"])
    #expect(try changes(base, [.file("e/f", "2"), .whiteout("e/f")]) == ["C /e/f"])
  }
}
