import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct SetAttributes {
  @Test(arguments: [0o000, 0o600, 0o4755, 0o2755, 0o1777, 0o7777] as [UInt32])
  func aModeOfALowerFileChangesOnTop(mode: UInt32) throws {
    try withUnion(lower: [.file("d/f", "text", mode: 0o644).owned(9, 10)]) { u throws in
      let before = try (u / "d/f").stat()
      try (u / "d/f").chmod(mode)
      let after = try (u / "d/f").stat()
      #expect(after.mode == mode && after.uid == 9 && after.gid == 10)
      #expect(after.inode == before.inode && after.modified == builtTime)
      #expect(after.changed > before.changed)
      try u.expect(view: ["d/", "d/f=text"], top: ["d/", "d/f=text"])
      #expect(try (u / "d").stat().modified == builtTime)
    }
  }

  @Test func anOwnerOfALowerFileChangesOnTop() throws {
    try withUnion(lower: [.file("f", "text", mode: 0o640).owned(1, 2)]) { u throws in
      try (u / "f").chown(3)
      #expect(try (u / "f").stat().uid == 3)
      try (u / "f").chown(.max, 4)
      let after = try (u / "f").stat()
      #expect(after.uid == 3 && after.gid == 4 && after.mode == 0o640)
      #expect(after.modified == builtTime)
      try u.expect(view: ["f=text"], top: ["f=text"])
    }
  }

  @Test func timesAreKeptToTheNanosecond() throws {
    try withUnion(lower: [.file("f", "text"), .directory("d")]) { u throws in
      for name: Path in ["f", "d"] {
        try (u / name).setTimes(
          accessed: Moment(1, 999_999_999), modified: Moment(4_000_000_000, 1))
        let status = try (u / name).stat()
        #expect(status.accessed == Moment(1, 999_999_999), "\(name)")
        #expect(status.modified == Moment(4_000_000_000, 1), "\(name)")
      }
      try u.expect(view: ["d/", "f=text"], top: ["d/", "f=text"])
    }
  }

  @Test func oneTimeChangesWithoutTheOther() throws {
    try withUnion(lower: [.file("f")]) { u throws in
      let before = try (u / "f").stat()
      try (u / "f").setTimes(modified: Moment(7))
      let first = try (u / "f").stat()
      #expect(first.modified == Moment(7) && first.accessed == before.accessed)
      try (u / "f").setTimes(accessed: .now)
      let second = try (u / "f").stat()
      #expect(second.modified == Moment(7) && second.accessed > before.accessed)
    }
  }

  @Test(arguments: [0, 1, 4, 5, 4096, 70_000] as [Int64])
  func truncatingALowerFileToAnySizeKeepsWhatStays(size: Int64) throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      try (u / "f").truncate(size)
      let bytes = try (u / "f").bytesOfFile()
      let kept = Array("text".utf8).prefix(Int(size))
      #expect(bytes == kept + [UInt8](repeating: 0, count: Int(size) - kept.count))
      let onTop = try (u / "f").stat()
      #expect(onTop.size == UInt64(size))
      // The size that there is moves no time where the times are the kernel's own.
      #expect(onTop.modified > builtTime || (size == 4 && Modes.collectsWrites))
      #expect(!Backend.isOurs || (u.top / "f").exists)
    }
  }

  @Test func changesByDescriptorReachALowerFile() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.chmod(0o604)
      try file.chown(5, 6)
      try file.truncate(2)
      let status = try file.stat()
      #expect(status.mode == 0o604 && status.uid == 5 && status.gid == 6 && status.size == 2)
      #expect(try (u / "f").stat().mode == 0o604)
      try u.expect(view: ["f=te"], top: ["f=te"])
    }
  }

  @Test func aReadOnlyDescriptorChangesModeAndOwnerToo() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDONLY)
      try file.chmod(0o600)
      try file.chown(5, 6)
      let after = try file.stat()
      #expect(after.mode == 0o600 && after.uid == 5)
      #expect(throws: Errno.invalid) { try file.truncate(0) }
      try u.expect(view: ["f=text"], top: ["f=text"])
    }
  }

  @Test func attributesOfALowerDirectoryChangeOnTopAndItsChildrenStayBelow() throws {
    try withUnion(lower: [.file("d/f", "F"), .directory("d/s")]) { u throws in
      let before = try (u / "d").stat()
      try (u / "d").chmod(0o2700)
      try (u / "d").chown(5, 6)
      let after = try (u / "d").stat()
      #expect(after.mode == 0o2700 && after.uid == 5 && after.gid == 6)
      #expect(after.inode == before.inode && after.modified == builtTime)
      try u.expect(view: ["d/", "d/f=F", "d/s/"], top: ["d/"])
    }
  }

  @Test func theRootsAttributesAreTheTopBranchs() throws {
    try withUnion(lower: [.file("f")]) { u throws in
      try u.mnt.chmod(0o711)
      try u.mnt.chown(5, 6)
      let (root, top) = (try u.mnt.stat(), try u.top.stat())
      #expect(root.mode == 0o711 && root.uid == 5 && root.gid == 6 && root.kind == .directory)
      #expect(top.mode == 0o711 && top.uid == 5 && top.gid == 6)
    }
  }

  @Test func aChangeOfOwnerDropsSetUserID() throws {
    try withUnion(
      top: [.file("t", mode: 0o6755)],
      lower: [.file("l", mode: 0o6755), .directory("d", mode: 0o6755)]
    ) { u throws in
      for name: Path in ["t", "l"] {
        try (u / name).chown(5, 6)
        #expect(try (u / name).stat().mode == 0o755, "\(name)")
      }
      try (u / "d").chown(5, 6)
      #expect(try (u / "d").stat().mode == 0o6755, "a directory keeps its bits")
    }
  }

  @Test func aMissingFileHasNoAttributesToSet() throws {
    try withUnion(top: [.whiteout("f")], lower: [.file("f")]) { u throws in
      #expect(throws: Errno.missing) { try (u / "f").chmod(0o600) }
      #expect(throws: Errno.missing) { try (u / "f").truncate(0) }
      #expect(throws: Errno.missing) { try (u / "f").setTimes(modified: .now) }
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test func sizesThatCannotBeAreRefused() throws {
    try withUnion(lower: [.file("f", "text"), .directory("d")]) { u throws in
      #expect(throws: Errno.invalid) { try (u / "f").truncate(-1) }
      #expect(throws: Errno.isDirectory) { try (u / "d").truncate(0) }
      #expect(throws: Errno(EFBIG)) { try (u / "f").truncate(.max) }
      try u.expect(view: ["d/", "f=text"])
    }
  }
}
