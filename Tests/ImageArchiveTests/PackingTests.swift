import Foundation
import ImageArchive
import TestSupport
import Testing
import UnionCore

@Suite struct PackingTests {
  @Test func aPackedDirectoryUnpacksToTheSame() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    try addAttributes(in: source)
    let packed = try pack(source)
    let result = try extract(packed.tar, into: scratch / "ours")
    let (old, new) = (try fingerprint(source), try fingerprint(scratch / "ours"))
    #expect(old == new, "\(difference(old, new))")
    #expect(packed.layer.diffID == result.diffID && packed.layer.diffID == Digest(of: packed.tar))
    #expect(packed.layer.size == result.size && packed.layer.entries == result.entries)
    #expect(packed.layer.notes == [] && result.notes == [])
    #expect(packed.layer.tarBytes == Int64(packed.tar.count))
  }

  @Test(arguments: [
    ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner"],
    ["env", "LC_ALL=C.UTF-8", "bsdtar", "--xattrs", "--numeric-owner"],
  ])
  func otherTarProgramsReadIt(_ program: [String]) throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    // bsdtar composes names, and takes ACLs from a record of its own only.
    if program[0] != "tar" { try (source / "de\u{0301}composed").unlink() }
    try addAttributes(in: source, acls: program[0] == "tar")
    try (scratch / "tar").write(bytes: try pack(source).tar)
    let folder = try scratch.directory("theirs")
    try shell(program + ["-C", "\(folder)", "-xpf", "\(scratch / "tar")"])
    let (expected, lines) = (try fingerprint(source), try fingerprint(folder))
    #expect(lines == expected, "\(difference(expected, lines))")
  }

  @Test func theSameFilesGiveTheSameBytes() throws {
    let scratch = try Scratch()
    let first = try scratch.directory("first")
    try makeEverything(in: first)
    try addAttributes(in: first)
    let packed = try pack(first)
    try extract(packed.tar, into: scratch / "second")
    // Another order of making, other inodes, other times of access.
    #expect(try pack(scratch / "second").tar == packed.tar)
    let folder = try first.open(O_RDONLY | O_DIRECTORY)
    let dry = try Layer.pack(folder.descriptor, name: "first", to: DroppingSink())
    #expect(dry == packed.layer)
  }

  @Test func namesAreSortedAndDirectoriesEndInASlash() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    for name in ["b", "a.c", "a", "B"] as [Path] { try (source / name).mkdir() }
    try (source / "a/z").write("")
    try (source / "b").chown(5, 6)
    let tar = scratch / "tar"
    try tar.write(bytes: try pack(source).tar)
    #expect(try shell("tar", "-tf", "\(tar)") == "B/\na/\na/z\na.c/\nb/\n")
    #expect(try shell("tar", "-tvf", "\(tar)").contains("5/6"))
  }

  @Test func whiteoutsGoInAndBookkeepingDoesNot() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / ".wh..wh.plnk").mkdir()
    try (source / ".wh..wh.plnk/1").write("x")
    try (source / ".wh..wh.aufs").write("", mode: 0o444)
    try (source / ".wh..wh.aufs").link(to: source / ".wh.gone")
    try (source / ".wh..wh.aufs").link(to: source / ".wh..wh..opq")
    try (source / "d").mkdir()
    let packed = try pack(source)
    try extract(packed.tar, into: scratch / "ours")
    #expect(try tree(of: scratch / "ours") == [".wh..wh..opq", ".wh.gone", "d/"])
    let flat = try pack(source, .flat)
    #expect(flat.layer.entries == 6)
  }

  @Test func socketsAreLeftOutAndTold() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / "socket").bindSocket()
    let packed = try pack(source)
    #expect(
      packed.layer.entries == 0 && packed.layer.notes == ["socket is a socket and was left out"])
  }

  @Test func whatIsWrittenElsewhereIsNoTar() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / "f").write("x")
    final class Full: ByteSink {
      func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { throw Failure(.failed, "full") }
    }
    let folder = try source.open(O_RDONLY | O_DIRECTORY)
    #expect(throws: Failure(.failed, "full")) {
      try Layer.pack(folder.descriptor, name: "source", to: Full())
    }
  }

  @Test func aFileThatChangesMeanwhileIsAnError() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    let file = source / "growing"
    try file.write(bytes: [UInt8](repeating: 1, count: 3 << 20))
    final class Growing: ByteSink {
      let file: Path
      init(_ file: Path) { self.file = file }
      func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { try? file.append("more") }
    }
    let folder = try source.open(O_RDONLY | O_DIRECTORY)
    do {
      _ = try Layer.pack(folder.descriptor, name: "source", to: Growing(file))
      Issue.record("nothing was noticed")
    } catch { #expect(error.message == "source: growing changed while it was read") }
  }

  @Test func timesBefore1970AreKept() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / "old").write("")
    try (source / "old").setTimes(modified: Moment(-2, 250_000_000))
    let packed = try pack(source)
    try extract(packed.tar, into: scratch / "ours")
    #expect(try (scratch / "ours/old").stat().modified == Moment(-2, 250_000_000))
    let folder = try scratch.directory("gnu")
    try (scratch / "tar").write(bytes: packed.tar)
    try shell("tar", "-C", "\(folder)", "-xpf", "\(scratch / "tar")")
    #expect(try (folder / "old").stat().modified == Moment(-2, 250_000_000))
  }
}

@Suite struct RecordedOwnerTests {
  private static func recorded() -> ExtractionOptions {
    var options = ExtractionOptions()
    options.ownership = .recorded
    return options
  }

  @Test func ownersModesAndDevicesAreRecordedAndComeBack() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    // A link's owner is lost.
    try (source / "link").chown(0, 0)
    let packed = try pack(source)
    let result = try extract(packed.tar, into: scratch / "ours", options: Self.recorded())
    #expect(result.notes == [])
    let key = "user.containers.override_stat"
    let plain = scratch / "ours/folder/plain"
    #expect(try plain.attribute(key) == Array("3000000:4000000:6751:file".utf8))
    #expect(try plain.stat().mode == 0o751 && plain.stat().uid == 0)
    #expect(try (scratch / "ours/null").attribute(key) == Array("0:0:0644:char-1-3".utf8))
    #expect(try (scratch / "ours/null").stat().kind == .file)
    #expect(try (scratch / "ours/sticky").attribute(key) == Array("65534:7:3770:dir".utf8))
    #expect(try (scratch / "ours/sticky").stat().mode == 0o770)
    #expect(try pack(scratch / "ours").tar == packed.tar)
  }

  @Test(.enabled(if: Account.unprivileged != nil)) func anOrdinaryUserUnpacksWhatRootsTarHolds()
    throws
  {
    let account = try #require(Account.unprivileged)
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    let packed = try pack(source)
    let folder = try scratch.directory("ours")
    try folder.chown(account.uid, account.gid)
    try Identity(uid: account.uid, gid: account.gid).run {
      try extract(packed.tar, into: folder, options: Self.recorded())
      try extract(pack(folder).tar, into: folder / "again", options: Self.recorded())
    }
    let again = try pack(folder / "again")
    try (folder / "again").removeTree()
    try extract(again.tar, into: scratch / "theirs")
    // A link's owner is lost.
    let expected = try fingerprint(source).filter { !$0.contains("->") }
    let lines = try fingerprint(scratch / "theirs").filter { !$0.contains("->") }
    #expect(lines == expected, "\(difference(expected, lines))")
  }

  /// It can have no attribute of its own.
  @Test func aLinkIsWhoseItsDirectoryIs() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / "home").mkdir()
    try (source / "home/link").symlink(to: "x")
    try (source / "other").mkdir()
    try (source / "other/link").symlink(to: "x")
    for name: Path in ["home", "home/link"] { try (source / name).chown(1000, 1001) }
    try extract(pack(source).tar, into: scratch / "ours", options: Self.recorded())
    #expect(try (scratch / "ours/home/link").stat().uid == 0)
    try (scratch / "ours/other/link").chown(7, 8)
    try extract(pack(scratch / "ours").tar, into: scratch / "theirs")
    for (name, uid): (Path, UInt32) in [("home/link", 1000), ("other/link", 7)] {
      #expect(try (scratch / "theirs" / name).stat().uid == uid)
    }
  }

  @Test func anArchiveDoesNotRecordForItself() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding(
      "f", pax: [("SCHILY.xattr.user.containers.override_stat", "0:0:4755:file")])
    try extract(tar.ended, into: scratch / "ours")
    #expect(try (scratch / "ours/f").attributes() == [])
  }
}
