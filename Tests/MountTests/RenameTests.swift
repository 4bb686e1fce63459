import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Rename {
  @Test func aLowerFileIsRenamedOnTopAndItsOldNameHidden() throws {
    try withUnion(lower: [.file("a", "text", mode: 0o4711).owned(3, 4)]) { u throws in
      let before = try (u / "a").stat()
      try (u / "a").rename(to: u / "b")
      try u.expect(view: ["b=text"], top: ["b=text", ".wh.a"])
      let after = try (u / "b").stat()
      #expect(after.inode == before.inode && after.modified == builtTime)
      #expect(after.mode == 0o4711 && after.uid == 3 && after.gid == 4)
      #expect(after.changed > before.changed)
    }
  }

  @Test func aFileOfTheTopIsRenamedWithoutAnyMark() throws {
    try withUnion(top: [.file("a", "0")], lower: [.file("x", "1")]) { u throws in
      try (u / "a").rename(to: u / "b")
      try u.expect(view: ["b=0", "x=1"], top: ["b=0"])
    }
  }

  @Test func aRenameReplacesALowerFile() throws {
    try withUnion(lower: [.file("a", "A"), .file("b", "B")]) { u throws in
      try (u / "a").rename(to: u / "b")
      try u.expect(view: ["b=A"], top: ["b=A", ".wh.a"])
      try (u / "b").unlink()
      try u.expect(view: [], top: [".wh.a", ".wh.b"])
    }
  }

  @Test func aRenameOntoAWhiteoutTakesItAway() throws {
    try withUnion(top: [.file("a", "A"), .whiteout("b")], lower: [.file("b", "B")]) { u throws in
      try (u / "a").rename(to: u / "b")
      try u.expect(view: ["b=A"], top: ["b=A"])
    }
  }

  @Test func aRenameThereAndBackLeavesNoWhiteout() throws {
    try withUnion(lower: [.file("a", "A")]) { u throws in
      try (u / "a").rename(to: u / "b")
      try (u / "b").rename(to: u / "a")
      try u.expect(view: ["a=A"], top: ["a=A"])
    }
  }

  @Test func aFileThatHidesALowerOneLeavesAWhiteoutWhenItGoes() throws {
    try withUnion(top: [.file("a", "0")], lower: [.file("a", "1")]) { u throws in
      try (u / "a").rename(to: u / "b")
      try u.expect(view: ["b=0"], top: ["b=0", ".wh.a"])
    }
  }

  @Test func aRenameAcrossLowerDirectoriesBringsBothUp() throws {
    try withUnion(lower: [.file("d/a", "A"), .file("d/keep"), .file("e/x/keep")]) { u throws in
      try (u / "d/a").rename(to: u / "e/x/b")
      try u.expect(
        view: ["d/", "d/keep=", "e/", "e/x/", "e/x/b=A", "e/x/keep="],
        top: ["d/", "d/.wh.a", "e/", "e/x/", "e/x/b=A"])
      #expect(try (u / "e").stat().modified == builtTime)
      #expect(try (u / "d").stat().modified > builtTime)
      #expect(try (u / "e/x").stat().modified > builtTime)
    }
  }

  @Test(.formatOfAufs, arguments: ["p", "l", "c", "s"])
  func everyTypeOfLowerFileCanBeRenamed(name: String) throws {
    try withUnion(lower: [
      .special("p", .fifo, mode: 0o640), .special("s", .socket),
      .special("c", .character, mode: 0o660, major: 1, minor: 3), .symlink("l", to: "nowhere"),
    ]) { u throws in
      let before = try (u / Path(name)).stat()
      try (u / Path(name)).rename(to: u / "new")
      let after = try (u / "new").stat()
      #expect(after.kind == before.kind && after.rdev == before.rdev)
      #expect(after.inode == before.inode && after.mode == before.mode)
      #expect(after.modified == builtTime)
      #expect(throws: Errno.missing) { try (u / Path(name)).stat() }
      #expect(!Backend.isOurs || (u.top / Path(".wh.\(name)")).exists)
    }
  }

  @Test func withoutReplacementAnExistingTargetOfAnyBranchRefuses() throws {
    try withUnion(top: [.file("t", "T")], lower: [.file("a", "A"), .file("b", "B")]) { u throws in
      for target: Path in ["b", "t", "a"] {
        #expect(throws: Errno.exists) {
          try (u / "a").rename(to: u / target, flags: renameNoReplace)
        }
      }
      try u.expect(view: ["a=A", "b=B", "t=T"], top: ["t=T"])
      try (u / "a").rename(to: u / "new", flags: renameNoReplace)
      try u.expect(view: ["b=B", "new=A", "t=T"], top: ["new=A", "t=T", ".wh.a"])
    }
  }

  @Test func withoutReplacementAWhitedOutTargetIsFree() throws {
    try withUnion(top: [.whiteout("b")], lower: [.file("a", "A"), .file("b", "B")]) { u throws in
      try (u / "a").rename(to: u / "b", flags: renameNoReplace)
      try u.expect(view: ["b=A"], top: ["b=A", ".wh.a"])
    }
  }

  @Test func aWhiteoutCannotBeAskedFor() throws {
    try withUnion(lower: [.file("a", "A")]) { u throws in
      #expect(throws: Errno.invalid) {
        try (u / "a").rename(to: u / "b", flags: renameWhiteout)
      }
      try u.expect(view: ["a=A"], top: [])
    }
  }

  @Test func typesMustAgree() throws {
    try withUnion(lower: [.file("f"), .directory("d"), .directory("full/x")]) { u throws in
      #expect(throws: Errno.isDirectory) { try (u / "f").rename(to: u / "d") }
      #expect(throws: Errno.notDirectory) { try (u / "d").rename(to: u / "f") }
      #expect(throws: Errno.notEmpty) { try (u / "d").rename(to: u / "full") }
      #expect(throws: Errno.missing) { try (u / "no").rename(to: u / "f") }
      #expect(throws: Errno.missing) { try (u / "f").rename(to: u / "no/f") }
      #expect(throws: Errno.invalid) { try (u / "full").rename(to: u / "full/x/y") }
      #expect(throws: Errno.notEmpty) { try (u / "full/x").rename(to: u / "full") }
      try u.expect(view: ["d/", "f=", "full/", "full/x/"], top: [])
    }
  }

  @Test func aRenameOntoItselfOrAnotherLinkOfItDoesNothing() throws {
    try withUnion(top: [.file("a", "A"), .hardLink("b", of: "a")], lower: [.file("c", "C")]) {
      u throws in
      try (u / "a").rename(to: u / "a")
      try (u / "a").rename(to: u / "b")
      try (u / "c").rename(to: u / "c")
      try u.expect(view: ["a=A", "b=A", "c=C"])
    }
  }

  @Test func anOpenFileGoesWithItsName() throws {
    try withUnion(lower: [.file("d/a", "A")]) { u throws in
      let file = try u.open("d/a", O_RDWR)
      try (u / "d/a").rename(to: u / "b")
      try file.write("more", at: 1)
      #expect(try file.text() == "Amore")
      try u.expect(view: ["d/", "b=Amore"], top: ["b=Amore", "d/", "d/.wh.a"])
    }
  }

  @Test func aReplacedOpenFileKeepsItsContentAndHasNoLink() throws {
    try withUnion(lower: [.file("a", "A"), .file("b", "B")]) { u throws in
      let old = try u.open("b", O_RDONLY)
      try (u / "a").rename(to: u / "b")
      #expect(try old.text() == "B")
      #expect(try old.stat().links == 0)
      #expect(try (u / "b").text() == "A")
    }
  }

  @Test func aReplacementIsSeenByReadersAsTheOldOrTheNewFile() throws {
    try withUnion(lower: [.file("f", "old")]) { u throws in
      let (target, new, stop) = (u / "f", u / "new", Shared(false))
      let errors = concurrently(2) { which in
        if which == 0 {
          defer { stop.change { $0 = true } }
          for number in 0..<200 {
            try new.write("new\(number % 10)")
            try new.rename(to: target)
          }
        } else {
          while !stop.now {
            let text = try target.text()
            guard text == "old" || text.wholeMatch(of: /new\d/) != nil else { throw Seen(text) }
          }
        }
      }
      #expect(errors == [])
      try u.expect(view: ["f=new9"], top: ["f=new9"])
    }
  }
}

/// What nobody should have seen.
struct Seen: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = "saw \(description)" }
}
