import SystemPackage
import Testing
@testable import UnionCore
import SystemCalls

@Suite struct OwnershipTests {
  @Test func rangesAreShownElsewhereAndKeptWhereTheyWere() throws {
    let mapping = try #require(IDMapping(":0:1000:1:1:110000:65536"))
    #expect([0, 1, 65536].map(mapping.shown) == [1000, 110_000, 175_535])
    #expect([1000, 110_000, 175_535].map(mapping.disk) == [0, 1, 65536])
    #expect(mapping.disk(0) == nil && mapping.disk(175_536) == nil)
    #expect(mapping.shown(65537) == IDMapping.overflow)
  }

  @Test func anIDThatIsShownAlreadyStaysWhereTheHalvesAreApart() throws {
    let apart = try #require(IDMapping("0:100000:1000"))
    #expect(apart.shown(100_005) == 100_005 && apart.shown(5) == 100_005)
    #expect(apart.shown(101_000) == IDMapping.overflow)
    let overlapping = try #require(IDMapping("0:1:1000"))
    #expect(overlapping.shown(999) == 1000)
    #expect(overlapping.shown(1000) == IDMapping.overflow)
  }

  @Test(arguments: [
    "", ":", "0:1", "0:1:0", "a:1:2", "0:1:2:", "0::1", "-1:0:1", "0:4294967295:1",
    "4294967290:0:10", "0:100:10:5:200:1", "0:100:10:50:105:1", "0:1:2:3",
  ])
  func whatIsNoMappingIsNone(text: String) { #expect(IDMapping(text) == nil) }

  @Test func withoutRangesEachIDIsItself() {
    #expect(IDMapping().shown(7) == 7 && IDMapping().disk(7) == 7 && IDMapping().isIdentity)
    #expect(OwnerMapping().isIdentity)
  }

  @Test func aSquashedOwnerIsShownAndNotKept() throws {
    var mapping = OwnerMapping()
    mapping.squashedUser = 5
    mapping.groups = try #require(IDMapping("0:100:10"))
    var attributes = Attributes()
    (attributes.owner, attributes.group) = (7, 3)
    let shown = mapping.shown(attributes)
    #expect(shown.owner == 5 && shown.group == 103)
    #expect(try mapping.disk(user: 9) == 9)
    #expect(try mapping.disk(group: 109) == 9)
    #expect(throws: Errno.overflow) { try mapping.disk(group: 9) }
    // Root may name the disk's.
    #expect(try mapping.disk(group: 9, isRoots: true) == 9)
    #expect(try mapping.disk(group: 103, isRoots: true) == 3)
    #expect(throws: Errno.overflow) { try mapping.disk(group: 10, isRoots: true) }
  }

  @Test func aCopyOfAnIdmappedMountsFileIsTheDisks() throws {
    var mapping = OwnerMapping()
    mapping.users = try #require(IDMapping("0:100000:1000"))
    var attributes = Attributes()
    for (found, kept): (UInt32, UInt32) in [(100_007, 7), (7, 7), (5000, 5000)] {
      attributes.owner = found
      #expect(mapping.copied(attributes).owner == kept)
    }
  }

  @Test func anACLsNamesAreMappedAndNothingElseOfIt() throws {
    var mapping = OwnerMapping()
    mapping.users = try #require(IDMapping("0:1000:10"))
    mapping.groups = try #require(IDMapping("0:2000:10"))
    func list(_ user: UInt8, _ high: UInt8, _ group: UInt8, _ groupHigh: UInt8) -> [UInt8] {
      [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, user, high, 0, 0]
        + [8, 0, 4, 0, group, groupHigh, 0, 0, 16, 0, 6, 0, 255, 255, 255, 255, 9]
    }
    let disk = list(3, 0, 4, 0)
    let shown = list(0xEB, 3, 0xD4, 7)  // 1003, 2004
    var value = disk
    value.withUnsafeMutableBytes { mapping.show(acl: $0) }
    #expect(value == shown)
    try keep(&value, mapping)
    #expect(value == disk)
    #expect(throws: Errno.overflow) { try keep(&value, mapping) }
  }

  private func keep(_ value: inout [UInt8], _ mapping: OwnerMapping) throws {
    let result = value.withUnsafeMutableBytes { bytes in
      Result { () throws(Errno) in try mapping.keep(acl: bytes) }
    }
    try result.get()
  }

  @Test(arguments: [
    ("0:42:0640:file", "0:42:0640:file"), ("1:2:4755", "1:2:4755:file"),
    ("1:2:100644", "1:2:0644:file"), ("0:0:0666:char-1-3", "0:0:0666:char-1-3"),
    ("0:0:0644:pipe", "0:0:0644:pipe"), ("5:6:755:dir", "5:6:0755:dir"),
  ])
  func whatStandsForAFileIsReadAndWritten(text: String, written: String) throws {
    let stat = try #require(OverrideStat(Array(text.utf8), actual: .regular))
    #expect(String(decoding: stat.text, as: UTF8.self) == written)
  }

  @Test(arguments: [
    "", "0:0", "x:0:644", "0:0:8", "0:0:644:strange", "0:0:644:char-1", "0:0:1000000",
  ])
  func whatIsNoneIsNot(text: String) {
    #expect(OverrideStat(Array(text.utf8), actual: .regular) == nil)
  }
}
