import SystemPackage
import Testing
import UnionCore

@testable import UnionFSCommand

@Suite struct MountTableTests {
  let table = MountTable(
    Array(
      #"""
      22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
      40 22 0:51 / /mnt/a\040b rw,nosuid - fuse.unionfs-swift unionfs-swift rw,user_id=0
      41 22 0:52 / /srv rw - fuse.sshfs host: rw
      42 22 0:53 / /srv rw - fuse.unionfs-swift mine rw
      43 22 0:54 / /opt rw - fuse.other unionfs-swift rw
      garbage
      """#.utf8))

  @Test func escapedMountPointsAreFound() throws {
    let entry = try #require(table.topmost(at: "/mnt/a b"))
    #expect(entry.isOurs)
    #expect(entry.connection == "51")
  }

  @Test func theTopmostOfStackedMountsCounts() {
    #expect(table.topmost(at: "/srv")?.source == "mine")
  }

  @Test func aTypeOrASourceOfOursIsOurs() {
    #expect(table.topmost(at: "/opt")?.isOurs == true)
    #expect(table.topmost(at: "/")?.isOurs == false)
    #expect(table.topmost(at: "/nowhere") == nil)
    #expect(table.entries.count == 5)
  }
}

@Suite struct CommandArgumentTests {
  @Test(arguments: [
    Array("plain".utf8), Array("höher".utf8), [0xFF], [0x61, 0xC3, 0x28], [0xED, 0xA0, 0x80],
    Array("\u{10FF41}".utf8), [0xF4, 0x90, 0x80, 0x80], [],
  ])
  func anyBytesSurviveTheArgumentParser(_ bytes: [UInt8]) throws {
    #expect(CommandArgument.decode(CommandArgument.encode(bytes)) == bytes)
  }
}

@Suite struct WhichReportTests {
  let answer = WhichProtocol.Answer(entries: [
    .init(state: .visible, permission: "rw", branch: "/top", path: "etc/hosts"),
    .init(state: .hidden, permission: "ro+wh", branch: "/base", path: "etc/hosts"),
  ])

  @Test func peopleReadOneBlockForEachPath() {
    let text = String(decoding: WhichReport.text(Array("/m/etc/hosts".utf8), answer), as: UTF8.self)
    #expect(
      text == """
        /m/etc/hosts
          visible  rw       /top/etc/hosts
          hidden   ro+wh    /base/etc/hosts  (by the entry above)

        """)
  }

  @Test func whatHidesTheRestIsSaid() {
    let deleted = WhichProtocol.Answer(entries: [
      .init(state: .whiteout, permission: "rw", branch: "/top", path: ".wh.x"),
      .init(state: .hidden, permission: "ro", branch: "/base", path: "x"),
    ])
    let text = String(decoding: WhichReport.text(Array("x".utf8), deleted), as: UTF8.self)
    #expect(text.contains("/base/x  (by the whiteout above)"))
    let missing = WhichReport.text(Array("x".utf8), .init(entries: []))
    #expect(String(decoding: missing, as: UTF8.self) == "x\n  no branch has it\n")
  }

  @Test func controlCharactersNeverReachTheTerminal() {
    #expect(!WhichReport.text([0x1B, 0x0A, 0x41], answer).starts(with: [0x1B]))
  }

  @Test func jsonQuotesAndTellsOfBytesThatAreNotUTF8() {
    let json = String(
      decoding: WhichReport.array([WhichReport.json([0x22, 0xFF], answer)]), as: UTF8.self)
    #expect(json.contains(#""path": "\"\#u{FFFD}", "path_escaped": "\"\\377""#), "\(json)")
    #expect(json.contains(#""source": "/top/etc/hosts""#))
  }
}
