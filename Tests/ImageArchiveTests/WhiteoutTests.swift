import Foundation
import ImageArchive
import TestSupport
import Testing

@Suite struct LayerWhiteoutTests {
  @Test func whiteoutsStayAsAufsHasThem() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding("d/.wh..wh..opq", mode: 0o444).adding("d/.wh.gone", mode: 0o444).ended
    try extract(tar, into: scratch / "ours")
    #expect(try tree(of: scratch / "ours") == ["d/", "d/.wh..wh..opq", "d/.wh.gone"])
  }

  @Test func whiteoutsThatAreLinksOfEachOtherAreFiles() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding(".wh.a", mode: 0o444).adding(".wh.b", "1", link: ".wh.a", mode: 0o444)
      .adding(".wh.c", "1", link: ".wh..wh.aufs", mode: 0o444).ended
    try extract(tar, into: scratch / "ours")
    #expect(try tree(of: scratch / "ours") == [".wh.a", ".wh.b", ".wh.c"])
  }

  @Test func aufssBookkeepingIsLeftOutAndTold() throws {
    let scratch = try Scratch()
    let tar = RawTar().adding(".wh..wh.aufs").adding(".wh..wh.plnk/", "5")
      .adding(".wh..wh.plnk/1.2", "0", "x").adding("f").ended
    let result = try extract(tar, into: scratch / "ours")
    #expect(try tree(of: scratch / "ours") == ["f="])
    #expect(
      result.notes == [
        ".wh..wh.aufs is aufs's own and was left out",
        ".wh..wh.plnk is aufs's own and was left out",
      ])
  }

  @Test func overlayfssWhiteoutsBecomeAufss() throws {
    let scratch = try Scratch()
    let opaque = [("SCHILY.xattr.trusted.overlay.opaque", "y")]
    let tar = RawTar().adding("d/", "5", pax: opaque).adding("d/gone", "3", mode: 0o600)
      .adding("e/", "5", pax: [("SCHILY.xattr.user.overlay.opaque", "y")])
      .adding("e/.wh..wh..opq", mode: 0o444).ended
    try extract(tar, into: scratch / "ours")
    #expect(
      try tree(of: scratch / "ours") == [
        "d/", "d/.wh..wh..opq", "d/.wh.gone", "e/", "e/.wh..wh..opq",
      ])
    #expect(try (scratch / "ours/d").attributes() == [])
    #expect(try (scratch / "ours/d").stat().modified == Moment(1_600_000_000))
  }

  @Test(.enabled(if: geteuid() == 0, "needs root"))
  func aTarCarriesAufssWhiteoutsWhicheverTheLayerHas() throws {
    let scratch = try Scratch()
    let long = String(repeating: "n", count: 255)
    let marked: [Item] = [
      .device("d/gone"), .device(Path("d/\(long)")), .marked("e"), .file("e/f"),
      .special("null", .character, major: 1, minor: 3),
      // fuse-overlayfs makes both.
      .marked("both"), .opaque("both"), .device("both/w"), .whiteout("both/w"),
    ]
    let source = try scratch.directory("source")
    try build(marked, in: source)
    try extract(try pack(source).tar, into: scratch / "ours")
    let expected = [
      "both/", "both/.wh..wh..opq", "both/.wh.w", "d/", "d/.wh..wh.long.=\(long)", "d/.wh.gone",
      "e/", "e/.wh..wh..opq", "e/f=", "null|character 1:3",
    ]
    #expect(try tree(of: scratch / "ours") == expected)
    #expect(try (scratch / "ours/e").attributes() == [])
    try (scratch / "tar").write(bytes: try pack(source).tar)
    let names = try shell("tar", "-tf", "\(scratch / "tar")").split(separator: "\n")
    #expect(names.count == Set(names).count && names.count == expected.count, "\(names)")
  }

  @Test func theWhiteoutOfALongNameFitsItsDirectory() throws {
    let scratch = try Scratch()
    let name = String(repeating: "n", count: 255)
    let tar = RawTar().adding("x", mode: 0o444, pax: [("path", "d/.wh.\(name)")]).ended
    try extract(tar, into: scratch / "ours")
    #expect(try tree(of: scratch / "ours") == ["d/", "d/.wh..wh.long.=\(name)"])
    let packed = try pack(scratch / "ours")
    try (scratch / "tar").write(bytes: packed.tar)
    #expect(try shell("tar", "-tf", "\(scratch / "tar")") == "d/\nd/.wh.\(name)\n")
  }

  @Test(arguments: [
    (".wh.", "the whiteout of an empty name"), ("d/.wh.", "the whiteout of an empty name"),
    (".wh..", "the whiteout of no name"), (".wh...", "the whiteout of no name"),
    (".wh.x/y", "leads through a whiteout"), (".wh./y", "the whiteout of an empty name"),
  ])
  func aWhiteoutOfNothingIsRefused(_ name: String, _ reason: String) throws {
    let scratch = try Scratch()
    let message = refusal { try extract(RawTar().adding(name).ended, into: scratch / "ours") }
    #expect(message.contains(reason) && message.contains(name), "\(message)")
  }

  @Test func aWhiteoutThatIsNoEmptyFileIsRefused() throws {
    let scratch = try Scratch()
    for tar in [
      RawTar().adding(".wh.x", "0", "data"), RawTar().adding(".wh.x", "2", link: "y"),
      RawTar().adding(".wh.x/", "5"), RawTar().adding(".wh..wh..opq", "3"),
      RawTar().adding(".wh..wh..opq", "2", link: "/etc/passwd"),
    ] {
      let message = refusal { try extract(tar.ended, into: scratch / "ours") }
      #expect(message.contains("a whiteout but no empty file"), "\(message)")
    }
  }
}
