import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct OpenFiles {
  @Test func aReaderOpenedBeforeTheCopyUpSeesWhatIsWritten() throws {
    try withUnion(lower: [.file("f", "old text")]) { u throws in
      let reader = try u.open("f", O_RDONLY)
      #expect(try reader.text() == "old text")
      let writer = try u.open("f", O_WRONLY)
      try writer.write("new", at: 0)
      #expect(try reader.text() == "new text")
      try writer.truncate(3)
      #expect(try reader.text() == "new")
      #expect(try reader.stat().size == 3)
      try (u / "f").append("er")
      #expect(try reader.text() == "newer")
      try u.expect(view: ["f=newer"], top: ["f=newer"])
    }
  }

  @Test(.enabled(if: Modes.readersAreCoherent, "needs coherent readers"))
  func theWriteOfOneWhoOpenedWhileAReaderHeldTheFileStaysOffTheLowerBranch() throws {
    let bytes = pattern(200_000)
    try withUnion(lower: [.file("f", bytes: bytes)]) { u throws in
      let readers = try (0..<4).map { _ in try u.open("f", O_RDONLY) }
      for reader in readers { _ = try reader.read(100_000, at: 0) }
      let writer = try u.open("f", O_RDWR)
      try writer.write([UInt8](repeating: 9, count: 4096), at: 8192)
      try writer.sync()
      #expect(try (u.lower / "f").bytesOfFile() == bytes)
      for reader in readers {
        #expect(try reader.read(4096, at: 8192) == [UInt8](repeating: 9, count: 4096))
      }
    }
  }

  @Test func anUnlinkedLowerFileLivesAsLongAsItIsOpen() throws {
    try withUnion(lower: [.file("f", "text", mode: 0o640)]) { u throws in
      let file = try u.open("f", O_RDONLY)
      let number = try file.stat().inode
      try (u / "f").unlink()
      #expect(try file.text() == "text")
      let status = try file.stat()
      #expect(status.links == 0 && status.inode == number && status.mode == 0o640)
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test func anUnlinkedLowerFileCanStillBeChanged() throws {
    try withUnion(lower: [.file("d/f", "text")]) { u throws in
      let (file, reader) = (try u.open("d/f", O_RDWR), try u.open("d/f", O_RDONLY))
      try (u / "d/f").unlink()
      try file.write("new", at: 0)
      #expect(try reader.text() == "newt")
      try file.chmod(0o600)
      try file.chown(7, 8)
      try file.truncate(2)
      let status = try reader.stat()
      #expect(status.mode == 0o600 && status.uid == 7 && status.size == 2 && status.links == 0)
      #expect(try reader.text() == "ne")
      try u.expect(view: ["d/"], top: ["d/", "d/.wh.f"])
    }
  }

  @Test func anUnlinkedFileOfTheTopCanStillBeChanged() throws {
    try withUnion(top: [.file("f", "text")], lower: [.file("g")]) { u throws in
      let (file, reader) = (try u.open("f", O_RDWR), try u.open("f", O_RDONLY))
      try (u / "f").unlink()
      try file.write("new", at: 0)
      try file.chmod(0o600)
      try file.truncate(3)
      #expect(try reader.text() == "new")
      let status = try reader.stat()
      #expect(status.mode == 0o600 && status.size == 3 && status.links == 0)
      try u.expect(view: ["g="], top: [])
    }
  }

  @Test func aFileWhoseWholeDirectoryIsGoneCanStillBeChanged() throws {
    try withUnion(lower: [.file("d/e/f", "text")]) { u throws in
      let file = try u.open("d/e/f", O_RDWR)
      try shell("rm", "-r", "\(u / "d")")
      try file.write("new", at: 0)
      #expect(try file.text() == "newt")
      #expect(try file.stat().links == 0)
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func aNameUsedAgainIsAnotherFileThanTheOpenOne() throws {
    try withUnion(lower: [.file("f", "old")]) { u throws in
      let old = try u.open("f", O_RDWR)
      try (u / "f").unlink()
      try (u / "f").write("new")
      let new = try u.open("f", O_RDWR)
      #expect(try old.stat().inode != (new.stat()).inode)
      try old.write("OLD", at: 0)
      #expect(try new.text() == "new")
      #expect(try old.text() == "OLD")
      try u.expect(view: ["f=new"], top: ["f=new"])
    }
  }

  @Test func aTemporaryFileHasNoNameUntilItIsLinked() throws {
    try withUnion(lower: [.directory("d", mode: 0o755), .file("d/f", "old")]) { u throws in
      let file = try u.open("d", O_RDWR | openTemporary, 0o640)
      try file.write("text")
      #expect(try file.text() == "text")
      #expect(try file.stat().links == 0)
      #expect(try u.view() == ["d/", "d/f=old"])
      #expect(throws: Errno.exists) { try file.link(to: u / "d/f") }
      try file.link(to: u / "d/new")
      #expect(try file.stat().links == 1)
      let (opened, named) = (try file.stat(), try (u / "d/new").stat())
      #expect(opened.inode == named.inode && named.mode == 0o640)
      try u.expect(view: ["d/", "d/f=old", "d/new=text"], top: ["d/", "d/new=text"])
    }
  }

  @Test func aTemporaryFileThatIsNeverLinkedLeavesNothing() throws {
    try withUnion(lower: [.file("d/f")]) { u throws in
      let file = try u.open("d", O_RDWR | openTemporary | O_EXCL)
      try file.write("gone")
      #expect(throws: Errno.missing) { try file.link(to: u / "d/new") }
      file.close()
      #expect(try u.view() == ["d/", "d/f="])
      #expect(try !Backend.isOurs || diskTree(u.top).filter { $0 != "d/" } == [])
    }
  }

  @Test func aReadOnlyOpenThatTruncatesEmptiesFilesOfEveryBranch() throws {
    try withUnion(top: [.file("t", "top")], lower: [.file("l", "low")]) { u throws in
      for name: Path in ["t", "l", "t", "l"] {
        try (u / name).open(O_RDONLY | O_TRUNC).close()
        #expect(try (u / name).stat().size == 0)
        try (u / name).write("again")
      }
      try u.expect(view: ["l=again", "t=again"], top: ["l=again", "t=again"])
    }
  }

  @Test func truncationByOneDescriptorIsSeenByAll() throws {
    try withUnion(top: [.file("t", "long text")], lower: [.file("l", "long text")]) { u throws in
      for name: Path in ["t", "l"] {
        let (reader, writer) = (try u.open(name, O_RDONLY), try u.open(name, O_RDWR))
        #expect(try reader.read(100, at: 0).count == 9)
        _ = try u.open(name, O_WRONLY | O_TRUNC)
        #expect(try reader.read(100, at: 0) == [])
        #expect(try writer.stat().size == 0)
        try writer.write("x", at: 2)
        #expect(try reader.read(100, at: 0) == [0, 0, UInt8(ascii: "x")])
      }
    }
  }

  @Test func aDuplicateSharesItsOffset() throws {
    try withUnion(lower: [.file("f", "abcdef")]) { u throws in
      let file = try u.open("f", O_RDWR)
      let twin = u.keep(try file.duplicate())
      #expect(try file.read(2) == Array("ab".utf8))
      try twin.write("XY")
      #expect(try file.read(2) == Array("ef".utf8))
      try u.expect(view: ["f=abXYef"], top: ["f=abXYef"])
    }
  }

  @Test func aThousandOpenFilesCanBeReadAndOneMoreMade() throws {
    let items = (0..<1000).map { Item.file("d/f\($0)", "\($0)") }
    try withUnion(lower: items) { u throws in
      var limit = rlimit()
      #expect(getrlimit(__rlimit_resource_t(7), &limit) == 0)
      limit.rlim_cur = limit.rlim_max
      #expect(setrlimit(__rlimit_resource_t(7), &limit) == 0)
      let files = try (0..<1000).map { try u.open(Path("d/f\($0)"), O_RDWR) }
      for (index, file) in files.enumerated() where index % 10 == 0 {
        try file.write("+", at: 0)
      }
      for (index, file) in files.enumerated() {
        let expected = index % 10 == 0 ? "+" + "\(index)".dropFirst() : "\(index)"
        #expect(try file.text() == expected)
      }
      try (u / "one more").write("x")
    }
  }

  @Test func anOpenPathDescriptorFollowsTheFile() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let handle = try u.open("f", openPath)
      try (u / "f").chmod(0o600)
      try (u / "f").rename(to: u / "g")
      let status = try handle.stat()
      #expect(status.mode == 0o600)
      #expect(try status.inode == (u / "g").stat().inode)
      let again = u.keep(try Path("/proc/self/fd/\(handle.descriptor)").open(O_RDONLY))
      #expect(try again.text() == "text")
    }
  }
}
