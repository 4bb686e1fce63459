import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Create {
  @Test func aNewFileIsMadeOnTopOnly() throws {
    try withUnion(lower: [.file("f", "1")]) { u throws in
      try (u / "new").write("text", mode: 0o640)
      try u.expect(view: ["f=1", "new=text"], top: ["new=text"])
      #expect(try (u / "new").stat().mode == 0o640)
      #expect(try (u.top / "new").stat().mode == 0o640)
    }
  }

  @Test func creatingOverAWhiteoutTakesTheWhiteoutAway() throws {
    try withUnion(top: [.whiteout("f")], lower: [.file("f", "old")]) { u throws in
      #expect(throws: Errno.missing) { try (u / "f").stat() }
      try (u / "f").write("new")
      try u.expect(view: ["f=new"], top: ["f=new"])
    }
  }

  @Test func aFileInALowerDirectoryBringsTheDirectoryUpAsItWas() throws {
    let directory = Item.directory("d/e", mode: 0o2771).owned(12, 34).attribute("user.k", "v")
    try withUnion(lower: [.directory("d", mode: 0o705).owned(56, 78), directory]) { u throws in
      try (u / "d/e/new").write("x")
      try u.expect(view: ["d/", "d/e/", "d/e/new=x"], top: ["d/", "d/e/", "d/e/new=x"])
      let (outer, inner) = (try (u.top / "d").stat(), try (u.top / "d/e").stat())
      #expect(outer.mode == 0o705 && outer.uid == 56 && outer.gid == 78)
      #expect(outer.modified == builtTime, "nothing was made in it")
      #expect(inner.mode == 0o2771 && inner.uid == 12 && inner.gid == 34)
      #expect(inner.modified > builtTime, "something was made in it")
      #expect(try (u.top / "d/e").attribute("user.k") == Array("v".utf8))
      #expect(try (u / "d").stat().modified == builtTime)
      #expect(try (u / "d/e").stat().modified == inner.modified)
    }
  }

  @Test func exclusiveCreationOfALowerNameFailsAndCopiesNothing() throws {
    try withUnion(lower: [.file("d/f", "1"), .symlink("d/l", to: "nowhere")]) { u throws in
      for name: Path in ["d/f", "d/l", "d"] {
        #expect(throws: Errno.exists) { try (u / name).open(O_WRONLY | O_CREAT | O_EXCL) }
      }
      try u.expect(top: [])
    }
  }

  @Test func openingALowerFileWithCreateCopiesNothing() throws {
    try withUnion(lower: [.file("f", "1")]) { u throws in
      #expect(try u.open("f", O_RDONLY | O_CREAT).text() == "1")
      try u.expect(view: ["f=1"], top: [])
    }
  }

  @Test func creatingThroughADanglingSymlinkMakesItsTarget() throws {
    try withUnion(lower: [.symlink("l", to: "d/made"), .directory("d")]) { u throws in
      try (u / "l").write("x")
      try u.expect(view: ["l->d/made", "d/", "d/made=x"], top: ["d/", "d/made=x"])
    }
  }

  @Test func creationNeedsAParentDirectory() throws {
    try withUnion(lower: [.file("f"), .file("gone/f")]) { u throws in
      #expect(throws: Errno.missing) { try (u / "no/f").write("") }
      #expect(throws: Errno.notDirectory) { try (u / "f/g").write("") }
      #expect(throws: Errno.isDirectory) { try (u / "gone").write("") }
      try u.expect(top: [])
    }
  }

  @Test(arguments: [
    (umask: 0o000, asked: 0o666, made: 0o666), (0o022, 0o666, 0o644), (0o027, 0o777, 0o750),
    (0o077, 0o4755, 0o4700),
  ])
  func theUmaskOfTheCallerHolds(umask: Int, asked: Int, made: Int) throws {
    try withUnion { u throws in
      try Identity.root(umask: UInt32(umask)).run {
        try (u / "f").write("", mode: UInt32(asked))
        try (u / "d").mkdir(UInt32(asked & 0o777))
        try (u / "p").mknod(.fifo, mode: UInt32(asked & 0o777))
      }
      #expect(try (u / "f").stat().mode == UInt32(made))
      #expect(try (u / "d").stat().mode == UInt32(made & 0o777))
      #expect(try (u / "p").stat().mode == UInt32(made & 0o777))
      #expect(try (u.top / "f").stat().mode == UInt32(made))
    }
  }

  @Test func aFileMadeWithoutWritePermissionCanBeWrittenByItsMaker() throws {
    try withUnion(lower: [.directory("d", mode: 0o777)]) { u throws in
      try Identity(uid: 5001, gid: 5002).run {
        let file = try (u / "d/f").open(O_RDWR | O_CREAT | O_EXCL, 0o400)
        defer { file.close() }
        try file.write("text")
        #expect(try file.text() == "text")
        #expect(throws: Errno.denied) { try (u / "d/f").open(O_RDWR) }
      }
      let made = try (u / "d/f").stat()
      #expect(made.uid == 5001 && made.gid == 5002 && made.mode == 0o400)
    }
  }

  @Test func ofManyExclusiveCreatorsOneWins() throws {
    try withUnion(top: [.whiteout("f")], lower: [.file("f", "old")]) { u throws in
      let path = u / "f"
      let wins = Shared(0)
      concurrently(8) { _ in
        guard let file = try? path.open(O_WRONLY | O_CREAT | O_EXCL) else { return }
        defer { file.close() }
        try file.write("w")
        wins.change { $0 += 1 }
      }
      #expect(wins.now == 1)
      try u.expect(view: ["f=w"], top: ["f=w"])
    }
  }

  @Test func creatingSetsTheTimesOfTheParent() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      let before = try (u / "d").stat()
      try (u / "d/f").write("")
      let (after, file) = (try (u / "d").stat(), try (u / "d/f").stat())
      #expect(after.modified > before.modified && after.changed > before.changed)
      #expect(after.inode == before.inode)
      #expect(file.modified > builtTime && file.accessed > builtTime)
    }
  }
}
