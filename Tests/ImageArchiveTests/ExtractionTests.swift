import Foundation
import ImageArchive
import TestSupport
import Testing
import UnionCore

/// Each needs root, as the tests of mounts do.
@Suite struct ExtractionTests {
  @Test(arguments: ["gnu", "oldgnu", "pax", "posix", "ustar", "v7"])
  func aTarIsUnpackedAsGNUTarUnpacksIt(_ format: String) throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    if format == "ustar" || format == "v7" {
      try (source / "folder").mkdir(0o2751)
      try (source / "folder/file").write("content", mode: 0o600)
      try (source / "folder/file").link(to: source / "link")
      try (source / "symbolic").symlink(to: "folder")
      try (source / "folder").setTimes(modified: Moment(1_400_000_000))
    } else {
      try makeEverything(in: source)
      if format == "pax" || format == "posix" { try addAttributes(in: source) }
    }
    let knowsHoles = format != "ustar" && format != "v7"
    var options = ["--format=\(format)", "--numeric-owner"] + (knowsHoles ? ["--sparse"] : [])
    if format == "pax" || format == "posix" {
      options += ["--xattrs", "--xattrs-include=*", "--acls"]
    }
    let tar = scratch / "layer.tar"
    try shell(["tar"] + options + ["-C", "\(source)", "-cf", "\(tar)", "."])

    let expected = try scratch.directory("expected")
    try shell(
      "tar", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-C", "\(expected)",
      "-xpf", "\(tar)")
    let result = try extract(file: tar, into: scratch / "ours")

    let ours = try fingerprint(scratch / "ours")
    let theirs = try fingerprint(expected)
    #expect(ours == theirs, "\(difference(theirs, ours))")
    #expect(result.diffID.hex == (try sha256(of: tar)))
    #expect(result.tarBytes == Int64(try tar.stat().size))
    #expect(result.notes == [])
  }

  @Test func bsdtarsOwnTarsAreReadToo() throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    try addAttributes(in: source)
    let tar = scratch / "layer.tar"
    try shell(
      "bsdtar", "--format=pax", "--xattrs", "--acls", "-C", "\(source)", "-cf", "\(tar)", ".")
    let result = try extract(file: tar, into: scratch / "ours")
    let ours = try fingerprint(scratch / "ours")
    let theirs = try fingerprint(source)
    #expect(ours == theirs, "\(difference(theirs, ours))")
    #expect(result.notes == [])
  }

  @Test(arguments: [
    ("gzip", ["gzip", "-k"], "gz"), ("xz", ["xz", "-k"], "xz"), ("bzip2", ["bzip2", "-k"], "bz2"),
    ("zstd", ["zstd", "-q"], "zst"),
  ])
  func whatIsCompressedIsTold(_ name: String, _ program: [String], _ suffix: String) throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    let tar = scratch / "layer.tar"
    try shell("tar", "--format=pax", "--sparse", "-C", "\(source)", "-cf", "\(tar)", ".")
    try shell(program + ["\(tar)"])
    let plain = try extract(file: tar, into: scratch / "plain")
    let packed = scratch / Path("layer.tar.\(suffix)")
    let result = try extract(file: packed, into: scratch / "ours")
    #expect(result.compression.rawValue == name)
    #expect(result.diffID == plain.diffID)
    #expect(result.compressedBytes == Int64(try packed.stat().size))
    #expect(try fingerprint(scratch / "ours") == fingerprint(scratch / "plain"))
  }

  @Test func severalGzipMembersAreOneTarAndZerosMayFollow() throws {
    let scratch = try Scratch()
    let bytes = RawTar().adding("file", "0", String(repeating: "abc", count: 9000)).ended
    try (scratch / "a").write(bytes: Array(bytes[..<7000]))
    try (scratch / "b").write(bytes: Array(bytes[7000...]))
    try shell("gzip", "\(scratch / "a")", "\(scratch / "b")")
    let members = try (scratch / "a.gz").bytesOfFile() + (scratch / "b.gz").bytesOfFile()
    let result = try extract(members + [UInt8](repeating: 0, count: 5000), into: scratch / "ours")
    #expect(result.diffID == Digest(of: bytes))
    #expect(
      refusal { try extract(members + [1], into: scratch / "more") }.contains("something else"))
  }

  @Test func parentsThatTheTarDoesNotNameAreMade() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("a/b/c", "0", "x").adding("a/", "5", mode: 0o700).ended
    try extract(tar, into: scratch / "ours")
    #expect(try tree(of: scratch / "ours") == ["a/", "a/b/", "a/b/c=x"])
    #expect(try (scratch / "ours/a").stat().mode == 0o700)
    #expect(try (scratch / "ours/a/b").stat().mode == 0o755)
    #expect(try (scratch / "ours/a/b").stat().modified == Moment(1_600_000_000))
  }

  @Test func theSameDirectoryMayComeTwiceAndTheLastOneWins() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("d/", "5", mode: 0o700, uid: 5).adding("d/f")
      .adding("./d", "5", mode: 0o1777, uid: 6).ended
    try extract(tar, into: scratch / "ours")
    let status = try (scratch / "ours/d").stat()
    #expect(status.mode == 0o1777 && status.uid == 6)
  }

  @Test func theLayersRootHasAttributesToo() throws {
    let scratch = try Scratch()
    try extract(RawTar().adding("./", "5", mode: 0o711, uid: 3).ended, into: scratch / "ours")
    let status = try (scratch / "ours").stat()
    #expect(status.mode == 0o711 && status.uid == 3 && status.modified == Moment(1_600_000_000))
  }

  @Test func sizesCountEachFileOnce() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("a", "0", "12345").adding("b", "1", link: "a").adding("c", "0", "12")
      .ended
    let result = try extract(tar, into: scratch / "ours")
    #expect(result.size == 7 && result.entries == 3)
  }

  @Test func whateverFollowsTheEndIsPartOfTheDigest() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("a").ended + Array("rubbish".utf8)
    #expect(try extract(tar, into: scratch / "ours").diffID == Digest(of: tar))
  }

  @Test func workIsCalledOff() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("a").ended
    #expect(throws: Failure.cancelled) {
      try extract(
        BytesSource(tar), into: scratch / "ours", watch: Watch(isCancelled: { true }))
    }
  }

  @Test func progressIsTold() throws {
    let scratch = try Scratch()
    let source = scratch / "layer.tar"
    try source.write(bytes: RawTar().adding("a").adding("b").ended)
    let tar = try source.open(O_RDONLY)
    let watch = Watch()
    try extract(
      DescriptorSource(tar.descriptor, name: "tar", watch: watch), into: scratch / "ours",
      watch: watch)
    #expect(watch.progress.bytes == 2048 && watch.progress.entries == 2)
  }
}

func sha256(of file: Path) throws -> String {
  String(try shell("sha256sum", "\(file)").prefix(64))
}

@discardableResult
func shell(_ words: [String]) throws -> String {
  let end = try run(words)
  if end.status != 0 { throw CommandFailure.failed(words, end) }
  return end.output
}
