import Glibc
import TestSupport
import Testing

private let alice = Identity(uid: 5001, gid: 5001, groups: [6000])
private let bob = Identity(uid: 5002, gid: 5002)

/// What other users may do on root's mount: what they may on a local disk.
@Suite(.mounts) struct Privileges {
  @Test func whatAUserMakesBelongsToTheUser() throws {
    try withUnion(lower: [.directory("d", mode: 0o1777)]) { u throws in
      try alice.run {
        try (u / "d/f").write("x")
        try (u / "d/s").mkdir()
        try (u / "d/p").mknod(.fifo)
        try (u / "d/f").link(to: u / "d/g")
      }
      for name: Path in ["d/f", "d/s", "d/p", "d/g"] {
        let status = try (u / name).stat()
        #expect(status.uid == 5001 && status.gid == 5001, "\(name)")
        guard Backend.isOurs else { continue }
        let onTop = try (u.top / name).stat()
        #expect(onTop.uid == 5001 && onTop.gid == 5001, "\(name)")
      }
    }
  }

  @Test func aSetGroupIDDirectoryGivesItsGroupToWhatAMemberMakes() throws {
    let shared = Item.directory("d", mode: 0o2777).owned(0, 6000)
    let foreign = Item.directory("e", mode: 0o2777).owned(0, 7000)
    try withUnion(lower: [shared, foreign]) { u throws in
      try alice.run {
        // Made and not written to: a write takes the bit of an executable file away again.
        for name: Path in ["d/f", "e/f"] {
          try (u / name).open(O_CREAT | O_WRONLY, 0o2755).close()
        }
        try (u / "d/s").mkdir()
      }
      let (file, folder) = (try (u / "d/f").stat(), try (u / "d/s").stat())
      #expect(file.gid == 6000 && folder.gid == 6000)
      #expect(file.mode == 0o2755 && folder.mode & 0o2000 != 0)
      let alien = try (u / "e/f").stat()
      #expect(alien.gid == 7000 && alien.mode == 0o755, "no set-group-ID of a strange group")
    }
  }

  @Test func modesAreEnforcedForOwnersGroupsAndOthers() throws {
    try withUnion(
      top: [.file("t", "x", mode: 0o640).owned(5001, 6000)],
      lower: [
        .file("l", "x", mode: 0o640).owned(5001, 6000), .file("g", "x", mode: 0o460).owned(1, 6000),
        .file("o", "x", mode: 0o604).owned(1, 6000), .directory("d", mode: 0o750).owned(1, 6000),
        .file("d/f", "x"),
      ]
    ) { u throws in
      try alice.run {
        for name: Path in ["t", "l"] {
          _ = try (u / name).text()
          try (u / name).append("y")
        }
        try (u / "g").append("y")
        _ = try (u / "g").text()
        #expect(throws: Errno.denied) { try (u / "o").text() }
        _ = try (u / "d/f").text()
        #expect(throws: Errno.denied) { try (u / "d/new").write("") }
        #expect(throws: Errno.denied) { try (u / "d/f").unlink() }
      }
      try bob.run {
        for name: Path in ["t", "l", "g"] {
          #expect(throws: Errno.denied) { try (u / name).text() }
          #expect(throws: Errno.denied) { try (u / name).open(O_WRONLY) }
          #expect(throws: Errno.notPermitted) { try (u / name).chmod(0o666) }
          #expect(throws: Errno.denied) { try (u / name).truncate(0) }
          #expect(throws: Errno.denied) { try (u / name).setTimes(accessed: .now, modified: .now) }
          #expect(throws: Errno.notPermitted) { try (u / name).setTimes(modified: Moment(1)) }
        }
        _ = try (u / "o").text()
        #expect(throws: Errno.denied) { try (u / "d/f").stat() }
        #expect(throws: Errno.denied) { try (u / "d").names() }
        #expect(throws: Errno.denied) { try (u / "new").write("") }
      }
      #expect(!Backend.isOurs || !(u.top / "d").exists, "what is refused brings nothing up")
    }
  }

  @Test func inAStickyDirectoryOnlyTheOwnerRemoves() throws {
    try withUnion(lower: [
      .directory("tmp", mode: 0o1777), .file("tmp/alices", "a").owned(5001, 5001),
      .file("tmp/bobs", "b", mode: 0o666).owned(5002, 5002),
    ]) { u throws in
      try alice.run {
        #expect(throws: Errno.notPermitted) { try (u / "tmp/bobs").unlink() }
        #expect(throws: Errno.notPermitted) { try (u / "tmp/bobs").rename(to: u / "tmp/x") }
        #expect(throws: Errno.notPermitted) { try (u / "tmp/alices").rename(to: u / "tmp/bobs") }
        try (u / "tmp/bobs").append("+")
        try (u / "tmp/alices").unlink()
      }
      try u.expect(view: ["tmp/", "tmp/bobs=b+"], top: ["tmp/", "tmp/.wh.alices", "tmp/bobs=b+"])
      #expect(try (u / "tmp/bobs").stat().uid == 5002)
    }
  }

  @Test func aWriteByAnotherUserClearsSetUserID() throws {
    let ways: [(String, (Path) throws -> Void)] = [
      ("write", { try $0.append("x") }), ("truncate", { try $0.truncate(1) }),
      ("open with truncation", { try $0.write("") }),
      (
        "fallocate",
        { path in
          let file = try path.open(O_RDWR)
          defer { file.close() }
          try file.allocate(0, 0, 100)
        }
      ),
    ]
    for (index, (way, act)) in ways.enumerated() {
      let (top, low) = (Path("t\(index)"), Path("l\(index)"))
      try withUnion(
        top: [.file(top, "text", mode: 0o6777)], lower: [.file(low, "text", mode: 0o6777)]
      ) { u throws in
        for name in [top, low] {
          try alice.run { try act(u / name) }
          let status = try (u / name).stat()
          #expect(status.mode == 0o777 && status.uid == 0, "\(way) of \(name)")
          #expect(try (u.top / name).stat().mode == 0o777, "\(way) of \(name) on the branch")
        }
      }
    }
  }

  @Test func rootsWriteKeepsSetUserID() throws {
    try withUnion(
      top: [.file("t", "x", mode: 0o4755)], lower: [.file("l", "x", mode: 0o4755)]
    ) { u throws in
      for name: Path in ["t", "l"] {
        try (u / name).append("y")
        #expect(try (u / name).stat().mode == 0o4755, "\(name)")
      }
    }
  }

  @Test func theGroupMayBeChangedByTheOwnerToOneOfItsOwn() throws {
    try withUnion(lower: [.file("f", mode: 0o2755).owned(5001, 5001)]) { u throws in
      try alice.run {
        try (u / "f").chown(.max, 6000)
        #expect(throws: Errno.notPermitted) { try (u / "f").chown(.max, 7000) }
        #expect(throws: Errno.notPermitted) { try (u / "f").chown(5002) }
      }
      let status = try (u / "f").stat()
      #expect(status.uid == 5001 && status.gid == 6000 && status.mode & 0o4000 == 0)
    }
  }

  @Test func chmodByTheOwnerOutsideTheGroupDropsSetGroupID() throws {
    try withUnion(lower: [.file("f", mode: 0o755).owned(5001, 7000)]) { u throws in
      try alice.run { try (u / "f").chmod(0o2755) }
      #expect(try (u / "f").stat().mode == 0o755)
    }
  }

  @Test func aSetUserIDProgramRunsAsItsOwner() throws {
    let program = try Path("/usr/bin/id").bytesOfFile()
    let asUser = ["setpriv", "--reuid=5001", "--regid=5001", "--clear-groups", "--"]
    try withUnion(lower: [
      .file("bin/id", bytes: program, mode: 0o4755), .directory("d", mode: 0o777),
    ]) { u throws in
      #expect(try run(asUser + ["\(u / "bin/id")", "-u"]).output == "0\n")
    }
    try withUnion(
      [.rw(), .lower([.file("id", bytes: program, mode: 0o4755)])], options: ["nosuid"]
    ) { u throws in
      #expect(try run(asUser + ["\(u / "id")", "-u"]).output == "5001\n")
    }
  }

  @Test func aLowerFileBroughtUpByAnotherUserKeepsItsOwner() throws {
    try withUnion(lower: [
      .directory("d", mode: 0o755).owned(7, 8), .file("d/f", "x", mode: 0o666).owned(9, 10),
    ]) { u throws in
      try alice.run { try (u / "d/f").append("y") }
      let (file, folder) = (try (u / "d/f").stat(), try (u / "d").stat())
      #expect(file.uid == 9 && file.gid == 10 && folder.uid == 7 && folder.gid == 8)
      guard Backend.isOurs else { return }
      let (topFile, topFolder) = (try (u.top / "d/f").stat(), try (u.top / "d").stat())
      #expect(topFile.uid == 9 && topFolder.uid == 7)
    }
  }

  @Test func supplementaryGroupsGiveAccess() throws {
    try withUnion(lower: [
      .directory("d", mode: 0o070).owned(0, 6000), .file("d/f", "x", mode: 0o060).owned(0, 6000),
    ]) { u throws in
      try alice.run {
        try (u / "d/f").append("y")
        try (u / "d/new").write("z")
        try (u / "d/f").unlink()
      }
      try bob.run {
        let folder = u / "d"
        #expect(throws: Errno.denied) { try folder.names() }
      }
      #expect(try (u / "d/new").stat().uid == 5001)
      try u.expect(view: ["d/", "d/new=z"], top: ["d/", "d/.wh.f", "d/new=z"])
    }
  }
}
