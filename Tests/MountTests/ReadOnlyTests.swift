import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct ReadOnly {
  static let items: [Item] = [
    .file("f", "text").attribute("user.a", "1"), .file("d/x", "x"), .directory("e"),
    .symlink("l", to: "f"),
  ]

  private func everyChangeIsRefused(_ u: Union) throws {
    let f = u / "f"
    let calls: [(String, () throws -> Void)] = [
      ("create", { try (u / "new").write("") }), ("mkdir", { try (u / "new").mkdir() }),
      ("symlink", { try (u / "new").symlink(to: "x") }), ("mknod", { try (u / "n").mknod(.fifo) }),
      ("link", { try f.link(to: u / "new") }), ("unlink", { try f.unlink() }),
      ("rmdir", { try (u / "e").rmdir() }), ("rename", { try f.rename(to: u / "new") }),
      ("exchange", { try f.rename(to: u / "d", flags: renameExchange) }),
      ("rename of a directory", { try (u / "d").rename(to: u / "new") }),
      ("chmod", { try f.chmod(0o600) }), ("chown", { try f.chown(1, 1) }),
      ("utimens", { try f.setTimes(modified: .now) }), ("truncate", { try f.truncate(0) }),
      ("open for writing", { try f.open(O_RDWR).close() }),
      ("open with truncation", { try f.open(O_RDONLY | O_TRUNC).close() }),
      ("temporary", { try u.mnt.open(O_RDWR | openTemporary).close() }),
      ("setxattr", { try f.setAttribute("user.b", "2") }),
      ("removexattr", { try f.removeAttribute("user.a") }),
      ("access", { try f.access(W_OK) }),
    ]
    for (call, run) in calls {
      #expect(throws: Errno.readOnly, "\(call)") { try run() }
    }
    #expect(throws: Errno.exists) { try (u / "d").mkdir() }
    #expect(try f.text() == "text")
    #expect(try f.attribute("user.a") == Array("1".utf8))
    #expect(try f.stat().modified == builtTime)
    #expect(try u.mnt.statfs().flags & 1 == 1, "ST_RDONLY")
    try u.expect(view: ["d/", "d/x=x", "e/", "f=text", "l->f"])
  }

  @Test func withoutAWritableBranchNothingChanges() throws {
    try withUnion([.lower(ReadOnly.items), .lower([.file("d/x", "hidden")])]) { u throws in
      try everyChangeIsRefused(u)
    }
  }

  @Test func asAnOptionItLeavesTheTopBranchAlone() throws {
    try withUnion(
      [.rw(Array(ReadOnly.items.prefix(2))), .lower(ReadOnly.items)], options: ["ro"]
    ) { u throws in
      let before = try walk(u.top).map(\.detail)
      let time = try u.top.stat().modified
      try everyChangeIsRefused(u)
      #expect(try walk(u.top).map(\.detail) == before)
      #expect(try u.top.stat().modified == time)
    }
  }

  @Test func filesOfAReadOnlyMountAreMappedAndRun() throws {
    let program = try Path("/bin/true").bytesOfFile()
    try withUnion([.lower([.file("true", bytes: program, mode: 0o755), .file("f", "text")])]) {
      u throws in
      try shell("\(u / "true")")
      #expect(try u.map(try u.open("f", O_RDONLY), size: 4).text(0..<4) == "text")
    }
  }
}
