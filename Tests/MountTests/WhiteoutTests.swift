import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Whiteouts {
  @Test func aWhiteoutHidesEveryBranchBelowIt() throws {
    try withUnion(
      top: [.whiteout("a")], lower: [.file("a", "1"), .whiteout("b"), .file("c", "1")],
      [.file("a", "2"), .file("b/x", "2"), .file("c", "2"), .file("d", "2")]
    ) { u throws in
      try u.expect(view: ["c=1", "d=2"], top: [".wh.a"])
      #expect(throws: Errno.missing) { try (u / "b/x").stat() }
    }
  }

  @Test(.formatOfAufs) func onPlainReadOnlyBranchesWhiteoutsAndMarksHideNothing() throws {
    try withUnion(
      [
        .rw(), .plain([.whiteout("a"), .opaque("d"), .file("d/x", "1")]),
        .lower([.file("a", "2"), .file("d/y", "2")]),
      ]
    ) { u throws in
      try u.expect(view: ["a=2", "d/", "d/x=1", "d/y=2"])
    }
  }

  @Test func anOpaqueDirectoryEndsTheMerge() throws {
    try withUnion(
      top: [.file("d/a", "0")], lower: [.opaque("d"), .file("d/b", "1")], [.file("d/c", "2")]
    ) { u throws in
      try u.expect(view: ["d/", "d/a=0", "d/b=1"])
      #expect(throws: Errno.missing) { try (u / "d/c").stat() }
    }
  }

  @Test func anOpaqueDirectoryHidesDeepDirectoriesToo() throws {
    try withUnion(
      top: [.opaque("d"), .directory("d/s")], lower: [.file("d/s/x", "1")]
    ) { u throws in
      try u.expect(view: ["d/", "d/s/"])
      try (u / "d/s/x").write("new")
      try (u / "d/s/x").unlink()
      try u.expect(view: ["d/", "d/s/"], top: ["d/", "d/.wh..wh..opq", "d/s/"])
    }
  }

  @Test(.formatOfAufs) func whereABranchHoldsBothTheRealEntryWinsAndTheRestIsHidden() throws {
    try withUnion(
      lower: [.file("f", "1"), .whiteout("f"), .file("d/a", "1"), .whiteout("d")],
      [.file("f", "2"), .file("d/b", "2")]
    ) { u throws in
      try u.expect(view: ["d/", "d/a=1", "f=1"], top: [])
      #expect(throws: Errno.missing) { try (u / "d/b").stat() }
      try (u / "f").unlink()
      try u.expect(view: ["d/", "d/a=1"], top: [".wh.f"])
    }
  }

  @Test func bothOnTopTheRealEntryWinsToo() throws {
    try withUnion(
      top: [.file("f", "0"), .whiteout("f")], lower: [.file("f", "1")], checks: [.lowerUnchanged]
    ) { u throws in
      try u.expect(view: ["f=0"])
      try (u / "f").unlink()
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test(.formatOfAufs) func aWhiteoutIsAnEmptyReadOnlyLinkOfTheBase() throws {
    try withUnion(lower: [.file("a"), .file("b"), .file("d/c"), .file("o/x")]) { u throws in
      for name: Path in ["a", "b", "d/c"] { try (u / name).unlink() }
      try shell("rm", "-r", "\(u / "o")")
      try (u / "o").mkdir()
      guard Backend.isOurs else { return }
      let base = try (u.top / ".wh..wh.aufs").stat()
      #expect(base.kind == .file && base.size == 0 && base.mode == 0o444)
      for name: Path in [".wh.a", ".wh.b", "d/.wh.c", "o/.wh..wh..opq"] {
        let status = try (u.top / name).stat()
        #expect(status.inode == base.inode, "\(name) is a link of the base")
      }
      #expect(base.links >= 4)
    }
  }

  @Test(.formatOfAufs) func withoutLinksOfTheBaseWhiteoutsAreFilesOfTheirOwn() throws {
    try withUnion(
      [.rw([]), .lower([.file("a")])], checks: .all
    ) { u throws in
      // The base is gone, as an aufs without link whiteouts leaves it.
      guard Backend.isOurs else { return }
      try (u.top / ".wh..wh.aufs").unlink()
      try (u / "a").unlink()
      try u.expect(view: [], top: [".wh.a"])
    }
  }

  @Test func aHiddenNameComesBackOnlyAsWhatIsMade() throws {
    let makers: [(String, (Path) throws -> Void)] = [
      ("x=new", { try $0.write("new") }), ("x/", { try $0.mkdir() }),
      ("x->t", { try $0.symlink(to: "t") }), ("x|fifo", { try $0.mknod(.fifo) }),
    ]
    for lower: Item in [.file("x", "old"), .file("x/y", "old"), .symlink("x", to: "old")] {
      for (line, make) in makers {
        try withUnion(lower: [lower]) { u throws in
          try shell("rm", "-r", "\(u / "x")")
          try u.expect(view: [], top: [".wh.x"])
          try make(u / "x")
          try u.expect(view: [line])
          #expect(!(u.top / ".wh.x").exists)
          try shell("rm", "-r", "\(u / "x")")
          try u.expect(view: [], top: [".wh.x"])
        }
      }
    }
  }

  @Test func createAndRemoveOverManyTimesLeavesNothing() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      for number in 0..<50 {
        let path = u / Path("d/.pivot_root\(number)")
        try path.mkdir()
        try path.rmdir()
        try path.write("x")
        try path.rename(to: u / "d/other")
        try (u / "d/other").unlink()
      }
      try u.expect(view: ["d/"], top: ["d/"])
    }
  }

  @Test func aWhiteoutOfALowerBranchIsNotRepeatedOnTop() throws {
    try withUnion(lower: [.whiteout("f"), .whiteout("d/g")], [.file("f"), .file("d/g")]) {
      u throws in
      try (u / "f").write("new")
      try (u / "d/g").write("new")
      try u.expect(view: ["d/", "d/g=new", "f=new"], top: ["d/", "d/g=new", "f=new"])
      try (u / "f").unlink()
      try (u / "d/g").unlink()
      try u.expect(view: ["d/"], top: ["d/"])
    }
  }

  @Test func aDirectoryOverALowerBranchsWhiteoutShowsNothingOfTheBranchesBelow() throws {
    try withUnion(lower: [.whiteout("d")], [.file("d/old")]) { u throws in
      try (u / "d").mkdir()
      try (u / "d/new").write("x")
      try u.expect(view: ["d/", "d/new=x"])
    }
  }

  @Test(.formatOfAufs, .rulesOfAufs) func withShwhWhiteoutsAreShown() throws {
    try withUnion(
      [
        .lower([.whiteout("a"), .whiteout("d/x"), .file("d/y", "Y"), .opaque("e"), .file("e/z")]),
        .lower([.file("a"), .file("d/x"), .whiteout("only/here"), .file("e/old")]),
      ], options: ["shwh"], checks: [.lowerUnchanged]
    ) { u throws in
      #expect(try u.mnt.names().sorted() == [".wh.a", "d", "e", "only"])
      #expect(try (u / "d").names().sorted() == [".wh.x", "y"])
      #expect(try (u / "e").names() == ["z"])
      #expect(try (u / ".wh.a").stat().kind == .file)
      #expect(try (u / "only/.wh.here").text() == "")
      #expect(throws: Errno.missing) { try (u / "a").stat() }
      #expect(throws: Errno.missing) { try (u / ".wh.none").stat() }
      #expect(throws: Errno.notPermitted) { try (u / "e/.wh..wh..opq").stat() }
      #expect(throws: Errno.readOnly) { try (u / ".wh.a").unlink() }
    }
  }

  @Test(.rulesOfAufs)
  func anImpossibleWhiteoutStaysAnErrorOnceAllIsListed() throws {
    try withUnion(
      [.rw(), .lower([.special(".wh.f", .fifo), .file("g", "1")]), .lower([.file("f", "2")])],
      checks: [.lowerUnchanged]
    ) { u throws in
      _ = try u.mnt.names()
      #expect(throws: Errno(EIO)) { try (u / "f").stat() }
      #expect(throws: Errno(EIO)) { try (u / "f").write("new") }
      #expect(throws: Errno(EIO)) { try (u / "f").mkdir() }
      #expect(try (u / "g").text() == "1")
    }
  }

  /// The name of a long whiteout is a hash that anything may have: what is none, or names another, hides
  /// nothing, and is not opened.
  @Test(.formatOfAufs) func whatOnlyHasALongWhiteoutsNameHidesNothing() throws {
    let long = Path(String(repeating: "n", count: 255))
    try withUnion(
      [
        .rw(), .lower([.file("d/f", "F"), .file("e/g", "G")]),
        .lower([.file(Path("d") / long, "L")]),
      ],
      checks: [.lowerUnchanged]
    ) { u throws in
      try (u / "d" / long).unlink()
      let marker = try #require(
        try (u.top / "d").names().first { $0.hasPrefix(".wh..wh.long.") })
      try u.unmount()
      let place = u.top / "d" / Path(marker)
      try place.unlink()
      try shell("mkfifo", "\(place)")
      try u.mount()
      #expect(try (u / "d" / long).text() == "L")
      #expect(try (u / "d").names().count == 2)
      try u.unmount()
      try place.unlink()
      try place.write("another name")
      try u.mount()
      #expect(try (u / "d" / long).text() == "L")
      #expect(try (u / "d").names().count == 2)
      #expect(try (u / "d" / long).text() == "L")
    }
  }

  @Test(.enabled(if: Backend.isOurs))
  func anImpossibleWhiteoutIsAnErrorOfThatNameOnly() throws {
    try withUnion(
      [.rw(), .lower([.directory(".wh.f"), .file("g", "1")]), .lower([.file("f", "2")])],
      checks: [.lowerUnchanged]
    ) { u throws in
      #expect(throws: Errno(EIO)) { try (u / "f").stat() }
      #expect(try (u / "g").text() == "1")
    }
  }
}
