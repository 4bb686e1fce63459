import Glibc
import TestSupport
import Testing

private let immutable: Int32 = 0x10
private let appendOnly: Int32 = 0x20
private let noDump: Int32 = 0x40
private let noAccessTime: Int32 = 0x80

/// What chattr(1) sets and lsattr(1) shows.
@Suite(.mounts, .rulesOfAufs) struct InodeFlags {
  /// A union whose lower files have flags. Whatever protects a file is taken away at the end, so that
  /// the fixture can remove it.
  private func withFlags(
    _ flags: [Path: Int32], lower: [Item], _ body: (Union) throws -> Void
  ) throws {
    try withUnion([.rw(), .lower(lower)], mounted: false) { u throws in
      defer { for path in flags.keys { unprotect(path, in: u) } }
      for (path, value) in flags {
        let file = try (u.lower / path).open(O_RDONLY)
        defer { file.close() }
        try file.setFlags(try file.flags() | value)
      }
      try u.mount()
      try body(u)
    }
  }

  private func unprotect(_ path: Path, in u: Union) {
    for branch in [u.top, u.lower] {
      guard let file = try? (branch / path).open(O_RDONLY) else { continue }
      if let own = try? file.flags() { try? file.setFlags(own & ~(immutable | appendOnly)) }
      file.close()
    }
  }

  private func flags(_ path: Path) throws -> Int32 {
    let file = try path.open(O_RDONLY)
    defer { file.close() }
    return try file.flags() & (immutable | appendOnly | noDump | noAccessTime)
  }

  private func setFlags(_ path: Path, _ value: Int32) throws {
    let file = try path.open(O_RDONLY)
    defer { file.close() }
    let others = try file.flags() & ~(immutable | appendOnly | noDump | noAccessTime)
    try file.setFlags(others | value)
  }

  @Test func theyAreShownAndSetAndComeUpWithTheFile() throws {
    try withFlags(
      ["a": noDump, "d": noDump | noAccessTime], lower: [.file("a", "A"), .file("d/b", "B")]
    ) { u throws in
      #expect(try flags(u / "a") == noDump)
      #expect(try flags(u / "d") == noDump | noAccessTime)
      try u.expect(top: [])
      try (u / "a").append("+")
      try (u / "d/b").unlink()
      #expect(try flags(u.top / "a") == noDump)
      #expect(try flags(u.top / "d") == noDump | noAccessTime)
      try setFlags(u / "d", noDump)
      #expect(try flags(u / "d") == noDump && flags(u.top / "d") == noDump)
    }
  }

  @Test func settingOneBringsALowerFileUp() throws {
    try withUnion(lower: [.file("a", "A")]) { u throws in
      try setFlags(u / "a", noDump)
      #expect(try flags(u / "a") == noDump)
      try u.expect(view: ["a=A"], top: ["a=A"])
    }
  }

  /// The first of many files that cannot be copied ends the move, whichever thread is at it.
  @Test func aDirectoryWithAnImmutableFileStays() throws {
    let items = (0..<40).map { Item.file(Path("d/s\($0 % 3)/f\($0)"), "\($0)") }
    try withFlags(["d/s1/f19": immutable], lower: items) { u throws in
      let before = try u.view()
      #expect(throws: Errno.notPermitted) { try (u / "d").rename(to: u / "e") }
      #expect(try u.view() == before)
      try setFlags(u / "d/s1/f19", 0)
      try (u / "d").rename(to: u / "e")
      #expect(try u.view() == before.map { "e" + $0.dropFirst() })
    }
  }

  @Test func whatIsImmutableRefusesEveryChange() throws {
    try withFlags(
      ["a": immutable, "d": immutable], lower: [.file("a", "A"), .file("d/b", "B"), .file("c")]
    ) { u throws in
      let changes: [(String, () throws -> Void)] = [
        ("open to write", { _ = try (u / "a").open(O_WRONLY) }),
        ("append", { try (u / "a").append("+") }),
        ("truncate", { try (u / "a").truncate(0) }),
        ("chmod", { try (u / "a").chmod(0o600) }),
        ("utimens", { try (u / "a").setTimes(modified: Moment(1, 2)) }),
        ("setxattr", { try (u / "a").setAttribute("user.k", "v") }),
        ("unlink", { try (u / "a").unlink() }),
        ("rename", { try (u / "a").rename(to: u / "n") }),
        ("rename onto", { try (u / "c").rename(to: u / "a") }),
        ("link", { try (u / "a").link(to: u / "n") }),
        ("create in", { try (u / "d/n").write("x") }),
        ("mkdir in", { try (u / "d/n").mkdir() }),
        ("unlink in", { try (u / "d/b").unlink() }),
        ("rename out of", { try (u / "d/b").rename(to: u / "n") }),
        ("rename into", { try (u / "c").rename(to: u / "d/n") }),
        ("link into", { try (u / "c").link(to: u / "d/n") }),
        ("chmod of the directory", { try (u / "d").chmod(0o700) }),
        ("rename of the directory", { try (u / "d").rename(to: u / "n") }),
      ]
      for (what, change) in changes {
        #expect(throws: Errno.notPermitted, "\(what)") { try change() }
      }
      // The directory's own names stand still, not what is in its files.
      try (u / "d/b").append("+")
      #expect(try flags(u.top / "d") == immutable)
      try u.expect(view: ["a=A", "c=", "d/", "d/b=B+"], top: ["d/", "d/b=B+"])
      try setFlags(u / "a", 0)
      try (u / "a").append("+")
      try setFlags(u / "d", 0)
      try (u / "d/b").unlink()
      try u.expect(view: ["a=A+", "c=", "d/"], top: ["a=A+", "d/", "d/.wh.b"])
    }
  }

  @Test func whatIsAppendOnlyGrowsAndNothingElse() throws {
    try withFlags(
      ["a": appendOnly, "d": appendOnly], lower: [.file("a", "A"), .file("d/b", "B")]
    ) { u throws in
      let changes: [(String, () throws -> Void)] = [
        ("open to write", { _ = try (u / "a").open(O_WRONLY) }),
        ("truncate", { try (u / "a").truncate(0) }),
        ("open to truncate", { _ = try (u / "a").open(O_WRONLY | O_APPEND | O_TRUNC) }),
        ("chmod", { try (u / "a").chmod(0o600) }),
        ("unlink", { try (u / "a").unlink() }),
        ("rename", { try (u / "a").rename(to: u / "n") }),
        ("unlink in", { try (u / "d/b").unlink() }),
        ("rename out of", { try (u / "d/b").rename(to: u / "n") }),
      ]
      // From below, and from the top.
      for round in ["lower", "upper"] {
        for (what, change) in changes {
          #expect(throws: Errno.notPermitted, "\(what), \(round)") { try change() }
        }
        try (u / "a").append("+")
        try (u / Path("d/\(round)")).write("n")
        #expect(try flags(u.top / "a") == appendOnly && flags(u.top / "d") == appendOnly)
      }
      try u.expect(
        view: ["a=A++", "d/", "d/b=B", "d/lower=n", "d/upper=n"],
        top: ["a=A++", "d/", "d/lower=n", "d/upper=n"])
    }
  }

  @Test(
    .enabled(if: Account.unprivileged != nil, "needs the account unionfs-test"))
  func aUserSetsNoFlagThatProtects() throws {
    let account = try #require(Account.unprivileged)
    try withUnion(lower: [.file("a", "A").owned(account.uid, account.gid)]) { u throws in
      try Identity(uid: account.uid, gid: account.gid).run {
        try setFlags(u / "a", noDump)
        #expect(throws: Errno.notPermitted) { try setFlags(u / "a", immutable) }
      }
      #expect(try flags(u / "a") == noDump)
    }
  }
}
