import Glibc
import TestSupport
import Testing

/// Mounts of a user without any privilege, through fusermount3.
@Suite(
  .mounts, .rulesOfAufs,
  .enabled(
    if: Account.unprivileged != nil, "needs the account unionfs-test, which scripts/test makes"),
  .enabled(if: has(program: "fusermount3"), "needs fusermount3 of Debian's package fuse3"))
struct Unprivileged {
  private func withUsersUnion(
    _ branches: [Branch], options: [String] = [], _ body: (Union) throws -> Void
  ) throws {
    let account = try #require(Account.unprivileged)
    try withUnion(branches, options: options, account: account, body: body)
  }

  @Test func aUserMountsItsOwnLayersAndLivesInThem() throws {
    try withUsersUnion([
      .rw(), .lower([.file("d/f", "F", mode: 0o640), .file("d/g", "G"), .symlink("l", to: "d/f")]),
      .lower([.file("e/h", "H"), .whiteout("x")]), .lower([.file("x")]),
    ]) { u throws in
      try (u / "new").write("n")
      try (u / "d/f").append("+")
      try (u / "d/g").unlink()
      try (u / "l").rename(to: u / "m")
      try (u / "e").rename(to: u / "moved")
      try (u / "made").mkdir()
      try (u / "d/f").link(to: u / "hard")
      try (u / "moved/h").setAttribute("user.k", "v")
      try (u / "moved/h").chmod(0o600)
      try u.expect(
        view: ["d/", "d/f=F+", "hard=F+", "m->d/f", "made/", "moved/", "moved/h=H", "new=n"],
        top: [
          "d/", "d/f=F+", "d/.wh.g", "hard=F+", "m->d/f", ".wh.l", "made/", "moved/",
          "moved/h=H", ".wh.e", "new=n",
        ])
      let status = try (u / "d/f").stat()
      #expect(status.mode == 0o640 && status.links == 2 && status.uid == geteuid())
    }
  }

  @Test func directoriesWithoutPermissionStayClosedToTheUser() throws {
    try withUsersUnion([
      .rw(), .lower([.directory("d", mode: 0o755), .file("f", "F", mode: 0o400)]),
    ]) { u throws in
      #expect(throws: Errno.denied) { try (u / "f").append("x") }
      #expect(throws: Errno.notPermitted) { try (u / "f").chown(0) }
      #expect(throws: Errno.notPermitted) { try (u / "c").mknod(.character, major: 1, minor: 3) }
      try (u / "f").chmod(0o600)
      try (u / "f").append("x")
      try (u / "d").chmod(0)
      #expect(throws: Errno.denied) { try (u / "d").names() }
      try (u / "d").chmod(0o755)
    }
  }

  @Test func directoriesWithoutTheOwnersRightsAreListedAndRemoved() throws {
    try withUsersUnion([.rw(), .lower([.file("low/x")])]) { u throws in
      try (u / "d/f").parent.mkdir()
      try (u / "d/f").write("F")
      try (u / "d").chmod(0o600)
      #expect(try (u / "d").names() == ["f"])
      try (u / "d").chmod(0o700)
      try (u / "low/x").unlink()
      for (name, mode): (Path, UInt32) in [("e", 0o300), ("g", 0), ("low", 0)] {
        if name != "low" { try (u / name).mkdir() }
        try (u / name).chmod(mode)
        try (u / name).rmdir()
      }
      try (u / "d/k").mkdir()
      try (u / "d/k/l").write("")
      try (u / "d/k").chmod(0o100)
      #expect(throws: Errno.notEmpty) { try (u / "d/k").rmdir() }
      #expect(try (u / "d/k").stat().mode == 0o100)
      try (u / "d/k").chmod(0o700)
      try u.expect(
        view: ["d/", "d/f=F", "d/k/", "d/k/l="], top: [".wh.low", "d/", "d/f=F", "d/k/", "d/k/l="])
    }
  }

  @Test func filesInADirectoryThatItsOwnerMayNotWriteToChange() throws {
    try withUsersUnion([
      .rw(), .lower([.directory("d", mode: 0o500), .file("d/f", "F"), .file("d/e/g", "G")]),
    ]) { u throws in
      try (u / "d/f").chmod(0o600)
      try (u / "d/f").append("+")
      #expect(throws: Errno.denied) { try (u / "d/new").write("") }
      try (u / "d").rename(to: u / "moved")
      #expect(try (u / "moved").stat().mode == 0o500)
      try u.expect(
        view: ["moved/", "moved/e/", "moved/e/g=G", "moved/f=F+"],
        top: [".wh.d", "moved/", "moved/e/", "moved/e/g=G", "moved/f=F+"])
      try (u / "moved").chmod(0o700)
    }
  }

  @Test func nobodyElseComesInNotEvenRoot() throws {
    let account = try #require(Account.unprivileged)
    try withUnion([.rw(), .lower([.file("f", "F")])], account: account, asAccount: false) {
      u throws in
      #expect(throws: Errno.denied) { try (u / "f").stat() }
      #expect(try account.identity.run { try (u / "f").text() } == "F")
    }
  }

  @Test func holesAndAppendsOfAUserSurviveARemount() throws {
    let block = pattern(4096)
    try withUsersUnion([.rw(), .lower([.sparse("big", size: 1 << 28, data: [(1 << 20, block)])])]) {
      u throws in
      try (u / "big").append("end")
      let status = try (u / "big").stat()
      #expect(status.size == 1 << 28 + 3 && status.blocks <= 64)
      #expect(try u.open("big", O_RDONLY).read(4096, at: 1 << 20) == block)
    }
  }
}
