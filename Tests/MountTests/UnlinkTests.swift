import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Unlink {
  @Test func unlinkingALowerFileLeavesOnlyAWhiteoutOnTop() throws {
    try withUnion(lower: [.file("f", "one"), .file("g", "two")]) { u throws in
      try (u / "f").unlink()
      #expect(throws: Errno.missing) { try (u / "f").stat() }
      #expect(throws: Errno.missing) { try (u / "f").unlink() }
      try u.expect(view: ["g=two"], top: [".wh.f"])
    }
  }

  @Test func unlinkingAFileOfTheTopOnlyLeavesNothing() throws {
    try withUnion(top: [.file("f", "0")], lower: [.file("g")]) { u throws in
      try (u / "f").unlink()
      try u.expect(view: ["g="], top: [])
    }
  }

  @Test func unlinkingAFileThatHidesALowerOneLeavesAWhiteout() throws {
    try withUnion(top: [.file("f", "0")], lower: [.file("f", "1")]) { u throws in
      try (u / "f").unlink()
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test func aFileHiddenByAMiddleWhiteoutNeedsNone() throws {
    try withUnion(top: [.file("f", "0")], lower: [.whiteout("f")], [.file("f", "2")]) { u throws in
      try (u / "f").unlink()
      try u.expect(view: [], top: [])
    }
  }

  @Test func aMiddleFileOverItsOwnBranchsWhiteoutNeedsOneWhiteout() throws {
    try withUnion(lower: [.file("f", "1")], [.whiteout("f")], [.file("f", "3")]) { u throws in
      try (u / "f").unlink()
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test func nothingIsWhitedOutInAnOpaqueDirectory() throws {
    try withUnion(top: [.opaque("d"), .file("d/f", "0")], lower: [.file("d/f", "1")]) { u throws in
      try (u / "d/f").unlink()
      try u.expect(view: ["d/"], top: ["d/", "d/.wh..wh..opq"])
    }
  }

  @Test func createAndUnlinkLeavesNoWhiteout() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      try (u / "d/f").write("x")
      try (u / "d/f").unlink()
      try u.expect(view: ["d/"], top: ["d/"])
    }
  }

  @Test func aCopiedUpFileLeavesItsWhiteout() throws {
    try withUnion(lower: [.file("f", "1")]) { u throws in
      try (u / "f").append("2")
      try u.expect(view: ["f=12"], top: ["f=12"])
      try (u / "f").unlink()
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test func everyTypeOfLowerFileCanBeUnlinked() throws {
    try withUnion(lower: [
      .special("p", .fifo), .special("s", .socket), .special("c", .character, major: 1, minor: 3),
      .symlink("l", to: "nowhere"),
    ]) { u throws in
      for name: Path in ["p", "s", "c", "l"] { try (u / name).unlink() }
      try u.expect(view: [], top: [".wh.p", ".wh.s", ".wh.c", ".wh.l"])
    }
  }

  @Test func unlinkingBelowLowerDirectoriesBringsOnlyThoseUp() throws {
    try withUnion(lower: [.file("a/b/f"), .file("a/b/g"), .file("a/h")]) { u throws in
      try (u / "a/b/f").unlink()
      try u.expect(view: ["a/", "a/b/", "a/b/g=", "a/h="], top: ["a/", "a/b/", "a/b/.wh.f"])
      #expect(try (u / "a").stat().modified == builtTime)
      #expect(try (u / "a/b").stat().modified > builtTime)
    }
  }

  @Test func aDirectoryIsNotUnlinked() throws {
    try withUnion(top: [.directory("e")], lower: [.directory("d")]) { u throws in
      #expect(throws: Errno.isDirectory) { try (u / "d").unlink() }
      #expect(throws: Errno.isDirectory) { try (u / "e").unlink() }
      #expect(throws: Errno.missing) { try (u / "no").unlink() }
      try u.expect(view: ["d/", "e/"], top: ["e/"])
    }
  }

  @Test func aFileOfAPlainReadOnlyBranchIsHiddenByTheTopsWhiteout() throws {
    try withUnion([.rw(), .plain([.file("f")])]) { u throws in
      try (u / "f").unlink()
      try u.expect(view: [], top: [".wh.f"])
    }
  }
}
