import Glibc
import TestSupport
import Testing

private let key = "user.containers.override_stat"

/// Owners, modes and types that an attribute tells: `owners=xattr`, fuse-overlayfs's `xattr_permissions`.
@Suite(.mounts) struct OwnerAttributeTests {
  private static let image: [Item] = [
    .file("etc/shadow", "secret", mode: 0o640).attribute(key, "0:42:0640:file"),
    .file("bin/su", "su", mode: 0o755).attribute(key, "0:0:4755:file"),
    .file("dev/null").attribute(key, "0:0:0666:char-1-3"),
    .file("dev/pipe").attribute(key, "5:6:0600:pipe"),
    .file("plain", "text"), .file("odd", "text").attribute(key, "strange"),
    .file("full", "not empty").attribute(key, "0:0:0600:block-8-0"),
    .directory("home", mode: 0o700).attribute(key, "1000:1001:2775:dir"),
    .symlink("home/link", to: "x"),
  ]

  private func told(_ path: Path) throws -> String {
    let status = try path.stat()
    return "\(status.uid):\(status.gid):\(String(status.mode, radix: 8)):\(status.kind)"
  }

  private func kept(_ path: Path) throws -> String {
    String(decoding: try path.attribute(key), as: UTF8.self)
  }

  private func withShown(
    _ options: [String] = ["owners=xattr", "suid", "dev"], account: Account? = nil,
    _ body: (Union) throws -> Void
  ) throws {
    try withUnion(
      [.rw(), .lower(Self.image)], options: options, account: account,
      checks: [.lowerUnchanged, .remount], body: body)
  }

  @Test func whatTheAttributeTellsIsShown() throws {
    try withShown { u throws in
      #expect(try told(u / "etc/shadow") == "0:42:640:file")
      #expect(try told(u / "bin/su") == "0:0:4755:file")
      #expect(try told(u / "dev/null") == "0:0:666:character")
      #expect(try (u / "dev/null").stat().rdev == (1 << 8 | 3))
      #expect(try told(u / "dev/pipe") == "5:6:600:fifo")
      #expect(try told(u / "home") == "1000:1001:2775:directory")
      #expect(try told(u / "home/link") == "1000:1001:777:symlink")
      #expect(try told(u / "full") == "0:0:600:file", "only an empty file stands for another thing")
      for name in ["plain", "odd"] { #expect(try told(u / Path(name)) == "0:0:644:file") }
      // It is no part of the view.
      #expect(try (u / "etc/shadow").attributes().isEmpty)
      #expect(throws: Errno.noAttribute) { try (u / "etc/shadow").attribute(key) }
      #expect(throws: Errno.notPermitted) { try (u / "plain").setAttribute(key, "1:1:0777") }
      #expect(throws: Errno.notPermitted) { try (u / "bin/su").removeAttribute(key) }
      // A listing must not tell a type that a look would not.
      for entry in try (u / "dev").entries() where entry.name == "null" {
        #expect(entry.type == 0 || entry.type == 2)
      }
      try u.expect(top: [])
    }
  }

  @Test func changesAreKeptInTheAttribute() throws {
    try withShown { u throws in
      try (u / "etc/shadow").append("+")
      #expect(try kept(u.top / "etc/shadow") == "0:42:0640:file")
      try (u / "bin/su").chown(7, 8)
      #expect(try told(u / "bin/su") == "7:8:755:file", "chown takes the bits away")
      try (u / "bin/su").chmod(0o6711)
      #expect(try kept(u.top / "bin/su") == "7:8:6711:file")
      #expect(try (u.top / "bin/su").stat().mode & 0o6000 == 0)
      try Identity(uid: 7, gid: 9).run { try (u / "bin/su").append("x") }
      #expect(try told(u / "bin/su") == "7:8:711:file", "so does a write")
      try (u / "dev/null").chmod(0o600)
      #expect(try kept(u.top / "dev/null") == "0:0:0600:char-1-3")
      #expect(try told(u / "dev/null") == "0:0:600:character")
      try (u / "dev/pipe").rename(to: u / "moved")
      #expect(try told(u / "moved") == "5:6:600:fifo")
      try (u / "plain").setTimes(modified: Moment(7, 8))
      #expect(try (u / "plain").stat().modified == Moment(7, 8))
      try (u / "home/link").chown(5, 5)
      #expect(try told(u / "home/link") == "1000:1001:777:symlink")
    }
  }

  @Test func whatIsMadeIsTheCallers() throws {
    try withShown { u throws in
      try (u / "plain").unlink()
      try Identity(uid: 1000, gid: 5, umask: 0o027).run {
        try (u / "home/f").write("F", mode: 0o666)
        try (u / "home/d").mkdir(0o777)
        try (u / "home/p").mknod(.fifo)
        try (u / "home/none").write("", mode: 0)
        try (u / "home/f").link(to: u / "home/hard")
        let file = try u.open("home", O_RDWR | openTemporary, 0o666)
        try file.write("T")
        try file.link(to: u / "home/temporary")
      }
      #expect(try told(u / "home/f") == "1000:1001:640:file")
      #expect(try told(u / "home/d") == "1000:1001:2750:directory")
      #expect(try told(u / "home/p") == "1000:1001:640:fifo")
      #expect(try told(u / "home/none") == "1000:1001:0:file")
      #expect(try told(u / "home/hard") == "1000:1001:640:file")
      #expect(try told(u / "home/temporary") == "1000:1001:640:file")
      #expect(try (u.top / "home/p").stat().kind == .file)
      #expect(try (u.top / "home/none").stat().uid == geteuid())
      try (u / "plain").mkdir()
      #expect(try told(u / "plain") == "0:0:755:directory")
      #expect(!(u.top / ".wh.plain").exists)
    }
  }

  @Test func listsAreNotToBeHad() throws {
    let list = ACL.bytes([.user(5, 6)], owner: 6, group: 0, other: 0)
    try withShown { u throws in
      #expect(throws: Errno.notSupported) {
        try (u / "plain").setAttribute("system.posix_acl_access", list)
      }
    }
  }

  @Test(
    .enabled(if: Account.unprivileged != nil, "needs the account unionfs-test"),
    .enabled(if: has(program: "fusermount3"), "needs fusermount3"))
  func aUserSeesAndChangesWhatIsToldToBeOthers() throws {
    try withShown(["owners=xattr"], account: Account.unprivileged) { u throws in
      #expect(try told(u / "etc/shadow") == "0:42:640:file")
      #expect(try told(u / "home/link") == "1000:1001:777:symlink")
      #expect(try (u / "etc/shadow").text() == "secret")
      try (u / "etc/shadow").append("+")
      try (u / "etc/shadow").chown(5, 6)
      try (u / "home/made").write("made")
      try (u / "home/made").chown(0, 0)
      try (u / "home/made").chmod(0)
      #expect(try told(u / "etc/shadow") == "5:6:640:file")
      #expect(try told(u / "home/made") == "0:0:0:file")
      #expect(try (u / "home/made").text() == "made")
      #expect(try kept(u.top / "etc/shadow") == "5:6:0640:file")
      #expect(try (u.top / "home/made").stat().uid == geteuid())
    }
  }

  /// As podman gives it, and read by the program it was made for.
  @Test(arguments: [
    ("1", "security.fuseoverlayfs.override_stat"), ("2", key),
  ])
  func fuseOverlayfsReadsWhatIsWritten(permissions: String, name: String) throws {
    let option = "xattr_permissions=\(permissions)"
    let m = try OverlayMount(
      option, lower: [.file("f", "F", mode: 0o600).owned(3, 4), .directory("d").owned(5, 6)])
    #expect(try told(m.mnt) == "0:0:555:directory")
    try (m.mnt / "f").append("+")
    try (m.mnt / "d/made").write("made")
    try (m.mnt / "d/made").chown(7, 8)
    try (m.mnt / "d/made").chmod(0o4711)
    if permissions == "1" { try (m.mnt / "d/null").mknod(.character, major: 1, minor: 3) }
    try m.unmount()
    #expect(
      String(decoding: try (m.upper / "f").attribute(name), as: UTF8.self) == "3:4:0600:file")
    #expect(try (m.upper / "d/made").stat().uid == 0)
    func expectAll() throws {
      #expect(try told(m.mnt / "f") == "3:4:600:file")
      #expect(try told(m.mnt / "d") == "5:6:755:directory")
      #expect(try told(m.mnt / "d/made") == "7:8:4711:file")
      if permissions == "1" { #expect(try (m.mnt / "d/null").stat().kind == .character) }
    }
    try m.whileMounted(option, expectAll)
    // Version 1.10 has another name for the second.
    guard permissions == "1", has(program: "fuse-overlayfs") else { return }
    try m.mount(option, by: ["fuse-overlayfs"])
    try expectAll()
    try m.mnt.umount()
  }

  /// Values and names as fuse-overlayfs 1.10 writes them.
  @Test func layersOfFuseOverlayfsAreReadAndGoneOnWith() throws {
    let name = "user.fuseoverlayfs.override_stat"
    func file(_ path: Path) -> Item {
      .file(path, "F", mode: 0o755).attribute(name, "3:4:100640")
    }
    let m = try OverlayMount(lower: [file("lower-f")], upper: [file("upper-f")])
    for branch: Path in ["lower", "upper"] {
      try (m.folder / branch).setAttribute(name, "0:0:40755")
    }
    try m.whileMounted("xattr_permissions=2") {
      #expect(try told(m.mnt) == "0:0:755:directory")
      for file: Path in ["lower-f", "upper-f"] { #expect(try told(m.mnt / file) == "3:4:640:file") }
      try (m.mnt / "lower-f").append("+")
    }
    #expect(
      String(decoding: try (m.upper / "lower-f").attribute(name), as: UTF8.self)
        == "3:4:0640:file")
  }

  @Test func lowerDirectoriesSayForThemselvesWhatTellsTheirOwners() throws {
    let m = try OverlayMount(lower: [
      .file("f", "F").attribute(key, "3:4:0640:file"),
      .file("null").attribute(key, "0:0:0666:char-1-3"),
    ])
    try (m.folder / "lower").setAttribute(key, "0:0:0755:dir")
    try m.whileMounted("xattr_permissions=0") {
      #expect(try told(m.mnt / "f") == "3:4:640:file")
      try (m.mnt / "f").append("+")
      try (m.mnt / "null").chmod(0o600)
      #expect(try told(m.mnt / "f") == "3:4:640:file")
    }
    // Its copies are what they were said to be, as this server may make them so.
    #expect(try told(m.upper / "f") == "3:4:640:file")
    #expect(try told(m.upper / "null") == "0:0:600:character")
    #expect(throws: Errno.noAttribute) { try (m.upper / "f").attribute(key) }
  }
}
