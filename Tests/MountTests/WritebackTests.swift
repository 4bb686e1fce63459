import Glibc
import TestSupport
import Testing

/// Where the kernel does not write by itself it collects what is written. Nothing of it shows but the speed:
/// a closed file's bytes are in the top branch, and a write that finds no room says so.
@Suite(.mounts, .rulesOfAufs) struct Writeback {
  private func withCollected(
    _ branches: [Branch], options: [String] = [], _ body: (Union) throws -> Void
  ) throws {
    try withUnion(branches, options: ["passthrough=off"] + options, mounted: false) { u throws in
      u.environment = Faults.environment
      try u.mount()
      try body(u)
    }
  }

  private func trips(_ u: Union, _ body: () throws -> Void) throws -> Int {
    let faults = try Faults(in: u)
    defer { faults.close() }
    return try faults.roundTrips(body)
  }

  private func write(_ count: Int, to path: Path) throws {
    let file = try path.open(O_WRONLY | O_CREAT)
    defer { file.close() }
    for page in 0..<count {
      try file.write([UInt8](repeating: UInt8(page & 255), count: 4096), at: Int64(page * 4096))
    }
  }

  @Test(.enabled(if: !Modes.options.contains("writeback=off"), "collects writes"))
  func smallWritesAreSentInLargePieces() throws {
    try withCollected([.rw(), .lower()]) { u throws in
      let count = try trips(u) { try write(256, to: u / "f") }
      #expect(count < 40, "\(count) requests for 256 writes")
      #expect(try (u.top / "f").stat().size == 256 * 4096)
    }
  }

  @Test func theyAreSentAtOnceWhereThatIsAskedFor() throws {
    try withCollected([.rw(), .lower()], options: ["writeback=off"]) { u throws in
      let count = try trips(u) { try write(256, to: u / "f") }
      #expect(count >= 256)
    }
  }

  @Test func whatIsClosedIsInTheTopBranch() throws {
    try withCollected([.rw(), .lower([.file("f", bytes: pattern(100_000))])]) { u throws in
      let reader = try u.open("f", O_RDONLY)
      let writer = try u.open("f", O_RDWR)
      #expect(!(u.top / "f").exists)
      try writer.write(Array("new".utf8), at: 50_000)
      #expect(try reader.read(3, at: 50_000) == Array("new".utf8))
      writer.close()
      var expected = pattern(100_000)
      expected.replaceSubrange(50_000..<50_003, with: Array("new".utf8))
      #expect(try (u.top / "f").bytesOfFile() == expected)
      #expect(try (u.lower / "f").bytesOfFile() == pattern(100_000))
    }
  }

  @Test func aWriteThatFindsNoRoomSaysSo() throws {
    let full = Branch.rw().onTmpfs(size: "4m")
    try withCollected([full, .lower([.file("f", "text")])]) { u throws in
      let file = try u.open("g", O_RDWR | O_CREAT)
      let page = [UInt8](repeating: 7, count: 1 << 16)
      var written: Int64 = 0
      let refused = #expect(throws: Errno.self) {
        while written < 8 << 20 { written += Int64(try file.write(page, at: written)) }
      }
      #expect(refused == .noSpace)
      #expect(written > 0)
      #expect(try file.read(Int(written), at: 0).allSatisfy { $0 == 7 })
      // Little room or not, a file can be mapped to be written.
      let mapping = try u.map(file, size: 4096, writable: true)
      mapping.write("mapped", at: 0)
      try mapping.sync()
      #expect(try (u.top / "g").bytesOfFile().prefix(6).elementsEqual("mapped".utf8))
    }
  }

  /// A name is looked up anew soon after a file that was written at once is closed: with the mount's time.
  private func expectTheDisksTime(of name: Path, in u: Union) throws {
    let time = try (u.top / name).stat().modified
    for _ in 0..<10_000 {
      if try (u / name).stat().modified == time { break }
      _ = (u / "none").exists
    }
    #expect(try (u / name).stat().modified == time)
  }

  @Test(.enabled(if: !Modes.options.contains("writeback=off"), "collects writes"))
  func aBranchThatHasRunLowIsWrittenToAtOnce() throws {
    let large = Branch.rw([.file("f", "text")]).onTmpfs(size: "400g")
    try withCollected([large, .lower()]) { u throws in
      // As if somebody had filled it.
      try shell("mount", "-o", "remount,size=2m", "\(u.top)")
      let file = try u.open("f", O_RDWR)
      try file.write("more", at: 4)
      #expect(try (u.top / "f").bytesOfFile().elementsEqual("textmore".utf8))
      let page = [UInt8](repeating: 7, count: 1 << 16)
      #expect(throws: Errno.noSpace) {
        for number in 0..<64 { try file.write(page, at: Int64(number << 16) + 8) }
      }
      u.closeAll()
      try expectTheDisksTime(of: "f", in: u)
      try (u / "f").truncate(8)
    }
  }

  @Test func whatOnlyGrowsIsAppendedOnce() throws {
    try withCollected([.rw([.file("f", "one")]), .lower()]) { u throws in
      try shell("chattr", "+a", "\(u.top / "f")")
      defer { _ = try? shell("chattr", "-a", "\(u.top / "f")") }
      let file = try u.open("f", O_WRONLY | O_APPEND)
      try file.write("two")
      try file.write("three")
      u.closeAll()
      #expect(try (u / "f").text() == "onetwothree")
      #expect(try (u.top / "f").text() == "onetwothree")
      try expectTheDisksTime(of: "f", in: u)
    }
  }

  @Test func timesThatAreSetAfterAWriteStay() throws {
    try withCollected([.rw(), .lower([.file("f", "text")])]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.write("more", at: 4)
      let then = Moment(1_000_000_000, 123_456_789)
      try (u / "f").setTimes(accessed: then, modified: then)
      file.close()
      #expect(try (u / "f").stat().modified == then)
      #expect(try (u.top / "f").stat().modified == then)
    }
  }

  @Test func appendersOfSeveralDescriptorsLoseNothing() throws {
    try withCollected([.rw(), .lower([.file("f")])]) { u throws in
      let path = u / "f"
      let errors = concurrently(4) { index in
        let file = try path.open(O_WRONLY | O_APPEND)
        defer { file.close() }
        for number in 0..<200 { try file.write("\(index):\(number)\n") }
      }
      #expect(errors == [])
      let lines = try path.bytesOfFile().split(separator: UInt8(ascii: "\n"))
      #expect(Set(lines).count == 800)
    }
  }
}
