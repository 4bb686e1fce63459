import SystemCalls
import Testing
@testable import UnionCore

extension String {
  fileprivate func asName<Result>(_ body: (Name) throws -> Result) rethrows -> Result {
    try withBytes {
      try body(Name(unchecked: $0.baseAddress.unsafelyUnwrapped, count: $0.count))
    }
  }
}

/// The names over so many branches that all hold them.
private func merged(_ names: [String], branches: UInt16 = 1, type: FileKind = .regular) -> NameIndex
{
  var merge = Merge()
  for branch in 0..<branches {
    merge.begin(branch: branch, isTop: branch == 0, honoursWhiteouts: true)
    for (number, name) in names.enumerated() {
      name.withBytes { merge.add($0, type: type, inode: UInt64(number)) }
    }
    merge.endBranch()
  }
  return merge.finish()
}

private func position(_ name: String, in index: NameIndex) -> Int? {
  name.asName { index.find($0) }
}

private func names(_ count: Int, _ prefix: String = "f") -> [String] {
  (0..<count).map { "\(prefix)\($0)" }
}

private let kinds: [FileKind] = [
  .unknown, .fifo, .characterDevice, .directory, .blockDevice, .regular, .symbolicLink, .socket,
  .whiteout,
]

@Suite struct NameIndexTests {
  @Test func anEntryTakesSixteenBytes() {
    #expect(MemoryLayout<IndexEntry>.stride == 16)
  }

  @Test func anEntrysTypesAndFlagsAreApart() {
    for type in kinds {
      for lower in kinds {
        var entry = IndexEntry(nameOffset: 0)
        entry.type = .whiteout
        entry.lowerType = .whiteout
        entry.topWhiteouts = [.aufs, .overlay]
        entry.type = type
        entry.lowerType = lower
        #expect(entry.type == type && entry.lowerType == lower)
        #expect(entry.topWhiteouts == [.aufs, .overlay] && !entry.isBroken)
      }
    }
  }

  @Test(arguments: [0, 1, 2, 3, 5, 17, 1000, 1025, 40_000])
  func aFinishedIndexTakesWhatItsNamesNeed(_ count: Int) {
    let list = names(count)
    let index = merged(list, branches: 2)
    let bytes = list.reduce(0) { $0 + $1.utf8.count + 1 }
    // An array's capacity is what malloc gives: up to a page more where it maps.
    let needed = count * 16 + bytes + (count * 4 / 3 + 1) * 4
    #expect(index.storage <= needed + (count > 5000 ? 3 * 4096 : 3 * 32))
    for (number, name) in list.enumerated() {
      #expect(position(name, in: index) == number)
      #expect(
        index.withName(of: number) { String(cString: $0.baseAddress.unsafelyUnwrapped) } == name)
      #expect(index.withName(of: number) { $0.count } == name.utf8.count)
    }
    #expect(position("f\(count)", in: index) == nil)
  }

  @Test func aFinishedIndexGrows() {
    var index = merged(names(1000))
    for (number, name) in names(6000, "later").enumerated() {
      #expect(position(name, in: index) == nil)
      name.asName { index.setTop($0, type: .regular, inode: UInt64(number), branches: [0]) }
      #expect(position(name, in: index) == 1000 + number)
    }
    for (number, name) in (names(1000) + names(6000, "later")).enumerated() {
      #expect(position(name, in: index) == number, "an entry keeps its place")
    }
    #expect(index.entries.count == 7000)
  }

  @Test func anIndexGrowsFromNothing() {
    var index = NameIndex()
    for name in names(300) {
      name.asName { index.setTop($0, type: .directory, inode: 1, branches: [0]) }
    }
    #expect(names(300).allSatisfy { position($0, in: index) != nil })
    #expect(index.directoryCount == 300 && position("f300", in: index) == nil)
  }

  @Test func aDeadEntryIsRevivedInItsPlace() {
    var index = merged(["a", "b", "c"])
    "b".asName { index.hide($0, whiteout: false) }
    #expect(position("b", in: index) == nil && index.entries.count == 3)
    "b".asName { index.setTop($0, type: .symbolicLink, inode: 9, branches: [0]) }
    #expect(position("b", in: index) == 1 && index.entries.count == 3)
    #expect(index.entries[1].type == .symbolicLink && index.entries[1].inode == 9)
    // Also one that came after the index was made, and over another growth.
    "d".asName { index.setTop($0, type: .regular, inode: 4, branches: [0]) }
    "d".asName { index.hide($0, whiteout: false) }
    for name in names(100) {
      name.asName { index.setTop($0, type: .regular, inode: 1, branches: [0]) }
    }
    "d".asName { index.setTop($0, type: .regular, inode: 5, branches: [0]) }
    #expect(position("d", in: index) == 3 && index.entries.count == 104)
  }

  @Test func aDirectorysBranchesAreKeptAsLongAsItMerges() {
    var index = merged(["d", "e"], branches: 3, type: .directory)
    #expect(index.branches(of: 0) == [0, 1, 2] && index.branches(of: 1) == [0, 1, 2])
    "d".asName { index.hide($0, whiteout: true) }
    "d".asName { index.setTop($0, type: .directory, inode: 1, branches: [0]) }
    #expect(index.branches(of: 0) == [0] && index.branches(of: 1) == [0, 1, 2])
    "d".asName { index.setTop($0, type: .directory, inode: 1, branches: [0, 2]) }
    #expect(index.branches(of: 0) == [0, 2])
    index.detachFromLower()
    #expect(index.branches(of: 0) == [0] && index.branches(of: 1) == [0])
  }

  @Test func namesOfAllLengthsAreToldApart() {
    let list = (1...255).map { String(repeating: "a", count: $0) }
    let index = merged(list)
    for (number, name) in list.enumerated() { #expect(position(name, in: index) == number) }
  }

  @Test(arguments: 1...40)
  func everyByteOfANameCounts(_ length: Int) {
    let plain = [CChar](repeating: 0x61, count: length)
    var hashes: Set<UInt32> = [plain.withUnsafeBufferPointer { $0.nameHash }]
    for at in 0..<length {
      for bit in 0..<8 {
        var other = plain
        other[at] ^= CChar(truncatingIfNeeded: 1 << bit)
        plain.withUnsafeBufferPointer { one in
          other.withUnsafeBufferPointer { #expect(!one.hasBytes(of: $0) && $0.hasBytes(of: $0)) }
        }
        hashes.insert(other.withUnsafeBufferPointer { $0.nameHash })
      }
    }
    #expect(hashes.count == 8 * length + 1, "names that differ in a bit have other hashes")
    let longer = plain + [0x61]
    plain.withUnsafeBufferPointer { one in
      longer.withUnsafeBufferPointer { #expect(!one.hasBytes(of: $0)) }
    }
  }
}
