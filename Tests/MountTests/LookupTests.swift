import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Lookup {
  @Test func aLowerFileShowsItsAttributes() throws {
    let item = Item.file("f", "text", mode: 0o640).owned(1234, 4321)
    try withUnion(lower: [item, .directory("d", mode: 0o2751)]) { u throws in
      let file = try (u / "f").stat()
      #expect(file.kind == .file && file.mode == 0o640 && file.size == 4 && file.links == 1)
      #expect(file.uid == 1234 && file.gid == 4321 && file.modified == builtTime)
      #expect(try (u / "d").stat().mode == 0o2751)
      #expect(try (u / "f").text() == "text")
    }
  }

  @Test func theHighestBranchThatHoldsANameWins() throws {
    try withUnion(
      top: [.file("a", "0")], lower: [.file("a", "1"), .file("b", "1")],
      [.file("a", "2"), .file("b", "2"), .file("c", "2")]
    ) { u throws in
      try u.expect(view: ["a=0", "b=1", "c=2"], top: ["a=0"])
    }
  }

  @Test func directoriesOfAllBranchesMerge() throws {
    try withUnion(
      top: [.file("d/a", "0")], lower: [.file("d/b", "1"), .file("d/e/f", "1")],
      [.file("d/c", "2"), .file("d/e/g", "2"), .file("d/a", "2")]
    ) { u throws in
      try u.expect(view: ["d/", "d/a=0", "d/b=1", "d/c=2", "d/e/", "d/e/f=1", "d/e/g=2"])
    }
  }

  @Test func aFileHidesTheDirectoryBelowIt() throws {
    try withUnion(top: [.file("x", "file")], lower: [.file("x/a", "1")]) { u throws in
      try u.expect(view: ["x=file"])
      #expect(throws: Errno.notDirectory) { try (u / "x/a").stat() }
    }
  }

  @Test func aDirectoryHidesTheFileBelowIt() throws {
    try withUnion(top: [.directory("x")], lower: [.file("x", "file")]) { u throws in
      try u.expect(view: ["x/"])
      #expect(throws: Errno.missing) { try (u / "x/a").stat() }
    }
  }

  @Test func aFileBetweenTwoDirectoriesEndsTheirMerge() throws {
    try withUnion(
      top: [.file("x/a", "0")], lower: [.file("x", "file")], [.file("x/c", "2")]
    ) { u throws in
      try u.expect(view: ["x/", "x/a=0"])
      #expect(throws: Errno.missing) { try (u / "x/c").stat() }
    }
  }

  @Test func aSymlinkToADirectoryIsNotMergedWithALowerDirectory() throws {
    try withUnion(
      top: [.symlink("x", to: "y"), .file("y/in", "y")], lower: [.file("x/a", "1")]
    ) { u throws in
      try u.expect(view: ["x->y", "y/", "y/in=y"])
      #expect(throws: Errno.missing) { try (u / "x/a").stat() }
      #expect(try (u / "x/in").stat(follow: true).size == 1)
    }
  }

  @Test func theServerFollowsNoSymlinkOutOfALowerBranch() throws {
    try withUnion(
      top: [.directory("x")], lower: [.symlink("x", to: "/proc"), .symlink("out", to: "../..")]
    ) { u throws in
      try u.expect(view: ["x/", "out->../.."])
      #expect(throws: Errno.missing) { try (u / "x/self").stat() }
    }
  }

  @Test func theAttributesOfAMergedDirectoryAreTheTopmosts() throws {
    try withUnion(
      top: [.directory("d", mode: 0o711).owned(7, 8)],
      lower: [.directory("d", mode: 0o777).owned(1, 2), .file("d/a")]
    ) { u throws in
      let status = try (u / "d").stat()
      #expect(status.mode == 0o711 && status.uid == 7 && status.gid == 8)
    }
  }

  @Test func aDirectorysLinkCountCountsItsSubdirectoriesOrIsOne() throws {
    try withUnion(
      top: [.directory("d/a")], lower: [.directory("d/a"), .directory("d/b"), .file("d/f")]
    ) { u throws in
      _ = try u.view()
      let links = try (u / "d").stat().links
      #expect(links == 1 || links == 4, "\(links)")
    }
  }

  @Test func everyTypeOfFileShowsThroughFromBelow() throws {
    try withUnion(lower: [
      .special("p", .fifo, mode: 0o620), .special("s", .socket, mode: 0o600),
      .special("c", .character, mode: 0o666, major: 1, minor: 3),
      .special("b", .block, mode: 0o640, major: 7, minor: 200), .symlink("l", to: "nowhere"),
    ]) { u throws in
      try u.expect(
        view: ["p|fifo", "s|socket", "c|character 1:3", "b|block 7:200", "l->nowhere"], top: [])
      #expect(try (u / "p").stat().mode == 0o620)
      let null = try u.open("c", O_RDWR)
      #expect(try null.write("gone") == 4)
      #expect(try null.read(4) == [])
    }
  }

  @Test func aMissingNameIsMissingAndANameBelowAFileNoDirectory() throws {
    try withUnion(lower: [.file("f"), .directory("d")]) { u throws in
      #expect(throws: Errno.missing) { try (u / "g").stat() }
      #expect(throws: Errno.missing) { try (u / "d/g").stat() }
      #expect(throws: Errno.missing) { try (u / "g/h").stat() }
      #expect(throws: Errno.notDirectory) { try (u / "f/g").stat() }
    }
  }

  @Test func dotDotLeadsToTheParentAlsoAfterAMove() throws {
    try withUnion(lower: [.directory("a/b/c"), .directory("x")]) { u throws in
      #expect(try same(u / "a/b/..", u / "a"))
      #expect(try same(u / "a/..", u.mnt))
      try (u / "a/b").rename(to: u / "x/b")
      #expect(try same(u / "x/b/..", u / "x"))
      #expect(try same(u / "x/b/c/../..", u / "x"))
    }
  }

  @Test func aNameLookedForInVainIsThereOnceItIsMade() throws {
    try withUnion(lower: [.file("d/f")]) { u throws in
      for name: Path in ["d/a", "d/b", "d/c", "d/e"] {
        #expect(throws: Errno.missing) { try (u / name).stat() }
      }
      try (u / "d/a").write("a")
      try (u / "d/b").mkdir()
      try (u / "d/c").symlink(to: "f")
      try (u / "d/f").rename(to: u / "d/e")
      for name: Path in ["d/a", "d/b", "d/c", "d/e"] { _ = try (u / name).stat() }
      #expect(throws: Errno.missing) { try (u / "d/f").stat() }
    }
  }

  @Test func aLowerDirectoryWithoutAnySearchPermissionIsStillServedToRoot() throws {
    try withUnion(lower: [.directory("d", mode: 0), .file("d/f", "x", mode: 0)]) { u throws in
      try u.expect(view: ["d/", "d/f=x"], top: [])
    }
  }
}
