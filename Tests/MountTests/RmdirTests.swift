import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Rmdir {
  @Test func anEmptyLowerDirectoryBecomesAWhiteout() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      try (u / "d").rmdir()
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func aDirectoryOfTheTopLeavesNothing() throws {
    try withUnion(top: [.directory("d")], lower: [.file("f")]) { u throws in
      try (u / "d").rmdir()
      try u.expect(view: ["f="], top: [])
    }
  }

  @Test func aDirectoryWhoseLowerChildrenAreAllWhitedOutIsEmpty() throws {
    try withUnion(
      top: [.whiteout("d/a"), .whiteout("d/b")], lower: [.file("d/a")], [.file("d/b/c")]
    ) { u throws in
      try u.expect(view: ["d/"])
      try (u / "d").rmdir()
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func anOpaqueDirectoryIsEmptyWhateverIsBelow() throws {
    try withUnion(top: [.opaque("d")], lower: [.file("d/a")]) { u throws in
      try (u / "d").rmdir()
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test(.formatOfAufs) func whiteoutsOfAPlainBranchDoNotFillADirectory() throws {
    try withUnion([.rw(), .plain([.whiteout("d/x"), .opaque("d")])]) { u throws in
      try u.expect(view: ["d/"])
      try (u / "d").rmdir()
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func aDirectoryWithAVisibleEntryOfAnyBranchRefuses() throws {
    try withUnion(
      top: [.file("a/x")], lower: [.directory("a"), .file("b/x"), .directory("c")], [.file("c/x")]
    ) { u throws in
      for name: Path in ["a", "b", "c"] {
        #expect(throws: Errno.notEmpty) { try (u / name).rmdir() }
      }
      try u.expect(
        view: ["a/", "a/x=", "b/", "b/x=", "c/", "c/x="], top: ["a/", "a/x="])
    }
  }

  @Test func onlyDirectoriesAreRemoved() throws {
    try withUnion(lower: [.file("f"), .symlink("l", to: "d"), .directory("d")]) { u throws in
      #expect(throws: Errno.notDirectory) { try (u / "f").rmdir() }
      #expect(throws: Errno.notDirectory) { try (u / "l").rmdir() }
      #expect(throws: Errno.missing) { try (u / "no").rmdir() }
      #expect(throws: Errno.invalid) { try (u / "d/.").rmdir() }
      #expect(throws: Errno.busy) { try u.mnt.rmdir() }
      try u.expect(view: ["f=", "l->d", "d/"], top: [])
    }
  }

  @Test func aRemovedDirectoryThatIsOpenHasNoLinksAndTakesNoFiles() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      let folder = try u.open("d", O_RDONLY)
      let number = try folder.stat().inode
      try (u / "d").rmdir()
      #expect(try folder.stat().links == 0)
      #expect(try folder.stat().inode == number)
      #expect(throws: Errno.missing) { try folder.open("f", O_WRONLY | O_CREAT) }
      #expect(throws: Errno.missing) { try folder.mkdir("e") }
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func aTreeOverThreeBranchesIsRemovedToOneWhiteout() throws {
    try withUnion(
      top: [.file("d/a/x"), .whiteout("d/b")], lower: [.file("d/a/y"), .file("d/b/z")],
      [.file("d/c/w"), .symlink("d/l", to: "a")]
    ) { u throws in
      try shell("rm", "-r", "\(u / "d")")
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  /// What holds whiteouts leaves the view at once and is deleted by the end of the mount.
  @Test func nothingOfRemovedDirectoriesIsLeftAtTheEnd() throws {
    let lower = (0..<60).flatMap { folder in
      (0..<20).map { Item.file("t/d\(folder)/f\($0)", "text") }
    }
    try withUnion([.rw(), .lower(lower)], checks: [.lowerUnchanged]) { u throws in
      try shell("rm", "-r", "\(u / "t")")
      #expect(try u.mnt.names() == [])
      try u.unmount()
      let left = try (u.top / ".wh..wh.unionfs").names().filter { $0.hasPrefix("t") }
      #expect(left == [])
    }
  }

  @Test func removingSetsTheTimesOfTheParent() throws {
    try withUnion(lower: [.directory("p/d"), .file("p/f")]) { u throws in
      try (u / "p/d").rmdir()
      let first = try (u / "p").stat()
      #expect(first.modified > builtTime)
      try (u / "p/f").unlink()
      #expect(try (u / "p").stat().modified >= first.modified)
      try u.expect(view: ["p/"], top: ["p/", "p/.wh.d", "p/.wh.f"])
    }
  }
}
