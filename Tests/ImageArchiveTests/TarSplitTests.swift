import Foundation
import ImageArchive
import JSONValue
import TestSupport
import Testing
import UnionCore

@Suite struct TarSplitTests {
  /// Unpacks a tar with its tar-data and makes it again.
  private func again(_ tar: Path, _ scratch: Scratch) throws -> [UInt8] {
    try extract(file: tar, into: scratch / "ours", tarData: scratch / "tar-data.json.gz")
    return try reassembled(scratch)
  }

  private func reassembled(_ scratch: Scratch) throws -> [UInt8] {
    let folder = try (scratch / "ours").open(O_RDONLY | O_DIRECTORY)
    let data = try (scratch / "tar-data.json.gz").open(O_RDONLY)
    let sink = BytesSink()
    try TarSplit.reassemble(
      DescriptorSource(data.descriptor, name: "tar-data"), name: "layer",
      directory: folder.descriptor, to: sink)
    return sink.bytes
  }

  @Test(arguments: [
    ["tar", "--format=gnu"], ["tar", "--format=oldgnu"], ["tar", "--format=posix", "--xattrs"],
    ["tar", "--format=gnu", "--sparse"], ["tar", "--format=posix", "--sparse"],
    ["tar", "--format=posix", "--sparse", "--sparse-version=0.0"],
    ["tar", "--format=posix", "--sparse", "--sparse-version=0.1"], ["tar", "-b", "1"],
    ["bsdtar", "--format=pax"], ["bsdtar", "--format=gnutar"],
  ])
  func theVeryTarIsMadeAgain(_ program: [String]) throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try makeEverything(in: source)
    try addAttributes(in: source)
    let tar = scratch / "tar"
    let end = try run(program + ["-C", "\(source)", "-cf", "\(tar)", "."])
    try #require(end.status == 0, "\(end.errors)")
    #expect(try again(tar, scratch) == tar.bytesOfFile())
  }

  @Test(arguments: ["ustar", "v7"]) func theVeryTarOfAnOldFormatIsMadeAgain(_ format: String) throws
  {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / "d").mkdir()
    try (source / "d/file").write(bytes: [UInt8](repeating: 5, count: 600_000))
    try (source / "d/file").link(to: source / "link")
    try (source / "d/empty").write("")
    let tar = scratch / "tar"
    try shell("tar", "--format=\(format)", "-C", "\(source)", "-cf", "\(tar)", ".")
    #expect(try again(tar, scratch) == tar.bytesOfFile())
  }

  @Test(arguments: ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"])
  func theVeryTarOfPythonsIsMadeAgain(_ format: String) throws {
    let scratch = try Scratch()
    let source = try scratch.directory("source")
    try (source / "d").mkdir()
    for index in 0..<40 {
      try (source / Path("d/file\(index)")).write(bytes: [UInt8](repeating: 1, count: index * 333))
    }
    try shell(
      "python3", "-c",
      "import tarfile; t = tarfile.open('\(scratch / "tar")', 'w', format=tarfile.\(format)); "
        + "t.add('\(source)', '.'); t.close()")
    #expect(try again(scratch / "tar", scratch) == (scratch / "tar").bytesOfFile())
  }

  @Test func whatFollowsTheEndIsKept() throws {
    let scratch = try Scratch()
    let tar =
      RawTar().adding("f", "0", "x").ended + [UInt8](repeating: 0, count: 9000)
      + Array("rubbish".utf8)
    try (scratch / "tar").write(bytes: tar)
    #expect(try again(scratch / "tar", scratch) == tar)
  }

  @Test func dataThatBecomeNoFileAreKeptAsTheyAre() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding(".wh..wh.plnk/1", "0", String(repeating: "gone", count: 200_000))
      .adding("f", "0", "kept").adding("gone", "3").adding("h", "1", link: "f").ended
    try (scratch / "tar").write(bytes: tar)
    #expect(try again(scratch / "tar", scratch) == tar)
    #expect(
      try tree(of: scratch / "ours") == [
        ".wh.gone malformed: mode 444, 0 bytes", "f=kept", "h=kept",
      ]
        || (try tree(of: scratch / "ours")) == [".wh.gone", "f=kept", "h=kept"])
  }

  @Test func theFileIsAsTarSplitHasIt() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("d/", "5").adding("d/<&>\"", "0", "123456789")
      .adding(name: [0x66, 0xFF], "0", [0x31]).ended
    try extract(
      BytesSource(tar), into: scratch / "ours", tarData: scratch / "data.gz")
    let lines = try shell("gzip", "-dc", "\(scratch / "data.gz")").split(separator: "\n")
    let first = Data(tar[..<512]).base64EncodedString()
    #expect(
      lines.prefix(2) == [
        #"{"type":2,"payload":"\#(first)","position":0}"#,
        #"{"type":1,"name":"d/","payload":null,"position":1}"#,
      ])
    // CRC-64/GO-ISO of the check string is b90956c775a41001.
    let sum = Data([0xB9, 0x09, 0x56, 0xC7, 0x75, 0xA4, 0x10, 0x01]).base64EncodedString()
    #expect(
      lines[3]
        == #"{"type":1,"name":"d/\u003c\u0026\u003e\"","size":9,"payload":"\#(sum)","position":3}"#)
    let raw = try JSONValue(parsing: lines[5].utf8)
    #expect(raw["name_raw"]?.string == Data([0x66, 0xFF]).base64EncodedString())
    #expect(raw["name"] == nil && raw["size"]?.integer == 1)
  }

  @Test func aFileThatWasChangedIsNamed() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("d/f", "0", "content").ended
    for (change, reason) in [
      ({ try $0.write("CONTENT") }, "has another content"),
      ({ try $0.write("content and more") }, "has another size"),
      ({ try $0.unlink() }, "is missing"),
      (
        { path in
          try path.unlink()
          try path.symlink(to: "/etc/passwd")
        }, "is missing"
      ),
    ] as [((Path) throws -> Void, String)] {
      try (scratch / "tar").write(bytes: tar)
      #expect(try again(scratch / "tar", scratch) == tar)
      try change(scratch / "ours/d/f")
      let failure = #expect(throws: Failure.self) { try reassembled(scratch) }
      #expect(
        failure?.message.hasPrefix("layer: d/f \(reason)") == true, "\(failure?.message ?? "")")
      try (scratch / "ours").removeTree()
    }
  }

  @Test(arguments: [
    "{}", "nonsense", #"{"type":3,"payload":"","position":0}"#,
    #"{"type":2,"payload":"*","position":0}"#,
    #"{"type":1,"name":"../x","size":1,"payload":"","position":0}"#,
    #"{"type":1,"name":"/etc/passwd","size":1,"payload":"","position":0}"#,
  ])
  func wrongTarDataAreRefused(_ line: String) throws {
    let scratch = try Scratch()
    try (scratch / "ours").mkdir()
    try (scratch / "tar-data.json").write(line + "\n")
    try shell("gzip", "\(scratch / "tar-data.json")")
    let message = refusal { _ = try reassembled(scratch) }
    #expect(message.contains("tar-data"), "\(message)")
  }
}
