import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Listing {
  @Test func everyNameIsListedOnceWhateverTheNumberOfItsBranches() throws {
    try withUnion(
      top: [.file("d/a"), .file("d/b")], lower: [.file("d/b"), .file("d/c")],
      [.file("d/a"), .file("d/c"), .file("d/e")]
    ) { u throws in
      #expect(try (u / "d").names() == ["a", "b", "c", "e"])
    }
  }

  @Test func dotAndDotDotAreListedWithTheirInodeNumbers() throws {
    try withUnion(lower: [.directory("d/e")]) { u throws in
      let entries = try u.open("d/e", O_RDONLY).remainingEntries()
      #expect(entries.map(\.name).sorted() == [".", ".."])
      let numbers = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, $0.inode) })
      let (own, parent) = (try (u / "d/e").stat().inode, try (u / "d").stat().inode)
      #expect(numbers["."] == own)
      #expect(numbers[".."] == parent)
    }
  }

  @Test(.formatOfAufs) func namesOfAufsItselfAreNeverListed() throws {
    try withUnion(
      [
        .rw([.whiteout("a"), .file("d/x")]),
        .lower([.file("a"), .opaque("d"), .file(".wh..wh.plnk/1.2", "")]),
        .plain([.whiteout("gone"), .file(".wh..wh.aufs"), .file("seen")]),
      ], checks: [.lowerUnchanged]
    ) { u throws in
      #expect(try u.mnt.names() == ["d", "seen"])
      #expect(try (u / "d").names() == ["x"])
    }
  }

  @Test func aListingGoesOnFromAnyEntrysOffset() throws {
    let names = (0..<100).map { Path("name-of-some-length-\($0)") }
    let lower = names.prefix(60).map { Item.file("d" / $0) }
    let top = names.suffix(60).map { Item.file("d" / $0) }
    try withUnion(top: top, lower: lower) { u throws in
      let folder = try u.open("d", O_RDONLY)
      let all = try folder.remainingEntries()
      #expect(all.count == 102)
      for index in [0, 1, 50, 100, 101] {
        try folder.seek(all[index].offset, SEEK_SET)
        let rest = try folder.remainingEntries().map(\.name)
        #expect(rest == all.dropFirst(index + 1).map(\.name), "after entry \(index)")
      }
    }
  }

  @Test func aListingInSmallPiecesGivesEveryNameOnce() throws {
    let items = (0..<300).map { Item.file("n\($0)") }
    try withUnion(top: Array(items.prefix(200)), lower: Array(items.suffix(200))) { u throws in
      let folder = try u.open("", O_RDONLY)
      var names: [Path] = []
      while case let more = try folder.someEntries(size: 256), !more.isEmpty {
        names += more.map(\.name)
      }
      #expect(names.count == 302)
      #expect(Set(names).count == 302)
    }
  }

  @Test func removingWhileListingSkipsAndRepeatsNothing() throws {
    let items = (0..<500).map { Item.file("d/n\($0)") }
    try withUnion(top: Array(items.prefix(300)), lower: Array(items.suffix(300))) { u throws in
      let folder = try u.open("d", O_RDONLY)
      var removed = 0
      while case let more = try folder.someEntries(size: 1024), !more.isEmpty {
        for entry in more where entry.type == 8 {
          try folder.unlink(entry.name)
          removed += 1
        }
      }
      #expect(removed == 500)
      folder.close()
      #expect(try (u / "d").names() == [])
      try (u / "d").rmdir()
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func anOpenDirectoryKeepsItsListingUntilItIsRewound() throws {
    try withUnion(lower: (0..<50).map { .file("d/n\($0)") }) { u throws in
      let folder = try u.open("d", O_RDONLY)
      let first = try folder.someEntries(size: 512)
      for number in 0..<50 { try (u / "d/n\(number)").unlink() }
      try (u / "d/new").write("")
      let rest = try folder.remainingEntries()
      let names = (first + rest).map(\.name)
      #expect(Set(names).count == names.count)
      try folder.seek(0, SEEK_SET)
      #expect(try folder.remainingEntries().map(\.name).sorted() == [".", "..", "new"])
    }
  }

  @Test func aFreshListingShowsEveryChangeMadeBefore() throws {
    try withUnion(lower: [.file("d/a"), .file("d/b"), .directory("d/c")]) { u throws in
      #expect(try (u / "d").names() == ["a", "b", "c"])
      try (u / "d/a").unlink()
      #expect(try (u / "d").names() == ["b", "c"])
      try (u / "d/n").write("")
      #expect(try (u / "d").names() == ["b", "c", "n"])
      try (u / "d/b").rename(to: u / "d/m")
      #expect(try (u / "d").names() == ["c", "m", "n"])
      try (u / "d/c").rmdir()
      #expect(try (u / "d").names() == ["m", "n"])
      try (u / "d/n").rename(to: u / "out")
      #expect(try (u / "d").names() == ["m"])
    }
  }

  @Test func aRemovedDirectorysHandleListsNothing() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      let folder = try u.open("d", O_RDONLY)
      try (u / "d").rmdir()
      let left = (try? folder.remainingEntries().map(\.name)) ?? []
      #expect(left.filter { $0 != "." && $0 != ".." } == [])
    }
  }

  @Test func listingNeedsReadPermission() throws {
    try withUnion(lower: [.directory("d", mode: 0o711), .file("d/f", "x")]) { u throws in
      try Identity(uid: 5001, gid: 5001).run {
        #expect(throws: Errno.denied) { try (u / "d").names() }
        let text = try (u / "d/f").text()
        #expect(text == "x")
      }
    }
  }
}
