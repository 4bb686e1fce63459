import Glibc
import TestSupport
import Testing

/// Bytes that differ from block to block.
func pattern(_ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
}

@Suite(.mounts) struct ReadWrite {
  @Test func aLargeLowerFileReadsAsItIs() throws {
    let bytes = pattern(5_000_001)
    try withUnion(lower: [.file("f", bytes: bytes)]) { u throws in
      #expect(try (u / "f").bytesOfFile() == bytes)
      let file = try u.open("f", O_RDONLY)
      for offset in [0, 1, 4095, 4096, 131_071, 4_999_990] {
        let part = try file.read(5000, at: Int64(offset))
        #expect(part == Array(bytes[offset..<min(offset + 5000, bytes.count)]), "at \(offset)")
      }
      #expect(try file.read(10, at: 5_000_001) == [])
      #expect(try file.read(10, at: 1 << 40) == [])
      try u.expect(top: [])
    }
  }

  @Test func aWriteInTheMiddleKeepsTheRest() throws {
    var bytes = pattern(300_000)
    try withUnion(lower: [.file("f", bytes: bytes)]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.write("changed", at: 150_000)
      bytes.replaceSubrange(150_000..<150_007, with: "changed".utf8)
      #expect(try (u / "f").bytesOfFile() == bytes)
      #expect(try (u / "f").stat().size == 300_000)
      #expect(try !Backend.isOurs || (u.top / "f").bytesOfFile() == bytes)
    }
  }

  @Test func aWriteBehindTheEndLeavesZeros() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      try u.open("f", O_WRONLY).write("end", at: 10)
      try u.expect(view: ["f=text\\x00\\x00\\x00\\x00\\x00\\x00end"])
    }
  }

  @Test func anAppendGoesToTheEndWhateverTheOffset() throws {
    try withUnion(lower: [.file("f", "one")]) { u throws in
      let file = try u.open("f", O_RDWR | O_APPEND)
      try file.seek(0, SEEK_SET)
      try file.write("two")
      try (u / "f").append("three")
      try file.write("four")
      #expect(try file.stat().size == 15)
      try u.expect(view: ["f=onetwothreefour"], top: ["f=onetwothreefour"])
    }
  }

  @Test func truncatingAtOpenEmptiesTheFile() throws {
    try withUnion(lower: [.file("f", "long text", mode: 0o741).owned(5, 6)]) { u throws in
      let before = try (u / "f").stat()
      let file = try u.open("f", O_WRONLY | O_TRUNC)
      let after = try file.stat()
      #expect(after.size == 0 && after.inode == before.inode)
      #expect(after.mode == 0o741 && after.uid == 5 && after.gid == 6)
      #expect(after.modified > builtTime)
      try u.expect(view: ["f="], top: ["f="])
    }
  }

  @Test func everyWriterAppendsWholeLines() throws {
    try withUnion(lower: [.file("f", "start\n")]) { u throws in
      let path = u / "f"
      let errors = concurrently(6) { thread in
        let file = try path.open(O_WRONLY | O_APPEND)
        defer { file.close() }
        for number in 0..<50 { try file.write("thread \(thread) line \(number)\n") }
      }
      #expect(errors == [])
      let lines = String(decoding: try path.bytesOfFile(), as: UTF8.self).split(separator: "\n")
      let expected = (0..<6).flatMap { t in (0..<50).map { "thread \(t) line \($0)" } } + ["start"]
      #expect(lines.sorted() == expected.map { Substring($0) }.sorted())
    }
  }

  @Test func twoWritersOfOneLowerFileKeepEachOthersData() throws {
    try withUnion(lower: [.file("f", bytes: [UInt8](repeating: 0, count: 400_000))]) { u throws in
      let path = u / "f"
      let errors = concurrently(2) { half in
        let file = try path.open(O_RDWR)
        defer { file.close() }
        for block in 0..<200 {
          let bytes = [UInt8](repeating: UInt8(half + 1), count: 1000)
          try file.write(bytes, at: Int64(half * 200_000 + block * 1000))
        }
      }
      #expect(errors == [])
      let bytes = try path.bytesOfFile()
      let halves = [1, 2].map { [UInt8](repeating: $0, count: 200_000) }
      #expect(bytes == halves[0] + halves[1])
    }
  }

  @Test func accessModesAreKept() throws {
    try withUnion(lower: [.file("f", "text"), .directory("d")]) { u throws in
      let (reader, writer) = (try u.open("f", O_RDONLY), try u.open("f", O_WRONLY))
      #expect(throws: Errno.badDescriptor) { try reader.write("x") }
      #expect(throws: Errno.badDescriptor) { try writer.read(1) }
      #expect(throws: Errno.isDirectory) { try (u / "d").open(O_RDWR) }
      #expect(throws: Errno.isDirectory) { try u.open("d", O_RDONLY).read(1) }
      #expect(throws: Errno.notDirectory) { try (u / "f").open(O_RDONLY | O_DIRECTORY) }
      try u.expect(top: [])
    }
  }

  @Test func aReadSeesTheWriteBeforeItThroughAnyDescriptor() throws {
    try withUnion(top: [.file("t", "0000")], lower: [.file("l", "0000")]) { u throws in
      for name: Path in ["t", "l"] {
        let (first, second) = (try u.open(name, O_RDWR), try u.open(name, O_RDWR))
        for number in 1000..<1100 {
          try first.write("\(number)", at: 0)
          #expect(try second.text() == "\(number)")
          try second.write("\(number + 1)", at: 0)
          #expect(try first.text() == "\(number + 1)")
        }
      }
    }
  }

  @Test func aWriteSetsTheTimeOfTheFileAndNotOfItsDirectory() throws {
    try withUnion(lower: [.file("d/f", "text")]) { u throws in
      let before = try (u / "d/f").stat()
      let file = try u.open("d/f", O_WRONLY)
      try file.write("x", at: 0)
      file.close()
      let after = try (u / "d/f").stat()
      #expect(after.modified > before.modified && after.changed > before.changed)
      #expect(try (u / "d").stat().modified == builtTime)
    }
  }

  @Test func syncedDataIsOnTheTopBranch() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.write("sync", at: 0)
      try file.sync()
      #expect(try !Backend.isOurs || (u.top / "f").text() == "sync")
      try file.write("data", at: 0)
      try file.sync(dataOnly: true)
      #expect(try !Backend.isOurs || (u.top / "f").text() == "data")
      let folder = try u.open("", O_RDONLY)
      try folder.sync()
      try u.open("f", O_RDONLY).sync()
    }
  }

  @Test func aFileOnADirectDescriptorReadsAndWrites() throws {
    try withUnion(lower: [.file("f", bytes: pattern(8192))]) { u throws in
      let file = try u.open("f", O_RDWR | 0o40000)
      #expect(try file.read(8192, at: 0) == pattern(8192))
      try u.expect(view: ["f#8192:\(String(digest(pattern(8192)), radix: 16))"])
    }
  }

  @Test func aLargeFileIsWrittenAndReadBackAfterARemount() throws {
    let bytes = pattern(9_000_000)
    try withUnion(lower: [.directory("d")]) { u throws in
      try (u / "d/f").write(bytes: bytes)
      #expect(try (u / "d/f").bytesOfFile() == bytes)
      try u.remount()
      #expect(try (u / "d/f").bytesOfFile() == bytes)
    }
  }

  @Test func withNoatimeReadingMovesNoTime() throws {
    try withUnion([.rw([.file("t", "T")]), .lower([.file("l", "L")])], options: ["noatime"]) {
      u throws in
      for name: Path in ["t", "l"] {
        try (u / name).setTimes(accessed: Moment(1_000_000_000), modified: Moment(1_500_000_000))
        _ = try (u / name).text()
        #expect(try (u / name).stat().accessed == Moment(1_000_000_000))
      }
    }
  }
}
