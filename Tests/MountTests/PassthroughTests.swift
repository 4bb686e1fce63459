import Glibc
import TestSupport
import Testing

private let large = 1 << 20

/// The kernel reads and writes files of the top branch, and all of a read-only union, by itself. What
/// it shows is no other than without.
@Suite(.mounts, .rulesOfAufs) struct Passthrough {
  /// The server's system calls during `body`.
  private func calls(_ u: Union, _ body: () throws -> Void) throws -> Int {
    let faults = try Faults(in: u)
    defer { faults.close() }
    try faults.arm(.count)
    try body()
    return try faults.arm(.off)
  }

  private func withCounted(
    _ branches: [Branch], options: [String] = [], _ body: (Union) throws -> Void
  ) throws {
    try withUnion(branches, options: options, mounted: false) { u throws in
      u.environment = Faults.environment
      try u.mount()
      try body(u)
    }
  }

  @Test(.enabled(if: Modes.hasPassthrough, "needs passthrough"))
  func anUpperFileIsReadAndWrittenWithoutTheServer() throws {
    try withCounted([.rw([.file("f", bytes: pattern(large))])]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.write([1], at: 0)
      let count = try calls(u) {
        for offset in 0..<200 {
          #expect(try file.read(16, at: Int64(4096 * offset + 16)).count == 16)
          try file.write([UInt8](repeating: 7, count: 100), at: Int64(4096 * offset))
        }
      }
      #expect(count < 10, "\(count) system calls for 400 reads and writes")
      let stored = try (u.top / "f").bytesOfFile()
      #expect(stored.prefix(100).allSatisfy { $0 == 7 })
    }
  }

  @Test(.enabled(if: Modes.hasPassthrough, "needs passthrough"))
  func aReadOnlyUnionIsReadWithoutTheServer() throws {
    try withCounted([.lower(), .lower([.file("f", bytes: pattern(large))])]) { u throws in
      let file = try u.open("f", O_RDONLY)
      var bytes: [UInt8] = []
      let count = try calls(u) { bytes = try file.readToEnd() }
      #expect(bytes == pattern(large))
      #expect(count < 10, "\(count) system calls for a read")
    }
  }

  @Test func withoutPassthroughAllGoesThroughTheServer() throws {
    try withCounted(
      [.rw([.file("f", bytes: pattern(large))])], options: ["passthrough=off"]
    ) { u throws in
      let file = try u.open("f", O_RDWR)
      let count = try calls(u) {
        for offset in 0..<20 { try file.write([7], at: Int64(4096 * offset)) }
      }
      #expect(count >= 20)
    }
  }

  @Test func readersOfASmallFileAndAWriterAgree() throws {
    // The first reader is cached, so the others are, until all have gone.
    try withUnion([.rw([.file("f", "small")])]) { u throws in
      for round in 0..<3 {
        let reader = try u.open("f", O_RDONLY)
        #expect(try reader.text() == (round == 0 ? "small" : "round\(round - 1)"))
        let writer = try u.open("f", O_RDWR)
        try writer.write("round\(round)", at: 0)
        #expect(try reader.text() == "round\(round)")
        let other = try u.open("f", O_RDONLY)
        #expect(try other.text() == "round\(round)")
        for file in [reader, writer, other] { file.close() }
        let later = try u.open("f", O_WRONLY)
        try later.write("round\(round)", at: 0)
        let last = try u.open("f", O_RDONLY)
        #expect(try last.text() == "round\(round)")
        later.close()
        last.close()
      }
    }
  }

  @Test(.enabled(if: Modes.readersAreCoherent, "needs coherent readers"))
  func aFileThatHasComeUpIsTheSameInEveryMode() throws {
    try withUnion(lower: [.file("f", bytes: pattern(large))]) { u throws in
      let reader = try u.open("f", O_RDONLY)
      let writer = try u.open("f", O_RDWR)
      try writer.write([1, 2, 3], at: 5000)
      let second = try u.open("f", O_RDWR)
      try second.write([4], at: 5003)
      #expect(try reader.read(4, at: 5000) == [1, 2, 3, 4])
      for file in [reader, writer, second] { file.close() }
      let direct = try u.open("f", O_RDWR)
      #expect(try direct.read(4, at: 5000) == [1, 2, 3, 4])
      try direct.write([9], at: 5000)
      let map = try u.map(direct, size: 8192, writable: true)
      map.write("map", at: 5004)
      #expect(try direct.read(7, at: 5000) == [9, 2, 3, 4] + Array("map".utf8))
      direct.close()
      let shown = try (u / "f").bytesOfFile()
      #expect(Array(shown[5000..<5007]) == [9, 2, 3, 4] + Array("map".utf8))
      #expect(try (u.lower / "f").bytesOfFile() == pattern(large))
    }
  }

  @Test func aMapThatIsWrittenToMovesTheTimes() throws {
    try withUnion([.rw([.file("f", bytes: pattern(large))])]) { u throws in
      let before = try (u / "f").stat()
      let file = try u.open("f", O_RDWR)
      #expect(try (u / "f").stat().modified == before.modified)
      let map = try u.map(file, size: 4096, writable: true)
      map.write("x", at: 0)
      try map.sync()
      #expect(try (u / "f").stat().modified > before.modified)
      map.unmap()
      file.close()
      let last = try (u / "f").stat()
      let own = try (u.top / "f").stat()
      #expect(last.modified == own.modified)
    }
  }

  @Test(.enabled(if: Account.unprivileged != nil, "needs the account unionfs-test"))
  func aUsersWriteTakesTheSetUserIDBit() throws {
    let account = try #require(Account.unprivileged)
    try withUnion([.rw([.file("f", bytes: pattern(large), mode: 0o6777)])]) { u throws in
      try account.identity.run {
        let file = try (u / "f").open(O_RDWR)
        defer { file.close() }
        try file.write([1], at: 0)
      }
      #expect(try (u / "f").stat().mode == 0o777)
      #expect(try (u.top / "f").stat().mode == 0o777)
    }
  }

  @Test func readersAndWritersOfOneLowerFileSeeOneFileWhileItComesUp() throws {
    let size = 8 << 20
    try withUnion(lower: [.file("f", bytes: [UInt8](repeating: 0, count: size))]) { u throws in
      let path = u / "f"
      let errors = concurrently(6) { index in
        if index < 3 {
          try readers(path, pages: size / 4096, from: index)
        } else {
          try writer(path, pages: size / 4096, from: index - 3)
        }
      }
      #expect(errors == [])
      let below = try (u.lower / "f").bytesOfFile()
      #expect(below.allSatisfy { $0 == 0 })
    }
  }

  /// No page ever shows an older value than it has shown.
  private func readers(_ path: Path, pages: Int, from first: Int) throws {
    var last = [UInt8](repeating: 0, count: pages)
    for _ in 0..<60 {
      let file = try path.open(O_RDONLY)
      defer { file.close() }
      for page in stride(from: first, to: pages, by: 97) {
        let bytes = try file.read(1, at: Int64(page * 4096))
        guard bytes.count == 1, bytes[0] >= last[page] else { throw WentBack(page: page) }
        last[page] = bytes[0]
      }
    }
  }

  /// Growing values into pages that no other writer has.
  private func writer(_ path: Path, pages: Int, from first: Int) throws {
    for value in 1...40 {
      let file = try path.open(value % 2 == 0 ? O_RDWR : O_WRONLY)
      defer { file.close() }
      for page in stride(from: first, to: pages, by: 3 * 17) {
        try file.write([UInt8](repeating: UInt8(value), count: 4096), at: Int64(page * 4096))
      }
    }
  }

  private struct WentBack: Error { var page: Int }
}
