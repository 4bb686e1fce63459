import Glibc
import TestSupport
import Testing

/// aufs's rules for branches alone know no hard links over branches.
private let linked: Checks = [.lowerUnchanged, .remount]

private let large = 1 << 20
private let old = pattern(large)

/// With `readers=fast` the kernel reads lower files by itself, so who has one open when it is copied up
/// goes on reading what it was. Everything else is as ever: each test's lower branches are compared with
/// what they were.
@Suite(
  .mounts, .rulesOfAufs, .enabled(if: Modes.hasPassthrough, "needs passthrough"))
struct FastReaders {
  private func withFast(
    _ items: [Item] = [.file("f", bytes: old)], checks: Checks = .all,
    _ body: (Union) throws -> Void
  ) throws {
    try withUnion(
      [.rw(), .lower(items)], options: ["readers=fast"], mounted: false, checks: checks
    ) { u throws in
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

  /// What a file holds once bytes were written over its start.
  private func changed(_ bytes: [UInt8]) -> [UInt8] { bytes + old.dropFirst(bytes.count) }

  private func write(_ bytes: [UInt8], to path: Path) throws {
    let file = try path.open(O_RDWR)
    defer { file.close() }
    try file.write(bytes, at: 0)
  }

  @Test func aLowerFileIsReadWithoutTheServer() throws {
    try withFast { u throws in
      _ = try (u / "f").stat()
      let read = {
        let bytes = try (u / "f").bytesOfFile()
        #expect(bytes == old)
      }
      #expect(try trips(u, read) == 1, "OPEN")
      #expect(try trips(u, read) == 1, "OPEN")
      let file = try u.open("f", O_RDONLY)
      let random = try trips(u) {
        for page in stride(from: 0, to: 256, by: 3) {
          _ = try file.read(16, at: Int64(page * 4096))
        }
      }
      #expect(random == 0)
      try u.expect(top: [])
    }
  }

  @Test func whoOpenedBeforeTheCopyUpShowsTheLowerFileAndItsOneStatus() throws {
    try withFast { u throws in
      let reader = try u.open("f", O_RDONLY)
      let map = try u.map(reader, size: 4096)
      let number = try reader.stat().inode
      try write([1, 2, 3], to: u / "f")
      try (u / "f").append("more")
      try (u / "f").chmod(0o640)
      let expected = changed([1, 2, 3]) + Array("more".utf8)
      #expect(try reader.readToEnd() == old)
      #expect(map.text(0..<4096) == escaped(old[..<4096]))
      #expect(try (u / "f").bytesOfFile() == expected)
      #expect(try (u.top / "f").bytesOfFile() == expected)
      let (shown, status) = (try reader.stat(), try (u / "f").stat())
      #expect(shown.inode == number && status.inode == number)
      #expect(shown.size == Int64(expected.count) && shown.mode == 0o640)
      #expect(shown.modified == status.modified && shown.changed == status.changed)
      // What the reader changes shows by the name.
      try reader.chmod(0o604)
      #expect(try (u / "f").stat().mode == 0o604)
      #expect(try reader.stat().mode == 0o604)
    }
  }

  @Test func afterTheLastOfThemAllIsAsUsual() throws {
    try withFast { u throws in
      let reader = try u.open("f", O_RDONLY)
      try write([7], to: u / "f")
      reader.close()
      // The kernel tells in its own time that it has forgotten the reader's file.
      for _ in 0..<10_000 where try trips(u, { _ = try (u / "f").stat() }) != 0 {}
      #expect(try trips(u) { _ = try (u / "f").stat() } == 0)
      #expect(try trips(u) { _ = try (u / "f").bytesOfFile() } == 1, "OPEN")
      let file = try u.open("f", O_RDWR)
      try file.write([8], at: 0)
      let writes = try trips(u) {
        for page in 0..<100 { try file.write([9], at: Int64(page * 4096 + 1)) }
      }
      #expect(writes == 0)
    }
  }

  @Test func aWriterBesideAReaderSeesItsOwnAndSoDoWhoComesLater() throws {
    try withFast { u throws in
      let readers = try (0..<3).map { _ in try u.open("f", O_RDONLY) }
      let writer = try u.open("f", O_RDWR)
      let beside = try u.open("f", O_RDONLY)
      try u.expect(top: [])
      #expect(try writer.read(4096, at: 0) == Array(old[..<4096]))
      let map = try u.map(writer, size: 4096, writable: true)
      try writer.write([1, 2], at: 0)
      map.write("map", at: 10)
      let start = [1, 2] + old[2..<10] + Array("map".utf8)
      for file in [writer, beside, try u.open("f", O_RDONLY), try u.open("f", O_RDWR)] {
        #expect(try file.read(13, at: 0) == start)
      }
      for file in readers { #expect(try file.read(13, at: 0) == Array(old[..<13])) }
      #expect(try u.map(beside, size: 13).text(0..<13) == escaped(start))
      u.closeAll()
      #expect(try (u.top / "f").bytesOfFile() == changed(start))
      #expect(try (u / "f").bytesOfFile() == changed(start))
    }
  }

  static let byTheWay: [Trigger] = [
    Trigger("chmod") { try $0.chmod(0o600) },
    Trigger("setxattr") { try $0.setAttribute("user.k", "v") },
    Trigger("link") { try $0.link(to: $0.parent / "other") },
    Trigger("rename of the folder") { path in
      let away = path.parent.parent / "away"
      try path.parent.rename(to: away)
      try away.rename(to: path.parent)
    },
    Trigger("rename") { path in
      try path.rename(to: path.parent / "away")
      try (path.parent / "away").rename(to: path)
    },
  ]

  @Test(arguments: byTheWay)
  func whatBringsTheFileUpWithoutAWriterIsNoOtherWay(_ trigger: Trigger) throws {
    try withFast([.file("d/f", bytes: old)]) { u throws in
      let reader = try u.open("d/f", O_RDONLY)
      try trigger.act(u / "d/f")
      #expect(try (u.top / "d/f").bytesOfFile() == old)
      let later = try u.open("d/f", O_RDONLY)
      try write([5, 6], to: u / "d/f")
      #expect(try later.read(3, at: 0) == [5, 6, old[2]])
      #expect(try reader.read(3, at: 0) == Array(old[..<3]))
      #expect(try (u.top / "d/f").bytesOfFile() == changed([5, 6]))
      #expect(try reader.stat().inode == (u / "d/f").stat().inode)
    }
  }

  @Test func namesOfOneLowerFileAreOneFileWhicheverIsOpen() throws {
    let items: [Item] = [
      .file("a", bytes: old), .hardLink("b", of: "a"), .hardLink("c", of: "a"),
    ]
    try withFast(items, checks: linked) { u throws in
      let names: [Path] = ["a", "b", "c"]
      for name in names { #expect(try (u / name).stat().links == 3) }
      let reader = try u.open("a", O_RDONLY)
      let writer = try u.open("b", O_RDWR)
      try writer.write([1, 2, 3], at: 0)
      for name in names {
        #expect(try (u / name).bytesOfFile() == changed([1, 2, 3]))
        #expect(try (u / name).stat().inode == reader.stat().inode)
      }
      #expect(try reader.read(3, at: 0) == Array(old[..<3]))
      try (u / "a").unlink()
      #expect(try reader.stat().links == 2)
      #expect(try (u / "c").stat().links == 2)
      #expect(try reader.readToEnd() == old)
    }
  }

  @Test func aSizeSetByAnotherNameIsSeenByAWriterWithPagesInMemory() throws {
    let items: [Item] = [.file("a", bytes: old), .hardLink("b", of: "a")]
    try withFast(items, checks: linked) { u throws in
      for name: Path in ["a", "b"] { _ = try (u / name).stat() }
      let reader = try u.open("a", O_RDONLY)
      let writer = try u.open("b", O_RDWR)
      let map = try u.map(writer, size: 8192, writable: true)
      #expect(try writer.read(8192, at: 0) == Array(old[..<8192]))
      map.write("x", at: 0)
      // By the name that the kernel knows the reader's file by.
      try (u / "a").truncate(10)
      #expect(try writer.read(8192, at: 0) == Array("x".utf8) + old[1..<10])
      try (u / "a").truncate(5000)
      let expected = Array("x".utf8) + old[1..<10] + [UInt8](repeating: 0, count: 4990)
      #expect(try writer.read(8192, at: 0) == expected)
      #expect(try writer.stat().size == 5000)
      #expect(try reader.stat().size == 5000)
      #expect(try reader.readToEnd() == old)
      u.closeAll()
      #expect(try (u / "b").bytesOfFile() == expected)
    }
  }

  @Test func truncationOfEveryKindStaysAboveTheLowerFile() throws {
    let kinds: [@Sendable (Path) throws -> Void] = [
      { try $0.open(O_WRONLY | O_TRUNC).close() }, { try $0.open(O_RDONLY | O_TRUNC).close() },
      { try $0.open(O_RDWR | O_CREAT | O_TRUNC).close() }, { try $0.truncate(0) },
    ]
    let items = kinds.indices.map { Item.file(Path("f\($0)"), bytes: old) }
    try withFast(items) { u throws in
      for (index, truncate) in kinds.enumerated() {
        let name = Path("f\(index)")
        let reader = try u.open(name, O_RDONLY)
        try truncate(u / name)
        #expect(try reader.stat().size == 0)
        #expect(try (u / name).bytesOfFile() == [])
        #expect(try (u.top / name).stat().size == 0)
        #expect(try reader.readToEnd() == old)
      }
    }
  }

  @Test func aReadersCopyAndHolesAreThoseOfWhatItReads() throws {
    let size: Int64 = 4 << 20
    let data: [UInt8] = [UInt8](repeating: 3, count: 4096)
    try withFast([.sparse("f", size: size, data: [(1 << 20, data)])]) { u throws in
      let reader = try u.open("f", O_RDONLY)
      let writer = try u.open("f", O_RDWR)
      try writer.allocate(0, 0, size)
      try writer.write([UInt8](repeating: 9, count: 8192), at: 0)
      #expect(try reader.seek(0, seekData) == 1 << 20)
      #expect(try writer.seek(0, seekData) == 0)
      let copy = try u.open("copy", O_RDWR | O_CREAT)
      #expect(try reader.copyRange(from: 0, to: copy, at: 0, count: 4096) == 4096)
      #expect(try copy.read(4096, at: 0).allSatisfy { $0 == 0 })
      #expect(try writer.copyRange(from: 0, to: copy, at: 0, count: 4096) == 4096)
      #expect(try copy.read(4096, at: 0).allSatisfy { $0 == 9 })
      #expect(try reader.copyRange(from: 1 << 20, to: writer, at: 0, count: 4096) == 4096)
      #expect(try writer.read(8192, at: 0) == data + [UInt8](repeating: 9, count: 4096))
    }
  }

  @Test func aRemovedOrRenamedFileStaysWhatItIsForItsReader() throws {
    try withFast([.file("f", bytes: old), .file("g", bytes: old)]) { u throws in
      let (f, g) = (try u.open("f", O_RDONLY), try u.open("g", O_RDONLY))
      try (u / "f").unlink()
      try (u / "f").write("new")
      try (u / "g").rename(to: u / "h")
      try write([4], to: u / "h")
      for file in [f, g] { #expect(try file.readToEnd() == old) }
      #expect(try f.stat().links == 0)
      #expect(try f.stat().inode != (u / "f").stat().inode)
      #expect(try g.stat().inode == (u / "h").stat().inode)
      try f.chmod(0o600)
      #expect(try f.stat().mode == 0o600)
      #expect(try f.read(10, at: 0) == Array(old[..<10]))
      #expect(try (u / "f").text() == "new")
      #expect(try (u / "h").bytesOfFile() == changed([4]))
      #expect(try (u.top / "h").bytesOfFile() == changed([4]))
    }
  }

  @Test func anOldDescriptorOpenedAnewReadsWhatIsWritten() throws {
    try withFast { u throws in
      let reader = try u.open("f", O_RDONLY)
      let own = Path("/proc/self/fd/\(reader.descriptor)")
      try (u / "f").chmod(0o600)
      for _ in 0..<2 { #expect(try u.keep(own.open(O_RDONLY)).read(3, at: 0) == Array(old[..<3])) }
      try write([1, 2, 3], to: u / "f")
      let again = u.keep(try own.open(O_RDONLY))
      #expect(try again.read(3, at: 0) == [1, 2, 3])
      // The kernel can have one file on disk for it at a time.
      #expect(throws: Errno(ESTALE)) { _ = try own.open(O_RDWR) }
      try (u / "f").unlink()
      #expect(try u.keep(own.open(O_RDONLY)).read(3, at: 0) == [1, 2, 3])
      reader.close()
      #expect(try again.read(4, at: 0) == [1, 2, 3, old[3]])
    }
  }

  @Test func aProgramThatRunsIsNotWrittenTo() throws {
    let program = try Path("/bin/bash").bytesOfFile()
    try withFast([.file("bash", bytes: program, mode: 0o755)]) { u throws in
      let path = u / "bash"
      let refused = try run(["\(path)", "-c", "echo x >> \(path)"])
      #expect(refused.status != 0 && refused.errors.contains("busy"))
      try u.expect(top: [])
      // What runs is the lower file once another comes up.
      let gate = u.folder / "gate"
      try gate.mknod(.fifo)
      let running = try Spawned(["\(path)", "-c", "echo up; read < \(gate); echo runs"])
      #expect(try running.line() == "up")
      try path.chmod(0o700)
      let writer = try path.open(O_RDONLY)
      writer.close()
      try path.append("more")
      try u.keep(gate.open(O_RDWR)).write("go\n")
      #expect(try running.line() == "runs")
      #expect(try running.finish().status == 0)
      #expect(try (u.top / "bash").bytesOfFile() == program + Array("more".utf8))
      #expect(try shell("\(path)", "-c", "echo again") == "again\n")
    }
  }

  @Test func aMapOutlivesItsReaderAndHoldsNothingUp() throws {
    try withFast { u throws in
      let reader = try u.open("f", O_RDONLY)
      let map = try u.map(reader, size: 4)
      reader.close()
      try write([1, 2, 3, 4], to: u / "f")
      #expect(map.text(0..<4) == escaped(old[..<4]))
      let later = try u.open("f", O_RDONLY)
      #expect(try u.map(later, size: 4).text(0..<4) == escaped([1, 2, 3, 4]))
    }
  }

  @Test func smallFilesAndThoseWithSetUserIDBitsAreCoherent() throws {
    try withFast([.file("small", "text"), .file("set", bytes: old, mode: 0o4755)]) { u throws in
      for name: Path in ["small", "set"] {
        let reader = try u.open(name, O_RDONLY)
        try write(Array("T".utf8), to: u / name)
        #expect(try reader.read(1, at: 0) == Array("T".utf8))
      }
    }
  }

  @Test func withoutItReadersAreCoherent() throws {
    let options = ["readers=coherent"]
    try withUnion([.rw(), .lower([.file("f", bytes: old)])], options: options) { u throws in
      let reader = try u.open("f", O_RDONLY)
      #expect(try reader.read(3, at: 0) == Array(old[..<3]))
      try write([1, 2, 3], to: u / "f")
      #expect(try reader.read(3, at: 0) == [1, 2, 3])
    }
  }
}

/// Many files are read, written, changed and linked at once while each comes up.
@Suite(
  .mounts, .rulesOfAufs, .enabled(if: Modes.hasPassthrough, "needs passthrough"))
struct FastReadersAtOnce {
  private static let files = 40
  private static let pages = 64

  @Test func noOpenFailsAndNobodyReadsAMixture() throws {
    let zeros = [UInt8](repeating: 0, count: Self.pages * 4096)
    var expected = zeros
    for index in 3 * 4096..<5 * 4096 { expected[index] = 12 }
    let items = (0..<Self.files).flatMap { index -> [Item] in
      let name = Path("f\(index)")
      return index % 2 == 0
        ? [.file(name, bytes: zeros)]
        : [.file(name, bytes: zeros), .hardLink(Path("l\(index)"), of: name)]
    }
    try withUnion(
      [.rw(), .lower(items)], options: ["readers=fast"], checks: [.lowerUnchanged, .remount]
    ) { u throws in
      let mnt = u.mnt
      let errors = concurrently(6) { index in
        for file in 0..<Self.files {
          let second = file % 2 == 0 ? Path("f\(file)") : Path("l\(file)")
          let path = mnt / (index % 2 == 0 ? Path("f\(file)") : second)
          switch index {
          case 0...2: try read(path, times: 12)
          case 3, 4: try write(path, page: index)
          default: try path.chmod(0o600)
          }
        }
      }
      #expect(errors == [])
      for file in 0..<Self.files {
        let bytes = try (u / Path("f\(file)")).bytesOfFile()
        #expect(bytes == expected)
        // Another name of a linked file may be the one on top.
        let isOnTop = try file % 2 == 1 || (u.top / Path("f\(file)")).bytesOfFile() == expected
        #expect(isOnTop)
      }
    }
  }

  /// Opens, and reads what no later moment may take back.
  private func read(_ path: Path, times: Int) throws {
    var last: [UInt8] = [0, 0]
    for _ in 0..<times {
      let file = try path.open(O_RDONLY)
      defer { file.close() }
      let number = try file.stat().inode
      for (index, page) in [3, 4].enumerated() {
        let bytes = try file.read(4096, at: Int64(page * 4096))
        guard let first = bytes.first, first >= last[index] else { throw Wrong(path: path) }
        last[index] = first
      }
      guard try path.stat().inode == number else { throw Wrong(path: path) }
    }
  }

  private func write(_ path: Path, page: Int) throws {
    for value: UInt8 in 1...12 {
      let file = try path.open(value % 3 == 0 ? O_WRONLY : O_RDWR)
      defer { file.close() }
      try file.write([UInt8](repeating: value, count: 4096), at: Int64(page * 4096))
      guard try path.open(O_RDONLY).read(1, at: Int64(page * 4096)) == [value] else {
        throw Wrong(path: path)
      }
    }
  }

  private struct Wrong: Error { var path: Path }
}
