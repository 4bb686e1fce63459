import Glibc
import TestSupport
import Testing

private func name(_ length: Int, _ byte: Character = "n") -> Path {
  Path(String(repeating: byte, count: length))
}

@Suite(.mounts) struct Names {
  static let odd: [Path] = [
    name(200), name(241), name(242), name(243), name(251), name(252), name(255),
    Path(bytes: [0xff, 0xfe, 0x80]), "new\nline", "back\\slash", "per%cent", "-rf", " ", "...",
    "..a", ".wh", ".whx", "wh.x", "colon:=,", "tab\there", "ünï", "*", "\u{7f}",
    Path(bytes: [UInt8](repeating: 0xc3, count: 255)),
  ]

  @Test(arguments: odd)
  func everyNameThatLinuxTakesLivesAFullLife(name: Path) throws {
    try withUnion(lower: [.directory("d"), .file("other", "other")]) { u throws in
      let path = u / name
      try path.write("text")
      #expect(throws: Errno.exists) { try path.mkdir() }
      #expect(try Set(u.mnt.entries().map(\.name)) == ["d", "other", name])
      #expect(try path.text() == "text")
      try path.rename(to: u / "d" / name)
      try (u / "other").rename(to: path)
      #expect(try (u / "d" / name).text() == "text")
      try (u / "d" / name).link(to: u / "d" / "short")
      try (u / "d" / name).unlink()
      try path.unlink()
      try path.mkdir()
      try (path / name).symlink(to: name)
      #expect(try (path / name).readlink() == name)
      try u.remount()
      #expect(try (path / name).readlink() == name)
      try (path / name).unlink()
      try path.rmdir()
      try u.expect(
        view: ["d/", "d/short=text"], top: ["d/", "d/short=text", ".wh.other"])
    }
  }

  @Test(arguments: odd)
  func everyNameOfALowerBranchCanBeChangedAndRemoved(name: Path) throws {
    let items: [Item] = [
      .file(name, "text"), .file("d" / name / name, "deep"), .symlink("l" / name, to: "x"),
    ]
    try withUnion(lower: items) { u throws in
      try (u / name).append("+")
      #expect(try (u / name).text() == "text+")
      try (u / name).unlink()
      try (u / "d" / name / name).unlink()
      #expect(throws: Errno.missing) { try (u / name).stat() }
      try u.expect(view: ["d/", "d/\(name)/", "l/", "l/\(name)->x"])
      try (u / "d" / name).rmdir()
      try (u / "l" / name).rename(to: u / "short")
      try u.expect(view: ["d/", "l/", "short->x"])
      try u.remount()
      try u.expect(view: ["d/", "l/", "short->x"])
      #expect(throws: Errno.missing) { try (u / "l" / name).stat() }
    }
  }

  @Test(arguments: [252, 253, 254, 255])
  func aLowerNameTooLongForAWhiteoutIsHiddenByALongOne(length: Int) throws {
    let long = name(length)
    try withUnion(lower: [.file(long, "old"), .file("d" / long / "x", "old")]) { u throws in
      try (u / long).unlink()
      try shell("rm", "-r", "\(u / "d" / long)")
      try u.expect(
        view: ["d/"], top: [".wh..wh.long.=\(long)", "d/", "d/.wh..wh.long.=\(long)"])
      // A file in its place takes the long whiteout away, a directory is opaque.
      try (u / long).write("new")
      try (u / "d" / long).mkdir()
      try u.expect(
        view: ["\(long)=new", "d/", "d/\(long)/"],
        top: ["\(long)=new", "d/", "d/\(long)/", "d/\(long)/.wh..wh..opq"])
      try (u / long).unlink()
      try (u / "d" / long).rmdir()
      try u.expect(
        view: ["d/"], top: [".wh..wh.long.=\(long)", "d/", "d/.wh..wh.long.=\(long)"])
      try (u / "d").rmdir()
      try u.expect(view: [], top: [".wh..wh.long.=\(long)", ".wh.d"])
    }
  }

  @Test func longWhiteoutsOfManyNamesLieSideBySide() throws {
    let names = (0..<20).map { Path("\($0)-" + String(repeating: "x", count: 250)) }
      .map { Path(bytes: Array($0.bytes.prefix(255))) }
    try withUnion(lower: names.map { .file($0, "x") } + [.file("short", "s")]) { u throws in
      for name in names.dropLast() { try (u / name).unlink() }
      let rest = names.suffix(1).map { "\($0)=x" } + ["short=s"]
      try u.expect(
        view: rest, top: names.dropLast().map { ".wh..wh.long.=\($0)" })
      try u.remount()
      try u.expect(view: rest)
      for name in names.dropLast() {
        #expect(throws: Errno.missing) { try (u / name).stat() }
      }
    }
  }

  @Test(arguments: [252, 255])
  func aLowerDirectoryOrFileWithALongNameIsRenamed(length: Int) throws {
    let (long, other) = (name(length), name(length, "o"))
    try withUnion(lower: [.file(long, "file"), .file("d" / long / "x", "x")]) { u throws in
      try (u / long).rename(to: u / other)
      try (u / "d" / long).rename(to: u / "d" / other)
      let view = ["\(other)=file", "d/", "d/\(other)/", "d/\(other)/x=x"]
      try u.expect(
        view: view, top: view + [".wh..wh.long.=\(long)", "d/.wh..wh.long.=\(long)"])
      try (u / other).rename(to: u / long)
      try u.expect(view: ["\(long)=file", "d/", "d/\(other)/", "d/\(other)/x=x"])
    }
  }

  @Test func aNameOver255BytesIsTooLongForEveryOperation() throws {
    let long = name(256)
    try withUnion(lower: [.file("f"), .directory("d")]) { u throws in
      let path = u / long
      let calls: [(String, () throws -> Void)] = [
        ("stat", { _ = try path.stat() }), ("create", { try path.write("") }),
        ("mkdir", { try path.mkdir() }), ("symlink", { try path.symlink(to: "x") }),
        ("mknod", { try path.mknod(.fifo) }), ("unlink", { try path.unlink() }),
        ("rmdir", { try path.rmdir() }), ("link", { try (u / "f").link(to: path) }),
        ("link from", { try path.link(to: u / "g") }),
        ("rename", { try (u / "f").rename(to: path) }),
        ("rename from", { try path.rename(to: u / "g") }),
        ("rename of a directory", { try (u / "d").rename(to: path) }),
        ("below", { _ = try (path / "x").stat() }), ("open", { try path.open(O_RDONLY).close() }),
        ("chmod", { try path.chmod(0o600) }), ("readlink", { _ = try path.readlink() }),
        ("exchange", { try (u / "f").rename(to: path, flags: renameExchange) }),
      ]
      for (call, run) in calls {
        #expect(throws: Errno.nameTooLong, "\(call)") { try run() }
      }
      try u.expect(view: ["d/", "f="], top: [])
    }
  }

  @Test(
    .rulesOfAufs,
    arguments: [".wh.x", ".wh.", ".wh..wh..opq", ".wh..wh.aufs", ".wh..wh.plnk"] as [Path])
  func aNameOfAufsItselfIsRefusedByEveryOperation(reserved: Path) throws {
    try withUnion(top: [.whiteout("x"), .opaque("d")], lower: [.file("f", "F"), .file("x")]) {
      u throws in
      for folder: Path in ["", "d"] {
        let path = u / folder / reserved
        let calls: [(String, () throws -> Void)] = [
          ("stat", { _ = try path.stat() }), ("create", { try path.write("") }),
          ("exclusive", { try path.open(O_WRONLY | O_CREAT | O_EXCL).close() }),
          ("mkdir", { try path.mkdir() }), ("symlink", { try path.symlink(to: "x") }),
          ("mknod", { try path.mknod(.fifo) }), ("unlink", { try path.unlink() }),
          ("rmdir", { try path.rmdir() }), ("link", { try (u / "f").link(to: path) }),
          ("rename", { try (u / "f").rename(to: path) }),
          ("rename from", { try path.rename(to: u / "g") }),
          ("open", { try path.open(O_RDONLY).close() }),
        ]
        for (call, run) in calls {
          #expect(throws: Errno.notPermitted, "\(call) in \(folder)") { try run() }
        }
      }
      try u.expect(view: ["d/", "f=F"], top: [".wh.x", "d/", "d/.wh..wh..opq"])
    }
  }

  @Test func deepPathsAreReachedByDescriptors() throws {
    let part = name(200)
    try withUnion(lower: [.directory("d")], checks: [.lowerUnchanged]) { u throws in
      var folders = [try u.open("d", O_RDONLY | O_DIRECTORY)]
      for _ in 0..<50 {
        guard let last = folders.last else { return }
        try last.mkdir(part)
        folders.append(u.keep(try last.open(part, O_RDONLY | O_DIRECTORY)))
      }
      // Over 10,000 bytes down, where no path string reaches.
      let bottom = try #require(folders.last)
      let file = u.keep(try bottom.open("f", O_RDWR | O_CREAT))
      try file.write("deep")
      #expect(try file.text() == "deep")
      #expect(try bottom.remainingEntries().map(\.name).sorted() == [".", "..", "f"])
      #expect(try bottom.stat("f").size == 4)
      file.close()
      for folder in folders { folder.close() }
      try u.remount()
      try shell("rm", "-r", "\(u / "d")")
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func aPathOfThousandsOfBytesWorks() throws {
    // PATH_MAX with the terminating zero is 4096.
    let room = 4095 - 64
    let part = name(99)
    let depth = room / 100 - 1
    let folder = (0..<depth).reduce(Path(bytes: [])) { path, _ in path / part }
    try withUnion(lower: [.file(folder / "f", "low")]) { u throws in
      #expect(try (u / folder / "f").text() == "low")
      try (u / folder / "g").write("top")
      try (u / folder / "f").append("+")
      #expect(try (u / folder).names() == ["f", "g"])
      try (u / folder / "f").rename(to: u / "f")
      #expect(try (u / "f").text() == "low+")
    }
  }

  @Test(.rulesOfAufs) func statfsTellsOfTheTopBranchOrOfAll() throws {
    let branches: [Branch] = [
      .rw().onTmpfs(size: "8m"), .lower([.file("a")]).onTmpfs(size: "16m"), .lower([.file("b")]),
      .lower([.file("c")]),
    ]
    for (options, counted) in [([], [0]), (["sum"], [0, 1, 2])] {
      try withUnion(branches, options: options) { u throws in
        let shown = try u.mnt.statfs()
        let parts = try counted.map { try u.branches[$0].statfs() }
        #expect(shown.blockSize == parts[0].blockSize)
        #expect(shown.blocks == parts.reduce(0) { $0 + $1.blocks * $1.blockSize } / shown.blockSize)
        #expect(shown.files == parts.reduce(0) { $0 + $1.files })
      }
    }
  }

  @Test func statfsSaysNamesMayHave255Bytes() throws {
    try withUnion([.rw().onTmpfs(size: "8m"), .lower([.file("f", "x")])]) { u throws in
      let (mount, top) = (try u.mnt.statfs(), try u.top.statfs())
      #expect(mount.nameMax == 255)
      #expect(mount.blocks * mount.blockSize == top.blocks * top.blockSize)
      #expect(mount.available * mount.blockSize == top.available * top.blockSize)
      #expect(mount.files == top.files)
    }
  }
}
