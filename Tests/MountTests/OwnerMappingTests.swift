import Glibc
import TestSupport
import Testing

/// Owners shown as others: fuse-overlayfs's `uidmapping`, `gidmapping` and `squash_to_…`.
@Suite(.mounts) struct OwnerMappingTests {
  private static let mapping = "uidmapping=:0:100000:1000,gidmapping=0:200000:1000"

  @Test func ownersAreMappedOutAndInAgain() throws {
    let m = try OverlayMount(
      Self.mapping,
      lower: [
        .file("f", "text").owned(7, 8), .file("far").owned(5000, 5000), .symlink("l", to: "f"),
        .directory("d", mode: 0o777), .file("d/g", "G").owned(9, 9),
      ])
    #expect(try m.owner("mnt/f") == [100_007, 200_008])
    #expect(try m.owner("mnt/far") == [65534, 65534])
    #expect(try m.owner("mnt/l") == [100_000, 200_000])
    // In: chown, and whoever makes something.
    try (m.mnt / "f").chown(100_003, 200_004)
    #expect(try m.owner("mnt/f") == [100_003, 200_004])
    #expect(try m.owner("upper/f") == [3, 4])
    #expect(throws: Errno(EOVERFLOW)) { try (m.mnt / "f").chown(5000, 200_000) }
    let made = m.mnt / "d/outside"
    try Identity(uid: 5, gid: 5).run {
      let refused = #expect(throws: Errno.self) { try made.mkdir() }
      #expect(refused == Errno(EOVERFLOW))
    }
    // Root may name an id of the disk, and is the disk's.
    try (m.mnt / "f").chown(2, 200_001)
    #expect(try m.owner("mnt/f") == [100_002, 200_001])
    try (m.mnt / "d/root").mkdir()
    #expect(try m.owner("mnt/d/root") == [100_000, 200_000])
    try Identity(uid: 100_005, gid: 200_006).run {
      try (m.mnt / "d/made").write("mine")
      try (m.mnt / "d/dir").mkdir()
      try (m.mnt / "d/link").symlink(to: "made")
      try (m.mnt / "d/fifo").mknod(.fifo)
    }
    for name in ["made", "dir", "link", "fifo"] {
      #expect(try m.owner(Path("upper/d/\(name)")) == [5, 6])
      #expect(try m.owner(Path("mnt/d/\(name)")) == [100_005, 200_006])
    }
    // A copy-up keeps the owner that the disk had, whoever asks for it.
    try Identity(uid: 100_009, gid: 200_009).run { try (m.mnt / "d/g").append("+") }
    #expect(try m.owner("upper/d/g") == [9, 9])
    #expect(try m.owner("upper/d") == [0, 0])
    try (m.mnt / "far").append("x")
    #expect(try m.owner("upper/far") == [5000, 5000])
    try m.unmount()
    try m.mount(Self.mapping)
    #expect(try m.owner("mnt/d/made") == [100_005, 200_006])
    #expect(try m.owner("mnt/far") == [65534, 65534])
    try m.unmount()
  }

  @Test func theKernelChecksTheOwnersThatAreShown() throws {
    let m = try OverlayMount(
      Self.mapping, lower: [.file("f", "text", mode: 0o600).owned(5, 5), .file("g").owned(6, 7)])
    try Identity(uid: 100_005, gid: 200_005).run {
      #expect(try (m.mnt / "f").text() == "text")
      try (m.mnt / "f").chmod(0o640)
    }
    let mnt = m.mnt
    try Identity(uid: 5, gid: 5).run {
      #expect(throws: Errno.denied) { try (mnt / "f").text() }
      #expect(throws: Errno.notPermitted) { try (mnt / "f").chmod(0o777) }
    }
    // Set-group-ID stays for members of the group that is shown.
    try Identity(uid: 100_006, gid: 1, groups: [200_007]).run { try (m.mnt / "g").chmod(0o2764) }
    try (m.mnt / "g").chown(.max, 200_007)
    try (m.mnt / "g").chmod(0o2766)
    try Identity(uid: 100_009, gid: 1, groups: [200_007]).run { try (m.mnt / "g").append("x") }
    #expect(try (m.mnt / "g").stat().mode == 0o2766)
    try Identity(uid: 7, gid: 7).run { try (m.mnt / "g").append("x") }
    #expect(try (m.mnt / "g").stat().mode & 0o2000 == 0)
    try m.unmount()
  }

  @Test func listsNameMappedUsers() throws {
    let key = "system.posix_acl_access"
    let onDisk = ACL.bytes([.user(5, 6), .group(6, 4)], owner: 6, group: 0, other: 0)
    let shown = ACL.bytes([.user(100_005, 6), .group(200_006, 4)], owner: 6, group: 0, other: 0)
    let m = try OverlayMount(
      Self.mapping, lower: [.file("f", "text", mode: 0o600).attribute(key, onDisk), .file("g")])
    #expect(try (m.mnt / "f").attribute(key) == shown)
    try Identity(uid: 100_005, gid: 1).run { try (m.mnt / "f").append("+") }
    #expect(try (m.upper / "f").attribute(key) == onDisk)
    try (m.mnt / "g").setAttribute(key, shown)
    #expect(try (m.upper / "g").attribute(key) == onDisk)
    let foreign = ACL.bytes([.user(5, 6)], owner: 6, group: 0, other: 0)
    #expect(throws: Errno(EOVERFLOW)) { try (m.mnt / "g").setAttribute(key, foreign) }
    #expect(try (m.mnt / "g").attribute(key) == shown)
    try m.unmount()
  }

  @Test func whatIsMappedAlreadyStays() throws {
    let m = try OverlayMount(Self.mapping, lower: [.file("f", "text").owned(100_007, 200_008)])
    #expect(try m.owner("mnt/f") == [100_007, 200_008])
    try (m.mnt / "f").append("+")
    #expect(try m.owner("upper/f") == [7, 8])
    #expect(try m.owner("mnt/f") == [100_007, 200_008])
    try m.unmount()
  }

  @Test func everythingIsShownAsOneOwners() throws {
    let m = try OverlayMount(
      "squash_to_root,squash_to_uid=5",
      lower: [.file("f", "text").owned(7, 8), .symlink("l", to: "f")])
    for name in ["f", "l"] { #expect(try m.owner(Path("mnt/\(name)")) == [5, 0]) }
    let names = try (m.mnt).entries().count
    #expect(names == 2)
    // What is kept is what was asked for.
    try (m.mnt / "f").chown(9, 9)
    #expect(try m.owner("mnt/f") == [5, 0] && m.owner("upper/f") == [9, 9])
    try m.unmount()
  }

  @Test(arguments: [
    ("uidmapping=0:1", "'uidmapping=0:1' is no mapping"),
    ("gidmapping=0:1:2:1:9:1", "is no mapping"), ("squash_to_gid=x", "'squash_to_gid=x' is no id"),
    ("xattr_permissions=3", "'xattr_permissions=3' is unknown"),
  ])
  func whatCannotBeMappedIsRefusedByName(option: String, message: String) throws {
    let failure = #expect(throws: CommandFailure.self) { _ = try OverlayMount(option, lower: []) }
    #expect("\(String(describing: failure))".contains(message))
  }
}
