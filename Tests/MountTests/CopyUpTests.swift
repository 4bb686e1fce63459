import Glibc
import TestSupport
import Testing

/// Something that brings a lower file up.
struct Trigger: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// The file's content afterwards.
  let content: String
  let act: @Sendable (Path) throws -> Void

  init(_ name: String, content: String = "text", _ act: @escaping @Sendable (Path) throws -> Void) {
    (testDescription, self.content, self.act) = (name, content, act)
  }

  static let all: [Trigger] = [
    Trigger("chmod") { try $0.chmod(0o600) },
    Trigger("chown") { try $0.chown(1, 2) },
    Trigger("utimens") { try $0.setTimes(modified: Moment(1)) },
    Trigger("truncate", content: "te") { try $0.truncate(2) },
    Trigger("setxattr") { try $0.setAttribute("user.k", "v") },
    Trigger("link") { try $0.link(to: $0.parent / "other") },
    Trigger("append", content: "text+") { try $0.append("+") },
    Trigger("open with truncation", content: "") { try $0.write("") },
    Trigger("write", content: "Text") { path in
      let file = try path.open(O_RDWR)
      defer { file.close() }
      try file.write("T", at: 0)
    },
    Trigger("fallocate", content: "text\\x00\\x00") { path in
      let file = try path.open(O_RDWR)
      defer { file.close() }
      try file.allocate(0, 0, 6)
    },
    Trigger("writable shared map", content: "tExt") { path in
      let file = try path.open(O_RDWR)
      defer { file.close() }
      let mapping = try Mapping(file, size: 4, writable: true)
      mapping.write("E", at: 1)
      try mapping.sync()
      mapping.unmap()
    },
    Trigger("copy_file_range into it", content: "xext") { path in
      let other = path.parent / "other"
      try other.write("x")
      let (source, file) = (try other.open(O_RDONLY), try path.open(O_RDWR))
      defer {
        source.close()
        file.close()
      }
      _ = try source.copyRange(from: 0, to: file, at: 0, count: 1)
    },
  ]

  static let none: [Trigger] = [
    Trigger("reading") { _ = try $0.text() },
    Trigger("stat") { _ = try $0.stat() },
    Trigger("opening for writing") { try $0.open(O_RDWR).close() },
    Trigger("opening for appending") { try $0.open(O_WRONLY | O_APPEND).close() },
    Trigger("opening with create") { try $0.open(O_WRONLY | O_CREAT).close() },
    Trigger("access") { try $0.access(W_OK) },
    Trigger("reading xattrs") { _ = try $0.attributes() },
    Trigger("a private writable map") { path in
      let file = try path.open(O_RDWR)
      defer { file.close() }
      Mapping.touch(try Mapping(file, size: 4, writable: true, shared: false))
    },
    Trigger("removing an xattr that is not there") { path in
      #expect(throws: Errno.noAttribute) { try path.removeAttribute("user.none") }
    },
    Trigger("replacing an xattr that is not there") { path in
      #expect(throws: Errno.noAttribute) {
        try path.setAttribute("user.none", "v", flags: attributeReplace)
      }
    },
    Trigger("chmod by a stranger") { path in
      try Identity(uid: 5001, gid: 5001).run {
        let stranger = path
        #expect(throws: Errno.notPermitted) { try stranger.chmod(0o777) }
      }
    },
    Trigger("linking onto an existing name") { path in
      #expect(throws: Errno.exists) { try path.link(to: path.parent) }
    },
    Trigger("locking") { path in
      let file = try path.open(O_RDWR)
      defer { file.close() }
      try file.lock(writeLock)
      try file.flock(lockExclusive)
    },
  ]
}

extension Mapping {
  fileprivate static func touch(_ mapping: Mapping) {
    mapping.write("X", at: 0)
    mapping.unmap()
  }
}

@Suite(.mounts) struct CopyUp {
  @Test(arguments: Trigger.all)
  func aChangeBringsTheFileUpAndItsDirectoriesAsTheyWere(trigger: Trigger) throws {
    let directory = Item.directory("d/e", mode: 0o1750).owned(3, 4).attribute("user.d", "v")
    try withUnion(lower: [
      .directory("d", mode: 0o711), directory, .file("d/e/f", "text"), .file("d/g"),
    ]) { u throws in
      let before = try (u / "d/e/f").stat()
      try trigger.act(u / "d/e/f")
      #expect(try (u / "d/e/f").text() == trigger.content)
      #expect(try (u / "d/e/f").stat().inode == before.inode)
      let (outer, inner) = (try (u / "d").stat(), try (u / "d/e").stat())
      #expect(outer.mode == 0o711 && outer.modified == builtTime)
      #expect(inner.mode == 0o1750 && inner.uid == 3 && inner.gid == 4)
      guard Backend.isOurs else { return }
      #expect(try (u.top / "d/e/f").text() == trigger.content)
      #expect(try (u.top / "d/e").attribute("user.d") == Array("v".utf8))
      #expect(try (u.top / "d").stat().modified == builtTime)
      #expect(!(u.top / "d/g").exists, "only what changes comes up")
    }
  }

  @Test(arguments: Trigger.none)
  func whatChangesNothingBringsNothingUp(trigger: Trigger) throws {
    try withUnion(lower: [.file("d/f", "text")]) { u throws in
      try trigger.act(u / "d/f")
      try u.expect(view: ["d/", "d/f=text"], top: [])
    }
  }

  @Test func everythingOfAFileComesUpWithIt() throws {
    // A capability set: version 2, cap_net_raw, permitted and effective.
    let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)
    let item = Item.file("f", "text", mode: 0o6751).owned(1234, 4321)
      .modified(Moment(1_234_567_890, 987_654_321))
      .attribute("user.plain", "value").attribute("user.empty", "")
      .attribute("trusted.t", [0, 1, 2, 255]).attribute("security.capability", capability)
      .attribute(
        "system.posix_acl_access", ACL.bytes([.user(5001, 6)], owner: 7, group: 5, other: 1))
    try withUnion(lower: [item]) { u throws in
      let before = try u.viewNodes().map(\.detail)
      let accessed = try (u / "f").stat().accessed
      try (u / "f").setAttribute("user.trigger", "x")
      try (u / "f").removeAttribute("user.trigger")
      #expect(try (u / "f").stat().accessed == accessed)
      #expect(try u.viewNodes().map(\.detail) == before)
      #expect(try !Backend.isOurs || walk(u.top, skip: u.own).map(\.detail) == before)
    }
  }

  @Test func everythingOfADirectoryComesUpWithIt() throws {
    let access = ACL.bytes([.user(5001, 7)], owner: 7, group: 5, other: 0)
    let fallback = ACL.bytes([.user(5002, 5)], owner: 7, group: 5, other: 5)
    let item = Item.directory("d", mode: 0o2750).owned(12, 34)
      .attribute("user.k", "v").attribute("trusted.t", "w")
      .attribute("system.posix_acl_access", access)
      .attribute("system.posix_acl_default", fallback)
    try withUnion(lower: [item, .file("d/f", "x", mode: 0o640)]) { u throws in
      let before = try u.viewNodes().map(\.detail)
      try (u / "d/f").chmod(0o600)
      try (u / "d/f").chmod(0o640)
      #expect(try u.viewNodes().map(\.detail) == before)
      #expect(try !Backend.isOurs || walk(u.top, skip: u.own).map(\.detail) == before)
    }
  }

  @Test func holesStayHoles() throws {
    let block = pattern(4096)
    let data: [(Int64, [UInt8])] = [(0, block), (1 << 20, block), (300 << 20, block)]
    try withUnion(lower: [.sparse("f", size: 1 << 30, data: data)]) { u throws in
      let lower = try (u.lower / "f").stat()
      try (u / "f").chmod(0o600)
      let top = try (u.top / "f").stat()
      #expect(top.size == 1 << 30 && top.blocks <= lower.blocks + 16, "\(top.blocks) blocks")
      #expect(try holes(u.top / "f") == holes(u.lower / "f"))
      #expect(try holes(u / "f") == holes(u.lower / "f"))
    }
  }

  /// Attributes and what is allocated ahead have blocks too: holes are not to be told by their number.
  @Test func holesOfAFileWithManyBlocksStayHoles() throws {
    let data: [(offset: Int64, bytes: [UInt8])] = [(0, pattern(4096))]
    let large = String(repeating: "y", count: 2000)
    let item = Item.sparse("x", size: 8192, data: data).attribute("user.x", large)
    try withUnion([.rw(), .lower([item])], mounted: false, checks: [.model, .remount]) { u throws in
      // Never read: ext4 takes what is in memory for data.
      let ahead = try (u.lower / "a").open(O_RDWR | O_CREAT)
      try ahead.allocate(0, 0, 8 << 20)
      try ahead.write(pattern(4096), at: 0)
      try ahead.sync()
      ahead.close()
      try u.mount()
      for name: Path in ["x", "a"] {
        let lower = try holes(u.lower / name)
        try (u / name).chmod(0o600)
        #expect(try holes(u.top / name) == lower)
        #expect(try (u.top / name).stat().blocks <= 64, "\(name)")
      }
    }
  }

  @Test func aSparseFileOfTenGibibytesComesUpInItsFourKibibytes() throws {
    let block = pattern(4096)
    try withUnion(lower: [.sparse("f", size: 10 << 30, data: [(5 << 30, block)])]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.write("x", at: 10 << 30 - 1)
      #expect(try file.read(4096, at: 5 << 30) == block)
      #expect(try (u / "f").stat().size == 10 << 30)
      if Modes.collectsWrites { try file.sync() }
      #expect(try (u.top / "f").stat().blocks <= 64)
    }
  }

  @Test func ofManyFirstWritersNoneIsLost() throws {
    let bytes = pattern(3_000_000)
    try withUnion(lower: [.file("d/f", bytes: bytes)]) { u throws in
      let path = u / "d/f"
      let errors = concurrently(8) { index in
        let file = try path.open(O_WRONLY)
        defer { file.close() }
        try file.write([UInt8(index)], at: Int64(index * 300_000))
      }
      #expect(errors == [])
      var expected = bytes
      for index in 0..<8 { expected[index * 300_000] = UInt8(index) }
      #expect(try path.bytesOfFile() == expected)
    }
  }

  @Test func aReaderDuringACopyUpSeesTheWholeFile() throws {
    let bytes = pattern(2_000_000)
    let items = (0..<10).map { Item.file("f\($0)", bytes: bytes) }
    try withUnion(lower: items) { u throws in
      let paths = (0..<10).map { u / Path("f\($0)") }
      let done = Shared(false)
      let errors = concurrently(2) { which in
        if which == 0 {
          defer { done.change { $0 = true } }
          for path in paths { try path.chmod(0o600) }
        } else {
          while !done.now {
            for path in paths {
              let seen = try path.bytesOfFile()
              if seen != bytes { throw Seen("\(seen.count) bytes of \(path)") }
            }
          }
        }
      }
      #expect(errors == [])
    }
  }

  @Test func withoutSpaceTheCallerIsToldAndNothingChanges() throws {
    let bytes = pattern(4 << 20)
    try withUnion([
      .rw([.file("small", "s")]).onTmpfs(size: "2m"), .lower([.file("d/f", bytes: bytes)]),
    ]) { u throws in
      #expect(throws: Errno.noSpace) { try (u / "d/f").append("x") }
      #expect(throws: Errno.noSpace) { try (u / "d/f").chmod(0o600) }
      #expect(throws: Errno.noSpace) { try (u / "d/f").rename(to: u / "g") }
      #expect(try (u / "d/f").bytesOfFile() == bytes)
      #expect(try (u / "d/f").stat().mode == 0o644)
      #expect(!(u.top / "d/f").exists && !(u / "g").exists)
      try (u / "small").append("till works")
      #expect(try (u / "small").text() == "still works")
      // Half of it would fit: what failed has given its space back.
      try (u / "large").write(bytes: pattern(1_300_000))
    }
  }

  @Test(arguments: ["open", "truncate"])
  func whatIsTruncatedNeedsNoSpace(way: String) throws {
    let bytes = pattern(4 << 20)
    try withUnion([.rw().onTmpfs(size: "2m"), .lower([.file("f", bytes: bytes)])]) { u throws in
      if way == "open" { try (u / "f").write("text") } else { try (u / "f").truncate(4) }
      let text = way == "open" ? "text" : escaped(bytes.prefix(4))
      try u.expect(view: ["f=\(text)"], top: ["f=\(text)"])
    }
  }

  @Test func lowerFilesComeUpFromTheirOwnBranch() throws {
    try withUnion(
      lower: [.file("d/a", "1")], [.file("d/a", "2"), .file("d/b", "2")],
      [.file("d/b", "3"), .file("d/c", "3")]
    ) { u throws in
      for name: Path in ["a", "b", "c"] { try (u / "d" / name).append("+") }
      let expected = ["d/", "d/a=1+", "d/b=2+", "d/c=3+"]
      try u.expect(view: expected, top: expected)
    }
  }
}

/// The data segments of a file.
func holes(_ path: Path) throws(Errno) -> [Int64] {
  let file = try path.open(O_RDONLY)
  defer { file.close() }
  var edges: [Int64] = []
  var at: Int64 = 0
  while let start = try? file.seek(at, seekData) {
    at = try file.seek(start, seekHole)
    edges += [start, at]
  }
  return edges
}
