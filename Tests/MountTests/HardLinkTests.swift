import Glibc
import TestSupport
import Testing

/// Checks for tests whose lower hard links are brought up: until the other names are real on top,
/// plain aufs rules would show them from below.
private let linked: Checks = [.lowerUnchanged, .remount, .whiteouts]

@Suite(.mounts) struct HardLinks {
  @Test func aLinkToALowerFileBringsItUpUnderBothNames() throws {
    try withUnion(lower: [.file("d/a", "A", mode: 0o751)]) { u throws in
      let before = try (u / "d/a").stat()
      try (u / "d/a").link(to: u / "b")
      try u.expect(view: ["b=A", "d/", "d/a=A"], top: ["b=A", "d/", "d/a=A"])
      #expect(try same(u / "b", u / "d/a"))
      let after = try (u / "b").stat()
      #expect(after.inode == before.inode && after.links == 2 && after.modified == builtTime)
      #expect(try same(u.top / "b", u.top / "d/a"))
      try (u / "b").append("+")
      #expect(try (u / "d/a").text() == "A+")
    }
  }

  @Test func aLinkOverAWhiteoutTakesItAway() throws {
    try withUnion(top: [.file("a", "A"), .whiteout("b")], lower: [.file("b", "B")]) { u throws in
      try (u / "a").link(to: u / "b")
      try u.expect(view: ["a=A", "b=A"], top: ["a=A", "b=A"])
    }
  }

  @Test func anExistingNameOrADirectoryRefuses() throws {
    try withUnion(lower: [.file("a"), .file("b"), .directory("d")]) { u throws in
      #expect(throws: Errno.exists) { try (u / "a").link(to: u / "b") }
      #expect(throws: Errno.exists) { try (u / "a").link(to: u / "d") }
      #expect(throws: Errno.notPermitted) { try (u / "d").link(to: u / "e") }
      #expect(throws: Errno.missing) { try (u / "no").link(to: u / "e") }
      try u.expect(top: [])
    }
  }

  @Test func linksAreCountedAsTheyComeAndGo() throws {
    try withUnion(lower: [.file("a", "A")]) { u throws in
      let file = try u.open("a", O_RDONLY)
      try (u / "a").link(to: u / "b")
      try (u / "a").link(to: u / "c")
      #expect(try file.stat().links == 3)
      try (u / "a").unlink()
      #expect(try file.stat().links == 2)
      #expect(try (u / "b").stat().links == 2)
      try (u / "b").rename(to: u / "e")
      #expect(try (u / "e").stat().links == 2)
      try (u / "c").unlink()
      try (u / "e").unlink()
      #expect(try file.stat().links == 0)
      #expect(try file.text() == "A")
      try u.expect(view: [], top: [".wh.a"])
    }
  }

  @Test func everyTypeButADirectoryCanBeLinked() throws {
    try withUnion(lower: [
      .special("p", .fifo), .symlink("l", to: "x"), .special("c", .character, major: 1, minor: 3),
    ]) { u throws in
      for name: Path in ["p", "l", "c"] {
        try (u / name).link(to: u / Path("\(name)2"))
        #expect(try same(u / name, u / Path("\(name)2")))
        #expect(try (u / name).stat().links == 2)
      }
      try u.expect(view: [
        "c|character 1:3", "c2|character 1:3", "l->x", "l2->x", "p|fifo", "p2|fifo",
      ])
    }
  }

  @Test func anOpenLowerFileCanBeLinkedByItsDescriptor() throws {
    try withUnion(lower: [.file("a", "A")]) { u throws in
      let file = try u.open("a", O_RDONLY)
      try file.link(to: u / "b")
      #expect(try same(u / "a", u / "b"))
      try u.expect(view: ["a=A", "b=A"], top: ["a=A", "b=A"])
    }
  }

  @Test func lowerLinksAreOneFileFromTheFirstStat() throws {
    try withUnion(lower: [.file("a", "A"), .hardLink("d/b", of: "a")]) { u throws in
      let (a, b) = (try (u / "a").stat(), try (u / "d/b").stat())
      #expect(a.inode == b.inode && a.links == 2 && b.links == 2)
      try u.expect(top: [])
    }
  }

  @Test func aLowerLinkThatIsHiddenIsNotCounted() throws {
    try withUnion(
      [
        .rw([.whiteout("c"), .file("e", "mine"), .file("d/x")]),
        .lower([.opaque("d"), .file("h/i/up"), .whiteout("h/i/k")]),
        .lower([
          .file("a", "A"), .hardLink("b", of: "a"), .hardLink("c", of: "a"),
          .hardLink("e", of: "a"), .hardLink("d/f/g", of: "a"), .hardLink("h/i/j", of: "a"),
          .hardLink("h/i/k", of: "a"), .file("h/i/up/m"),
        ]),
      ], checks: linked
    ) { u throws in
      for name: Path in ["a", "b", "h/i/j"] {
        #expect(try (u / name).stat().links == 3, "\(name)")
      }
      #expect(try (u / "e").stat().links == 1)
      #expect(try u.open("b", O_RDONLY).stat().links == 3)
      try (u / "b").unlink()
      #expect(try (u / "a").stat().links == 2)
      try (u / "h/i/j").append("+")
      #expect(try (u / "a").text() == "A+")
      try u.remount()
      #expect(try (u / "a").stat().links == 2)
    }
  }

  @Test func theLastLowerLinkThatShowsIsAFileByItself() throws {
    try withUnion(
      top: [.whiteout("b")], lower: [.file("a", "A"), .hardLink("b", of: "a")]
    ) { u throws in
      #expect(try (u / "a").stat().links == 1)
      try (u / "a").append("+")
      try u.expect(view: ["a=A+"], top: [".wh.b", "a=A+"])
    }
  }

  @Test func aReadOnlyUnionCountsWhatItShows() throws {
    try withUnion([
      .lower([.whiteout("b")]),
      .lower([.file("a", "A"), .hardLink("b", of: "a"), .hardLink("c", of: "a")]),
    ]) { u throws in
      #expect(try (u / "a").stat().links == 2)
      #expect(try same(u / "a", u / "c"))
    }
  }

  @Test func lowerLinksOfASpecialFileStayOne() throws {
    try withUnion(
      lower: [
        .special("p", .fifo), .hardLink("d/q", of: "p"), .hardLink("r", of: "p"),
        .symlink("l", to: "x"), .hardLink("m", of: "l"),
      ], checks: linked
    ) { u throws in
      let before = try (u / "p").stat()
      #expect(before.links == 3)
      try (u / "d/q").chmod(0o600)
      for name: Path in ["p", "d/q", "r"] {
        let status = try (u / name).stat()
        #expect(status.mode == 0o600 && status.links == 3, "\(name)")
        #expect(status.inode == before.inode)
      }
      try (u / "l").chown(3, 4)
      #expect(try (u / "m").stat().uid == 3)
      #expect("\(try (u / "m").readlink())" == "x")
      try (u / "p").unlink()
      try (u / "r").rename(to: u / "s")
      try u.remount()
      #expect(try (u / "s").stat().links == 2)
      #expect(try same(u / "s", u / "d/q"))
      #expect(try (u / "s").stat().inode == before.inode)
      try (u / "s").unlink()
      try (u / "d/q").unlink()
      try u.expect(view: ["d/", "l->x", "m->x"])
    }
  }

  @Test func aWriteThroughOneLowerLinkShowsThroughTheOthers() throws {
    try withUnion(
      lower: [.file("a", "A"), .hardLink("b", of: "a"), .hardLink("d/c", of: "a")], checks: linked
    ) { u throws in
      let before = try (u / "a").stat()
      try (u / "b").append("more")
      for name: Path in ["a", "b", "d/c"] {
        let status = try (u / name).stat()
        #expect(try (u / name).text() == "Amore")
        #expect(status.inode == before.inode && status.links == 3 && status.size == 5)
      }
      try u.remount()
      for name: Path in ["a", "b", "d/c"] {
        let status = try (u / name).stat()
        #expect(try (u / name).text() == "Amore", "after a remount")
        #expect(status.inode == before.inode && status.links == 3, "after a remount")
      }
    }
  }

  @Test func aChangeOfModeThroughOneLowerLinkShowsThroughTheOther() throws {
    try withUnion(lower: [.file("a", "A"), .hardLink("b", of: "a")], checks: linked) { u throws in
      try (u / "a").chmod(0o600)
      #expect(try (u / "b").stat().mode == 0o600)
      try (u / "b").setAttribute("user.k", "v")
      #expect(try (u / "a").attribute("user.k") == Array("v".utf8))
    }
  }

  @Test func unlinkingOneLowerLinkLeavesTheOthers() throws {
    try withUnion(
      lower: [.file("a", "A"), .hardLink("b", of: "a"), .hardLink("c", of: "a")], checks: linked
    ) { u throws in
      let before = try (u / "b").stat()
      try (u / "a").unlink()
      #expect(try (u / "b").stat().links == 2)
      try (u / "b").append("+")
      #expect(try (u / "c").text() == "A+")
      try (u / "b").unlink()
      let last = try (u / "c").stat()
      #expect(last.links == 1 && last.inode == before.inode)
      try u.expect(view: ["c=A+"])
    }
  }

  /// The other name is looked up for the first time when one link is left.
  @Test(arguments: [true, false])
  func anOpenFileIsTheOneThatItsLastNameShows(onTop: Bool) throws {
    let items: [Item] = [.file("a", "A"), .hardLink("d/b", of: "a")]
    try withUnion(top: onTop ? items : [], lower: onTop ? [] : items, checks: linked) { u throws in
      let file = try u.open("a", O_RDWR)
      let before = try file.stat()
      try (u / "a").unlink()
      try (u / "d/b").append("+")
      #expect(try file.read(2, at: 0) == Array("A+".utf8))
      try file.write("B", at: 0)
      #expect(try (u / "d/b").text() == "B+")
      let now = try (u / "d/b").stat()
      #expect(now.inode == before.inode && now.links == 1)
      #expect(try file.stat().links == 1)
      try (u / "d/b").unlink()
      #expect(try file.stat().links == 0)
      #expect(try file.read(2, at: 0) == Array("B+".utf8))
    }
  }

  @Test func renamingOneLowerLinkKeepsThemOne() throws {
    try withUnion(lower: [.file("a", "A"), .hardLink("d/b", of: "a")], checks: linked) { u throws in
      try (u / "d/b").rename(to: u / "n")
      #expect(try same(u / "a", u / "n"))
      #expect(try (u / "a").stat().links == 2)
      try (u / "a").append("+")
      try u.expect(view: ["a=A+", "d/", "n=A+"])
    }
  }

  @Test func aNewLinkToOneLowerLinkCountsWithTheOthers() throws {
    try withUnion(lower: [.file("a", "A"), .hardLink("b", of: "a")], checks: linked) { u throws in
      try (u / "a").link(to: u / "c")
      for name: Path in ["a", "b", "c"] { #expect(try (u / name).stat().links == 3, "\(name)") }
      #expect(try same(u / "b", u / "c"))
    }
  }

  @Test func aRenameOntoAnotherLowerLinkDoesNothing() throws {
    try withUnion(lower: [.file("a", "A"), .hardLink("b", of: "a")], checks: linked) { u throws in
      try (u / "a").rename(to: u / "b")
      try u.expect(view: ["a=A", "b=A"])
    }
  }

  @Test func anOpenReaderOfOneLowerLinkSeesAWriteThroughAnother() throws {
    try withUnion(lower: [.file("a", "A"), .hardLink("b", of: "a")], checks: linked) { u throws in
      let reader = try u.open("a", O_RDONLY)
      #expect(try reader.text() == "A")
      try (u / "b").append("+")
      #expect(try reader.text() == "A+")
    }
  }

  @Test func linksOfTheTopStayLinks() throws {
    try withUnion(
      top: [.file("a", "A"), .hardLink("b", of: "a")], lower: [.file("x")]
    ) { u throws in
      #expect(try same(u / "a", u / "b"))
      try (u / "a").append("+")
      try (u / "a").rename(to: u / "c")
      try u.expect(view: ["b=A+", "c=A+", "x="], top: ["b=A+", "c=A+"])
      #expect(try (u / "b").stat().links == 2)
    }
  }
}
