import Foundation
import ImageArchive
import TestSupport
import Testing
import UnionCore

/// What no archive may do.
@Suite struct HostileTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    var name: String
    var tar: RawTar
    var reason: String
    var testDescription: String { name }
  }

  static let attacks = [
    Attack(name: "absolute", tar: RawTar().adding("/etc/x"), reason: "its name is absolute"),
    Attack(name: "dots", tar: RawTar().adding("../x"), reason: "leaves the layer"),
    Attack(name: "dots inside", tar: RawTar().adding("a/../../x"), reason: "leaves the layer"),
    Attack(name: "dots at the end", tar: RawTar().adding("a/..", "5"), reason: "leaves the layer"),
    Attack(
      name: "through a link", tar: RawTar().adding("l", "2", link: "/tmp").adding("l/x"),
      reason: "leads through something that is no directory"),
    Attack(
      name: "through a relative link",
      tar: RawTar().adding("d/", "5").adding("l", "2", link: "d").adding("l/x"),
      reason: "leads through something that is no directory"),
    Attack(
      name: "a directory where a link is",
      tar: RawTar().adding("l", "2", link: "/tmp").adding("l/", "5"),
      reason: "another entry of that name"),
    Attack(
      name: "through a file", tar: RawTar().adding("f").adding("f/x"),
      reason: "leads through something that is no directory"),
    Attack(
      name: "twice", tar: RawTar().adding("f").adding("./f"), reason: "another entry of that name"),
    Attack(
      name: "a file where a directory is", tar: RawTar().adding("d/x").adding("d"),
      reason: "another entry of that name"),
    Attack(
      name: "a link where a directory is",
      tar: RawTar().adding("d/", "5").adding("d", "2", link: "/"),
      reason: "another entry of that name"),
    Attack(
      name: "a hard link out", tar: RawTar().adding("h", "1", link: "../../etc/passwd"),
      reason: "leaves the layer"),
    Attack(
      name: "a hard link to an absolute name",
      tar: RawTar().adding("h", "1", link: "/etc/passwd"), reason: "which does not exist"),
    Attack(
      name: "a hard link through a link",
      tar: RawTar().adding("l", "2", link: "/etc").adding("h", "1", link: "l/passwd"),
      reason: "leads through something that is no directory"),
    Attack(
      name: "a hard link to nothing", tar: RawTar().adding("h", "1", link: "later").adding("later"),
      reason: "which does not exist"),
    Attack(
      name: "a hard link to a directory",
      tar: RawTar().adding("d/", "5").adding("h", "1", link: "d"), reason: "which is a directory"),
    Attack(
      name: "a hard link to the root", tar: RawTar().adding("h", "1", link: "./"),
      reason: "no file of the layer"),
    Attack(
      name: "a hard link to a whiteout",
      tar: RawTar().adding(".wh.a").adding("h", "1", link: ".wh.a"),
      reason: "no file of the layer"),
    Attack(
      name: "a hard link with data",
      tar: RawTar().adding("a", "0", "1", pax: [("mtime", "1")])
        .adding("h", "1", "data", link: "a"), reason: "a hard link that has data"),
    Attack(
      name: "a long part",
      tar: RawTar().adding("x", pax: [("path", String(repeating: "n", count: 256))]),
      reason: "longer than 255 bytes"),
    Attack(
      name: "a long path",
      tar: RawTar().adding("x", pax: [("path", String(repeating: "n/", count: 2048))]),
      reason: "longer than 4095 bytes"),
    Attack(
      name: "a link to nothing", tar: RawTar().adding("l", "2"),
      reason: "a symbolic link to nothing"),
    Attack(
      name: "an owner that is none", tar: RawTar().adding("f", pax: [("uid", "4294967295")]),
      reason: "no number that Linux has"),
    Attack(
      name: "a negative owner", tar: RawTar().adding("f", pax: [("gid", "-2")]),
      reason: "no number that Linux has"),
    Attack(
      name: "a device that is none", tar: RawTar().adding("f", "3", device: (5000, 1)),
      reason: "no such device"),
    Attack(
      name: "a part that continues nothing", tar: RawTar().adding("f", "M", "x"),
      reason: "of an unknown kind"),
    Attack(
      name: "data after a sparse file's end",
      tar: RawTar().adding(
        "f", "0", "1234",
        pax: [
          ("GNU.sparse.size", "2"), ("GNU.sparse.map", "0,4"),
        ]), reason: "more data than its size"),
    Attack(
      name: "a sparse file without its data",
      tar: RawTar().adding(
        "f", "0", "1234",
        pax: [
          ("GNU.sparse.size", "9000"), ("GNU.sparse.map", "0,4,8192,100"),
        ]), reason: "less data than its size"),
    Attack(
      name: "a size without data",
      tar: RawTar().adding("f", pax: [("SCHILY.realsize", "99999999")]),
      reason: "less data than its size"),
    Attack(
      name: "a huge sparse file",
      tar: RawTar().adding(
        "f", "0", "",
        pax: [("GNU.sparse.size", "9000000000000000000"), ("GNU.sparse.map", "0,0")]),
      reason: "have more than"),
    Attack(
      name: "an attribute with too long a name",
      tar: RawTar().adding(
        "f", pax: [("SCHILY.xattr.user.\(String(repeating: "x", count: 300))", "y")]),
      reason: "is none that Linux has"),
    Attack(
      name: "a capability that is none",
      tar: RawTar().adding("f", pax: [("SCHILY.xattr.security.capability", "nonsense")]),
      reason: "is none that Linux has"),
    Attack(
      name: "a link to a long name",
      tar: RawTar().adding("l", "2", pax: [("linkpath", String(repeating: "x/", count: 2500))]),
      reason: "what it links to, is too long"),
    Attack(
      name: "a damaged extended header",
      tar: RawTar().adding("g").adding(
        name: Array("pax".utf8), "x", Array("99 path=x\n".utf8)
      ).adding("f"),
      reason: "a header is damaged"),
  ]

  @Test(arguments: attacks) func anAttackIsRefusedByName(_ attack: Attack) throws {
    let scratch = try Scratch()
    let outside = try scratch.directory("outside")
    try (outside / "file").write("untouched")
    let before = try fingerprint(outside)
    let message = refusal { try extract(attack.tar.ended, into: outside / "ours") }
    #expect(message.contains(attack.reason), "\(message)")
    try (outside / "ours").removeTree()
    #expect(try outside.names() == ["file"])
    #expect(try (outside / "file").text() == "untouched" && before.count == 1)
  }

  @Test func linksOfAnotherPlaceAreNotFollowed() throws {
    let scratch = try Scratch()
    let outside = try scratch.directory("outside")
    let target = "\(outside)"
    for name in ["l/x", "l/d/", "l/.wh.x"] {
      let tar = RawTar().adding("l", "2", link: target)
        .adding(name, name.hasSuffix("/") ? "5" : "0")
      _ = refusal { try extract(tar.ended, into: scratch / "ours") }
      try (scratch / "ours").removeTree()
    }
    #expect(try outside.names() == [])
  }

  @Test func aLinksOwnModeAndTimesAreNeverItsTargets() throws {
    let scratch = try Scratch()
    let file = scratch / "file"
    try file.write("x", mode: 0o600)
    try file.setTimes(modified: Moment(5))
    let tar = RawTar().adding(
      "l", "2", link: "\(file)", mode: 0o777, uid: 77,
      pax: [("SCHILY.xattr.user.x", "y"), ("SCHILY.xattr.trusted.x", "y")])
    try extract(tar.ended, into: scratch / "ours")
    let status = try file.stat()
    #expect(status.mode == 0o600 && status.uid == 0 && status.modified == Moment(5))
    #expect(try file.attributes() == [])
    #expect(try (scratch / "ours/l").attributes() == ["trusted.x"])
  }

  @Test func hardLinksMayNameTheLayersRootByASlash() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("a", "0", "x").adding("h", "1", link: "/a").ended
    try extract(tar, into: scratch / "ours")
    #expect(try same(scratch / "ours/a", scratch / "ours/h"))
  }

  @Test func devicesAreRefusedWhereTheyAreNotWanted() throws {
    let scratch = try Scratch()
    var options = ExtractionOptions()
    options.devices = .refuse
    let tar = RawTar().adding("null", "3", device: (1, 3)).ended
    let message = refusal { try extract(tar, into: scratch / "ours", options: options) }
    #expect(message == "layer: null: it is a device")
    try extract(
      RawTar().adding("gone", "3").adding("p", "6").ended, into: scratch / "x", options: options)
  }

  @Test func namesLoseNoCharacter() throws {
    let scratch = try Scratch()
    // What conversions drop without a word, or compose.
    let tagged = "a\u{E0041}b"
    let message = refusal {
      try extract(RawTar().adding("x", pax: [("path", tagged)]).ended, into: scratch / "ours")
    }
    #expect(message == "layer: ab: its headers have tag characters of Unicode")
    let names = ["e\u{0301}", "\u{00E9}", "\u{00E9}\u{E0041}", "\u{2126}", "\u{FEFF}x"]
    let tar = names.reduce(RawTar()) { $0.adding("x", "0", pax: [("path", $1)]) }
    try extract(tar.ended, into: scratch / "names")
    let found = try (scratch / "names").entries().map(\.name.bytes)
    #expect(Set(found) == Set(names.map { Array($0.utf8) }))
  }

  @Test func linksThatOnlyAnExtendedHeaderNamesAreKept() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("l", "2", pax: [("linkpath", "目標")])
      .adding("x", "0", "x", pax: [("path", "目標")]).adding("h", "1", pax: [("linkpath", "目標")])
    try extract(tar.ended, into: scratch / "ours")
    #expect(try (scratch / "ours/l").readlink() == "目標")
    #expect(try same(scratch / "ours/h", scratch / "ours/目標"))
  }

  // MARK: Damage

  private static func sample() -> [UInt8] {
    RawTar().adding("first", "0", String(repeating: "one", count: 700))
      .adding("second", "0", String(repeating: "two", count: 5000)).adding("third").ended
  }

  @Test(arguments: [1, 100, 511, 512, 600, 2560, 3072, 4000, 18_432, 18_944])
  func aTarThatIsCutOffIsRefused(_ count: Int) throws {
    let scratch = try Scratch()
    let message = refusal { try extract(Array(Self.sample()[..<count]), into: scratch / "ours") }
    #expect(
      ["cut off", "damaged", "no tar archive"].contains { message.contains($0) }, "\(message)")
  }

  @Test func aTarWithoutItsEndIsTakenWhereItsDigestIsKnown() throws {
    let scratch = try Scratch()
    var options = ExtractionOptions()
    options.needsEnd = false
    let result = try extract(RawTar().adding("a").bytes, into: scratch / "ours", options: options)
    #expect(result.entries == 1)
  }

  @Test(arguments: [["gzip", "-c"], ["xz", "-c"], ["bzip2", "-c"], ["zstd", "-c", "-q"]])
  func compressedDataThatAreCutOffOrDamagedAreRefused(_ program: [String]) throws {
    let scratch = try Scratch()
    let tar = scratch / "tar"
    // What does not compress: a flipped bit changes one byte and no more.
    var random = SystemRandomNumberGenerator()
    let noise = (0..<200_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    try tar.write(bytes: RawTar().adding(name: Array("noise".utf8), "0", noise).ended)
    try shell("bash", "-c", "\(program.joined(separator: " ")) < \(tar) > \(tar).z")
    let bytes = try Path("\(tar).z").bytesOfFile()
    for count in [1, 10, bytes.count / 2, bytes.count - 3] {
      let message = refusal { try extract(Array(bytes[..<count]), into: scratch / "ours") }
      #expect(
        ["cut off", "damaged", "no tar archive"].contains { message.contains($0) },
        "\(count): \(message)")
      try (scratch / "ours").removeTree()
    }
    for place in [bytes.count / 3, bytes.count / 2, bytes.count - 6] {
      var flipped = bytes
      flipped[place] ^= 0x10
      let message = refusal { try extract(flipped, into: scratch / "ours") }
      #expect(message.contains("damaged"), "\(place): \(message)")
      try (scratch / "ours").removeTree()
    }
  }

  @Test func anyFlippedBitOfAHeaderIsRefusedOrHarmless() throws {
    let scratch = try Scratch()
    let tar = Self.sample()
    let whole = try extract(tar, into: scratch / "whole")
    for bit in stride(from: 0, to: 512 * 8, by: 13) {
      var flipped = tar
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      let result = try? extract(flipped, into: scratch / "ours")
      #expect(result?.diffID != whole.diffID)
      try (scratch / "ours").removeTree()
    }
  }

  @Test func whatIsNoTarIsRefused() throws {
    let scratch = try Scratch()
    for bytes in [[], Array("hello".utf8), [UInt8](repeating: 0x41, count: 4096)] as [[UInt8]] {
      let message = refusal { try extract(bytes, into: scratch / "ours") }
      #expect(message.contains("no tar archive") || message.contains("cut off"), "\(message)")
    }
  }

  // MARK: Limits

  @Test(arguments: ["gzip", "zstd", "xz", "bzip2"])
  func aBombIsRefused(_ program: String) throws {
    let scratch = try Scratch()
    let bomb = scratch / "bomb"
    try shell(
      "bash", "-c",
      "truncate -s 64M \(bomb).0 && tar -C \(scratch.path) -cf - bomb.0 | \(program) -c > \(bomb)")
    var options = ExtractionOptions()
    options.limits.freeBytes = 1 << 20
    options.limits.expansion = 100
    let message = refusal { try extract(file: bomb, into: scratch / "ours", options: options) }
    #expect(message.contains("grows more than 100-fold"), "\(message)")
    options.limits.expansion = .max
    options.limits.bytes = 1 << 20
    let second = refusal { try extract(file: bomb, into: scratch / "more", options: options) }
    #expect(second.contains("more than 1048576 bytes"), "\(second)")
  }

  @Test func tooManyEntriesAreRefused() throws {
    let scratch = try Scratch()
    var options = ExtractionOptions()
    options.limits.entries = 2
    let tar = RawTar().adding("a").adding("b").adding("c").ended
    let message = refusal { try extract(tar, into: scratch / "ours", options: options) }
    #expect(message == "layer has more than 2 entries")
  }

  @Test func aHeaderWithoutEndIsRefused() throws {
    let scratch = try Scratch()
    let lines = "3000000\n" + String(repeating: "0\n0\n", count: 3_000_000)
    let tar = RawTar().adding(
      "x", "0", lines, pax: [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")])
    let message = refusal { try extract(tar.ended, into: scratch / "ours") }
    #expect(message.contains("header is longer"), "\(message)")
  }

  @Test func aDirectoryDeeperThanDescriptorsIsUnpackedAndPacked() throws {
    let scratch = try Scratch()
    let deep = String(repeating: "d/", count: 1100)
    let tar = RawTar().adding("x", "0", "deep", pax: [("path", deep + "file")]).ended
    try extract(tar, into: scratch / "ours")
    let packed = try pack(scratch / "ours")
    #expect(packed.layer.entries == 1101)
    try shell("rm", "-r", "\(scratch / "ours")")
  }
}
