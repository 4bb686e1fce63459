import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Mkdir {
  @Test func aNewDirectoryIsMadeOnTopWithoutAnyMark() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      try (u / "n").mkdir(0o750)
      try (u / "d/n").mkdir(0o1777)
      try u.expect(view: ["d/", "d/n/", "n/"], top: ["d/", "d/n/", "n/"])
      #expect(try (u / "n").stat().mode == 0o750)
      #expect(try (u / "d/n").stat().mode == 0o1755)
    }
  }

  @Test func aDirectoryMadeOverAWhiteoutIsOpaque() throws {
    try withUnion(top: [.whiteout("d")], lower: [.file("d/a", "old")]) { u throws in
      try (u / "d").mkdir(0o700)
      try u.expect(view: ["d/"], top: ["d/", "d/.wh..wh..opq"])
      #expect(try (u / "d").stat().mode == 0o700)
      #expect(throws: Errno.missing) { try (u / "d/a").stat() }
      try (u / "d/a").write("new")
      try u.expect(view: ["d/", "d/a=new"], top: ["d/", "d/.wh..wh..opq", "d/a=new"])
    }
  }

  @Test func removingAndMakingADirectoryDoesNotBringItsChildrenBack() throws {
    try withUnion(lower: [.file("d/a"), .file("d/s/b")]) { u throws in
      try shell("rm", "-r", "\(u / "d")")
      try u.expect(view: [], top: [".wh.d"])
      try (u / "d").mkdir()
      try (u / "d/s").mkdir()
      try u.expect(view: ["d/", "d/s/"], top: ["d/", "d/.wh..wh..opq", "d/s/"])
    }
  }

  @Test func aDirectoryMadeOverARemovedLowerFileHidesIt() throws {
    try withUnion(lower: [.file("x", "file")]) { u throws in
      try (u / "x").unlink()
      try (u / "x").mkdir()
      try (u / "x/a").write("a")
      try u.expect(view: ["x/", "x/a=a"])
      #expect(!(u.top / ".wh.x").exists)
    }
  }

  @Test func anExistingNameOfAnyTypeRefuses() throws {
    try withUnion(lower: [.directory("d"), .file("f"), .symlink("l", to: "d")]) { u throws in
      for name: Path in ["d", "f", "l"] {
        #expect(throws: Errno.exists) { try (u / name).mkdir() }
      }
      #expect(throws: Errno.missing) { try (u / "no/d").mkdir() }
      #expect(throws: Errno.notDirectory) { try (u / "f/d").mkdir() }
      try u.expect(top: [])
    }
  }

  @Test func aSetGroupIDDirectoryGivesItsGroupAndItsBit() throws {
    try withUnion(lower: [.directory("d", mode: 0o2775).owned(0, 500)]) { u throws in
      try (u / "d/sub").mkdir(0o755)
      try (u / "d/file").write("")
      let (sub, file) = (try (u / "d/sub").stat(), try (u / "d/file").stat())
      #expect(sub.gid == 500 && sub.mode == 0o2755)
      #expect(file.gid == 500 && file.mode == 0o644)
    }
  }

  @Test func parentsOfThreeLevelsComeUpWithTheirTimes() throws {
    try withUnion(lower: [.directory("a/b/c")]) { u throws in
      try (u / "a/b/c/n").mkdir()
      try u.expect(top: ["a/", "a/b/", "a/b/c/", "a/b/c/n/"])
      #expect(try (u / "a").stat().modified == builtTime)
      #expect(try (u / "a/b").stat().modified == builtTime)
      #expect(try (u / "a/b/c").stat().modified > builtTime)
    }
  }
}
