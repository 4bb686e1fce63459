import ImageArchive
import TestSupport
import Testing

/// ACLs that a tar has in records of their own (`SCHILY.acl.access`, `SCHILY.acl.default`), as GNU tar and
/// bsdtar write them with `--acls`, and not as extended attributes.
@Suite struct ACLArchiveTests {
  private static let access = "system.posix_acl_access"
  private static let inherited = "system.posix_acl_default"

  /// A file and a directory with ACLs of a user and a group.
  private func makeSource(_ scratch: Scratch, user: UInt32, group: UInt32) throws -> Path {
    let source = try scratch.directory("source")
    try (source / "file").write("x")
    try (source / "folder").mkdir()
    try (source / "file").setAttribute(
      Self.access,
      ACL.bytes([.user(user, 6), .group(group, 4)], owner: 6, group: 0, other: 0, mask: 5))
    try (source / "folder").setAttribute(
      Self.inherited, ACL.bytes([.user(user, 7)], owner: 7, group: 5, other: 1))
    return source
  }

  private func records(_ tar: Path) throws -> String {
    String(decoding: try tar.bytesOfFile().filter { $0 < 0x80 }, as: UTF8.self)
  }

  @Test(arguments: [
    ["tar", "--format=posix", "--acls", "--numeric-owner"],
    ["bsdtar", "--format=pax", "--acls", "--no-xattrs", "--numeric-owner"],
    ["bsdtar", "--format=pax", "--acls", "--no-xattrs"],
  ])
  func aclsInRecordsOfTheirOwnAreSet(_ program: [String]) throws {
    let scratch = try Scratch()
    let source = try makeSource(scratch, user: 123_456, group: 654_321)
    let tar = scratch / "layer.tar"
    try run(program + ["-C", "\(source)", "-cf", "\(tar)", "."]).requireSuccess(program[0])
    #expect(try records(tar).contains("SCHILY.acl.access="))
    #expect(try !records(tar).contains("SCHILY.xattr."))
    let result = try extract(file: tar, into: scratch / "ours")
    #expect(result.notes == [])
    let (ours, theirs) = (try fingerprint(scratch / "ours"), try fingerprint(source))
    #expect(ours == theirs, "\(difference(theirs, ours))")
    #expect(
      try (scratch / "ours/file").attribute(Self.access) == (source / "file").attribute(Self.access)
    )
    #expect(
      try (scratch / "ours/folder").attribute(Self.inherited)
        == (source / "folder").attribute(Self.inherited))
  }

  /// Whose number that is in the image nobody knows; bsdtar writes the number behind the name.
  @Test func aNameWithoutANumberIsToldOfAndLeftOut() throws {
    let scratch = try Scratch()
    let source = try makeSource(scratch, user: 8, group: 8)
    for (program, isKept) in [("tar", false), ("bsdtar", true)] {
      let tar = scratch / Path("\(program).tar")
      try shell(program, "--format=pax", "--acls", "-C", "\(source)", "-cf", "\(tar)", ".")
      #expect(try records(tar).contains("user:mail:"))
      let target = scratch / Path(program)
      let result = try extract(file: tar, into: target)
      #expect(try (target / "file").attributes().contains(Self.access) == isKept)
      #expect(try (target / "folder").attributes().contains(Self.inherited) == isKept)
      #expect(
        result.notes
          == (isKept ? [] : ["ACLs that name users without their numbers were left out"]))
    }
  }

  /// What is packed is read by GNU tar with `--xattrs`.
  @Test func whatIsPackedIsRestoredByGNUTar() throws {
    let scratch = try Scratch()
    let source = try makeSource(scratch, user: 123_456, group: 654_321)
    try (scratch / "layer.tar").write(bytes: try pack(source).tar)
    let target = try scratch.directory("target")
    try shell(
      "tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", "\(target)", "-xpf",
      "\(scratch / "layer.tar")")
    let (theirs, ours) = (try fingerprint(source), try fingerprint(target))
    #expect(ours == theirs, "\(difference(theirs, ours))")
  }
}
