import Glibc
import TestSupport
import Testing

/// fallocate, lseek for data and holes, copy_file_range, ioctl.
@Suite(.mounts) struct Allocation {
  @Test(arguments: ["l", "t"] as [Path])
  func aPunchedHoleReadsAsZeros(name: Path) throws {
    var bytes = pattern(300_000)
    try withUnion(
      top: [.file("t", bytes: bytes)], lower: [.file("l", bytes: bytes)]
    ) { u throws in
      let file = try u.open(name, O_RDWR)
      try file.allocate(fallocatePunchHole | fallocateKeepSize, 65536, 131_072)
      bytes.replaceSubrange(65536..<196_608, with: [UInt8](repeating: 0, count: 131_072))
      #expect(try (u / name).bytesOfFile() == bytes)
      #expect(try file.stat().size == 300_000)
      #expect(try file.seek(65536, seekHole) == 65536)
      #expect(try file.seek(65536, seekData) == 196_608)
      #expect(try (u.top / name).stat().blocks * 512 < 200_000)
    }
  }

  @Test func allocationKeepsTheSizeWhenAsked() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.allocate(fallocateKeepSize, 0, 1 << 20)
      #expect(try file.stat().size == 4)
      #expect(try file.stat().blocks * 512 >= 1 << 20)
      try file.allocate(0, 0, 8)
      try u.expect(view: ["f=text\\x00\\x00\\x00\\x00"])
    }
  }

  @Test func allocationNeedsAWritableDescriptorAndSpace() throws {
    try withUnion([.rw([.file("t")]).onTmpfs(size: "1m"), .lower([.file("f", "text")])]) {
      u throws in
      let file = try u.open("f", O_RDONLY)
      #expect(throws: Errno.badDescriptor) { try file.allocate(0, 0, 10) }
      let top = try u.open("t", O_RDWR)
      #expect(throws: Errno.noSpace) { try top.allocate(0, 0, 10 << 20) }
      #expect(throws: Errno.invalid) { try top.allocate(0, 0, 0) }
      #expect(throws: Errno.invalid) { try top.allocate(0, -1, 5) }
      try u.expect(view: ["f=text", "t="], top: ["t="])
    }
  }

  @Test func dataAndHolesOfALowerFileAreFound() throws {
    let block = pattern(65536)
    try withUnion(
      lower: [.sparse("f", size: 1 << 22, data: [(1 << 20, block), (3 << 20, block)])]
    ) { u throws in
      let file = try u.open("f", O_RDONLY)
      #expect(try file.seek(0, seekData) == 1 << 20)
      #expect(try file.seek(1 << 20, seekHole) == 1 << 20 + 65536)
      #expect(try file.seek(2 << 20, seekData) == 3 << 20)
      #expect(try file.seek(0, seekHole) == 0)
      #expect(throws: Errno.noSuchAddress) { try file.seek(3 << 20 + 65536, seekData) }
      #expect(throws: Errno.noSuchAddress) { try file.seek(1 << 22, seekData) }
      #expect(try file.seek(-5, SEEK_END) == 1 << 22 - 5)
      #expect(try file.read(100).count == 5)
      try u.expect(top: [])
    }
  }

  @Test func rangesAreCopiedWithinTheMount() throws {
    let bytes = pattern(500_000)
    try withUnion(
      top: [.file("t", bytes: Array(bytes.reversed()))], lower: [.file("l", bytes: bytes)]
    ) { u throws in
      let (lower, top) = (try u.open("l", O_RDONLY), try u.open("t", O_RDONLY))
      let new = try u.open("new", O_RDWR | O_CREAT)
      #expect(try copyAll(lower, 100_000, new, 0, 300_000) == 300_000)
      #expect(try copyAll(top, 0, new, 300_000, 500_000) == 500_000)
      let expected = bytes[100_000..<400_000] + bytes.reversed()
      #expect(try (u / "new").bytesOfFile() == Array(expected))
      #expect(try lower.copyRange(from: 500_000, to: new, at: 0, count: 10) == 0)
      #expect(!Backend.isOurs || !(u.top / "l").exists)
    }
  }

  @Test func aRangeIsCopiedIntoALowerFile() throws {
    try withUnion(lower: [.file("a", "aaaaaaaaaa"), .file("b", "bbbbbbbbbb")]) { u throws in
      let (a, b) = (try u.open("a", O_RDONLY), try u.open("b", O_RDWR))
      #expect(try copyAll(a, 0, b, 3, 4) == 4)
      #expect(try copyAll(b, 0, b, 10, 5) == 5)
      try u.expect(view: ["a=aaaaaaaaaa", "b=bbbaaaabbbbbbaa"], top: ["b=bbbaaaabbbbbbaa"])
      #expect(throws: Errno.badDescriptor) { try b.copyRange(from: 0, to: a, at: 0, count: 1) }
    }
  }

  @Test func coreutilsCopiesLowerFilesWhole() throws {
    let bytes = pattern(1_000_000)
    try withUnion(lower: [.file("l", bytes: bytes, mode: 0o751)]) { u throws in
      try shell("cp", "-a", "\(u / "l")", "\(u / "copy")")
      #expect(try (u / "copy").bytesOfFile() == bytes)
      #expect(try (u / "copy").stat().modified == builtTime)
      #expect(try (u / "copy").stat().mode == 0o751)
      #expect(!Backend.isOurs || !(u.top / "l").exists)
    }
  }

  @Test func anIoctlThatNobodyKnowsIsAnsweredSo() throws {
    try withUnion(top: [.file("t")], lower: [.file("l"), .directory("d")]) { u throws in
      for name: Path in ["t", "l", "d"] {
        let file = try u.open(name, O_RDONLY)
        #expect(throws: Errno(ENOTTY)) { try file.control(0x4004_7A7A) }
      }
      _ = try u.view()
    }
  }
}

/// As many calls as it takes.
private func copyAll(
  _ source: File, _ offset: Int64, _ target: File, _ targetOffset: Int64, _ count: Int
) throws(Errno) -> Int {
  var done = 0
  while done < count {
    let part = try source.copyRange(
      from: offset + Int64(done), to: target, at: targetOffset + Int64(done), count: count - done)
    if part == 0 { break }
    done += part
  }
  return done
}
