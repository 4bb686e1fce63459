import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Mmap {
  @Test func aMapOfALowerFileShowsItAndBringsNothingUp() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDONLY)
      #expect(try u.map(file, size: 4).text(0..<4) == "text")
      #expect(try u.map(file, size: 4, shared: false).text(0..<4) == "text")
      try u.expect(top: [])
    }
  }

  @Test func aSharedMapWritesTheTopBranch() throws {
    try withUnion(lower: [.file("f", "some text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      let mapping = try u.map(file, size: 9, writable: true)
      #expect(mapping.text(0..<9) == "some text")
      mapping.write("SOME", at: 0)
      #expect(try file.text() == "SOME text")
      #expect(try (u / "f").text() == "SOME text")
      try mapping.sync()
      #expect(try !Backend.isOurs || (u.top / "f").text() == "SOME text")
      mapping.unmap()
      file.close()
      try u.expect(view: ["f=SOME text"], top: ["f=SOME text"])
      #expect(try (u / "f").stat().modified > builtTime)
    }
  }

  @Test func aWriteIsSeenThroughAMapOfTheSameFile() throws {
    try withUnion(top: [.file("f", "text")], lower: [.file("g")]) { u throws in
      let (file, writer) = (try u.open("f", O_RDONLY), try u.open("f", O_WRONLY))
      let mapping = try u.map(file, size: 4)
      #expect(mapping.text(0..<4) == "text")
      try writer.write("next", at: 0)
      #expect(mapping.text(0..<4) == "next")
    }
  }

  @Test func aMapMadeBeforeTheCopyUpSeesWhatIsWritten() throws {
    try withUnion(lower: [.file("f", "old text")]) { u throws in
      let mapping = try u.map(try u.open("f", O_RDONLY), size: 8)
      #expect(mapping.text(0..<8) == "old text")
      let writer = try u.open("f", O_WRONLY)
      try writer.write("new", at: 0)
      #expect(mapping.text(0..<8) == "new text")
      if Modes.collectsWrites { try writer.sync() }
      try u.expect(top: ["f=new text"])
    }
  }

  @Test func twoMapsOfOneFileAreOneMemory() throws {
    try withUnion(lower: [.file("f", "....")]) { u throws in
      let first = try u.map(try u.open("f", O_RDWR), size: 4, writable: true)
      let second = try u.map(try u.open("f", O_RDWR), size: 4, writable: true)
      first.write("a", at: 0)
      second.write("b", at: 1)
      #expect(first.text(0..<2) == "ab")
      #expect(second.text(0..<2) == "ab")
      u.closeAll()
      try u.expect(view: ["f=ab.."], top: ["f=ab.."])
    }
  }

  @Test func aMapOutlivesTheNameAndTheDescriptor() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      let mapping = try u.map(file, size: 4, writable: true)
      file.close()
      try (u / "f").unlink()
      #expect(mapping.text(0..<4) == "text")
      mapping.write("T", at: 0)
      #expect(mapping.text(0..<4) == "Text")
      mapping.unmap()
      try u.expect(view: [], top: [".wh.f"])
    }
  }

  @Test func anExecutableOfALowerBranchRuns() throws {
    try withUnion(lower: [.file("bin/x")]) { u throws in
      try (u / "bin/echo").write(bytes: Path("/bin/echo").bytesOfFile(), mode: 0o755)
      #expect(try shell("\(u / "bin/echo")", "it", "runs") == "it runs\n")
    }
  }
}
