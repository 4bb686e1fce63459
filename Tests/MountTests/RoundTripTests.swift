import Glibc
import TestSupport
import Testing

/// How many requests a caller waits for, a unit of work: a request costs more than what the server does
/// for it, and the counts are stable where times are not.
@Suite(.mounts, .rulesOfAufs) struct RoundTrips {
  private func withCounted(
    _ branches: [Branch], _ body: (Union, (() throws -> Void) throws -> Int) throws -> Void
  ) throws {
    try withUnion(branches, mounted: false) { u throws in
      u.environment = Faults.environment
      try u.mount()
      let faults = try Faults(in: u)
      defer { faults.close() }
      // The root is opened, and the kernel learns that directories are opened without asking.
      _ = try u.mnt.names()
      try body(u) { try faults.roundTrips($0) }
    }
  }

  private static let folders = 10
  private static let files = 30
  private static let tree: [Item] = (0..<folders).flatMap { folder in
    (0..<files).map { Item.file("t/d\(folder)/f\($0)", "text") }
  }

  /// Each name with its attributes, as `ls -R` and `find` ask.
  private func walk(_ folder: Path) throws {
    for entry in try folder.entries() {
      let status = try (folder / entry.name).stat()
      if status.kind == .directory { try walk(folder / entry.name) }
    }
  }

  @Test func aFirstWalkAsksForDirectoriesNotForFiles() throws {
    try withCounted([.rw(), .lower(Self.tree), .lower([.file("t/d0/more")])]) { u, count in
      // A name or two before the kernel notices that all are looked at, a listing, its end.
      let first = try count { try walk(u / "t") }
      #expect(first <= 5 * (Self.folders + 1), "\(first) for \(Self.folders) directories")
      // A listing has moved each directory's access time, as far as the kernel knows.
      let second = try count { try walk(u / "t") }
      #expect(second <= Self.folders + 1)
      let third = try count { try walk(u / "t") }
      #expect(third == 0)
    }
  }

  @Test func aMissingNameIsAskedForOnce() throws {
    try withCounted([.rw(), .lower(Self.tree)]) { u, count in
      _ = try (u / "t").stat()
      let ask = { _ = (u / "t/none").exists }
      #expect(try count(ask) == 1)
      #expect(try count(ask) == 0)
    }
  }

  @Test func aSmallFileIsReadInOneRequest() throws {
    try withCounted([.rw(), .lower([.file("f", "text")])]) { u, count in
      _ = try (u / "f").stat()
      let read = {
        let text = try (u / "f").text()
        #expect(text == "text")
      }
      // Where writes are collected a close sends them: one FLUSH, which is told that there is no need.
      let first = Modes.collectsWrites ? 2 : 1
      #expect(try count(read) == first, "OPEN, which brings the content")
      #expect(try count(read) == 1, "OPEN")
    }
  }

  @Test(.enabled(if: Modes.hasPassthrough, "needs passthrough"))
  func aLargeUpperFileIsReadAndWrittenInOneRequest() throws {
    try withCounted([.rw([.file("f", bytes: pattern(1 << 20))])]) { u, count in
      _ = try (u / "f").stat()
      #expect(try count { _ = try (u / "f").bytesOfFile() } == 1, "OPEN")
      let writes = try count {
        let file = try u.open("f", O_RDWR)
        for page in 0..<200 { try file.write([1], at: Int64(page * 4096)) }
        file.close()
      }
      #expect(writes <= 3, "OPEN, GETATTR, GETXATTR of the capability; \(writes)")
    }
  }

  @Test func aNewFileTakesThree() throws {
    try withCounted([.rw(), .lower([.directory("d")])]) { u, count in
      try (u / "d/first").write("x")
      let made = try count { _ = try (u / "d/n").open(O_CREAT | O_EXCL | O_WRONLY).close() }
      #expect(made <= 3, "LOOKUP, CREATE, and the directory's GETATTR; \(made)")
      let folder = try count { try (u / "d/m").mkdir() }
      #expect(folder <= 3, "LOOKUP, MKDIR, and the directory's GETATTR; \(folder)")
    }
  }

  @Test func aRemovedFileTakesOneOnceItIsKnown() throws {
    try withCounted([.rw(), .lower(Self.tree)]) { u, count in
      try walk(u / "t")
      let unlink = try count { try (u / "t/d0/f0").unlink() }
      // A change of the links moves a time that is the kernel's own, which sends it: SETATTR.
      let time = Modes.collectsWrites ? 1 : 0
      #expect(unlink == 1 + time, "UNLINK")
      let rename = try count { try (u / "t/d0/f1").rename(to: u / "t/d0/f2") }
      #expect(
        rename <= 3 + 2 * time,
        "LOOKUP of the target, RENAME, and the directory's GETATTR; \(rename)")
      let chmod = try count { try (u / "t/d0/f3").chmod(0o600) }
      #expect(chmod <= 2, "SETATTR, and the directory's GETATTR; \(chmod)")
    }
  }

  @Test func anAttributeThatIsNotThereTakesOneEachTime() throws {
    // The kernel keeps no attribute that is none: the floor.
    try withCounted([.rw(), .lower([.file("f")])]) { u, count in
      _ = try (u / "f").stat()
      let ask = {
        let missing = #expect(throws: Errno.noAttribute) {
          _ = try (u / "f").attribute("security.capability")
        }
        _ = missing
      }
      #expect(try count(ask) == 1)
      #expect(try count(ask) == 1)
    }
  }
}
