import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Symlinks {
  @Test func aNewSymlinkIsMadeOnTopWithItsExactTarget() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      let odd = Path(bytes: [0x2e, 0x2e, 0x2f, 0xff, 0x0a, 0x20])
      try (u / "a").symlink(to: "d/../nowhere")
      try (u / "d/b").symlink(to: odd)
      #expect(try (u / "d/b").readlink() == odd)
      let lines = ["a->d/../nowhere", "d/", "d/b->\(odd)"]
      try u.expect(view: lines, top: lines)
      #expect(try (u / "a").stat().mode == 0o777)
      #expect(try (u / "a").stat().size == 12)
    }
  }

  @Test(arguments: [1, 59, 60, 1000, 4095])
  func aTargetOfAnyLengthIsKept(length: Int) throws {
    let target = Path(String(repeating: "x", count: length))
    let below = Path(String(repeating: "y", count: length))
    try withUnion(lower: [.symlink("low", to: below)]) { u throws in
      try (u / "new").symlink(to: target)
      #expect(try (u / "new").readlink() == target)
      #expect(try (u / "low").readlink() == below)
      try (u / "low").rename(to: u / "moved")
      #expect(try (u / "moved").readlink() == below)
    }
  }

  @Test func aSymlinkOverAWhiteoutTakesItAway() throws {
    try withUnion(top: [.whiteout("d")], lower: [.file("d/f")]) { u throws in
      try (u / "d").symlink(to: "x")
      try u.expect(view: ["d->x"], top: ["d->x"])
    }
  }

  @Test func anExistingNameRefuses() throws {
    try withUnion(lower: [.file("f"), .symlink("l", to: "x")]) { u throws in
      #expect(throws: Errno.exists) { try (u / "f").symlink(to: "y") }
      #expect(throws: Errno.exists) { try (u / "l").symlink(to: "y") }
      #expect(throws: Errno.invalid) { try (u / "f").readlink() }
      try u.expect(top: [])
    }
  }

  @Test func ownerAndTimesOfALowerSymlinkChangeOnTop() throws {
    try withUnion(lower: [.symlink("l", to: "x"), .symlink("m", to: "y")]) { u throws in
      try (u / "l").chown(11, 12)
      try (u / "m").setTimes(accessed: Moment(5, 6), modified: Moment(7, 8))
      let (l, m) = (try (u / "l").stat(), try (u / "m").stat())
      #expect(l.uid == 11 && l.gid == 12 && l.modified == builtTime)
      #expect(m.modified == Moment(7, 8))
      try u.expect(view: ["l->x", "m->y"], top: ["l->x", "m->y"])
    }
  }

  @Test func aSymlinkBelongsToItsMaker() throws {
    try withUnion(lower: [.directory("d", mode: 0o1777)]) { u throws in
      try Identity(uid: 5001, gid: 5002).run { try (u / "d/l").symlink(to: "x") }
      let status = try (u / "d/l").stat()
      #expect(status.uid == 5001 && status.gid == 5002)
    }
  }

  @Test func aCircleIsALoopAndNofollowIsHeeded() throws {
    try withUnion(lower: [.symlink("a", to: "b"), .symlink("b", to: "a"), .file("f")]) { u throws in
      #expect(throws: Errno.loop) { try (u / "a").stat(follow: true) }
      try (u / "l").symlink(to: "f")
      #expect(throws: Errno.loop) { try (u / "l").open(O_RDONLY | O_NOFOLLOW) }
    }
  }
}
