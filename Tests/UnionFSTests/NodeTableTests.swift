import SystemCalls
import SystemPackage
import Testing
import UnionCore
@testable import UnionFS

/// A table whose directories are made without any on disk.
private final class Fixture {
  let cache = DirectoryDescriptors(limit: 16)
  let table: NodeTable
  static let root = NodeTable.rootSlot

  init() {
    let root = Directory(slot: Self.root, branches: [0], isResolved: true, cache: cache)
    table = NodeTable(root: root, inode: 2, branch: 0)
  }

  /// A node that the kernel has been given once, with a name.
  @discardableResult
  func make(
    _ name: String, in parent: UInt32 = root, inode: UInt64 = 7, kind: FileKind = .regular
  ) -> UInt32 {
    let slot = table.makeNode(inode: inode, kind: kind, branch: 1)
    if kind == .directory {
      let made = Directory(slot: slot, branches: [1], isResolved: true, cache: cache)
      table.setExtra(slot, Unmanaged.passRetained(made).toOpaque())
    }
    link(name, in: parent, to: slot)
    table.countLookup(slot)
    return slot
  }

  func link(_ name: String, in parent: UInt32 = root, to slot: UInt32) {
    withName(name) { table.link(parent, $0, hash: $0.hash, to: slot) }
  }

  /// The node of a name.
  func find(_ name: String, in parent: UInt32 = root) -> UInt32? {
    let record = withName(name) { table.find(parent, $0, hash: $0.hash) }
    return record == 0 ? nil : table.node(named: record)
  }

  func unlink(_ name: String, in parent: UInt32 = root) {
    withName(name) { table.unlink(table.find(parent, $0, hash: $0.hash)) }
  }

  /// A node's names, the last that was added first.
  func names(of slot: UInt32) -> [String] {
    table.names(of: slot).map {
      String(decoding: $0.name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
  }

  func children(_ slot: UInt32 = root) -> Int { (try? table.directory(at: slot).children) ?? -1 }

  func withName<Result>(_ name: String, _ body: (Name) -> Result) -> Result {
    name.withCString { body(Name(unchecked: $0, count: name.utf8.count)) }
  }
}

@Suite struct NodeTableTests {
  @Test func aNodeTakesTwentyEightBytes() {
    #expect(MemoryLayout<Node>.stride == 28)
  }

  @Test func aNodeIsFoundByItsName() {
    let f = Fixture()
    let folder = f.make("d", inode: 3, kind: .directory)
    let one = f.make("x", inode: 4)
    let two = f.make("x", in: folder, inode: 0xFFFF_0000_1234_5678)
    #expect(f.find("x") == one && f.find("x", in: folder) == two && f.find("d") == folder)
    #expect(f.find("y") == nil && f.find("d", in: folder) == nil && f.find("x", in: one) == nil)
    #expect(f.table.inode(one) == 4 && f.table.inode(two) == 0xFFFF_0000_1234_5678)
    #expect(f.table.inode(folder) == 3, "also of one that has a Directory")
    #expect(f.children() == 2 && f.children(folder) == 1)
    #expect(f.table.parent(of: folder)?.0.slot == Fixture.root)
    #expect(f.table.isChild(two, of: folder) && !f.table.isChild(two, of: Fixture.root))
  }

  @Test(arguments: [0, 1, 2])
  func anyOfSeveralNamesMayGo(_ which: Int) {
    let f = Fixture()
    let folder = f.make("d", kind: .directory)
    let slot = f.make("first", inode: 9)
    f.link("middle", in: folder, to: slot)
    f.link("last", to: slot)
    #expect(f.names(of: slot) == ["last", "middle", "first"])
    #expect(f.children() == 3 && f.children(folder) == 1)
    let names = [("first", Fixture.root), ("middle", folder), ("last", Fixture.root)]
    f.unlink(names[which].0, in: names[which].1)
    for (at, (name, parent)) in names.enumerated() {
      #expect(f.find(name, in: parent) == (at == which ? nil : slot))
    }
    #expect(f.names(of: slot) == ["last", "middle", "first"].filter { $0 != names[which].0 })
    #expect(f.table.inode(slot) == 9)
    // The record that was freed is used again, as a node and as a name.
    let other = f.make("other", inode: 10)
    f.link("another", in: folder, to: other)
    #expect(f.find("other") == other && f.find("another", in: folder) == other)
    for (name, parent) in names where f.find(name, in: parent) != nil { f.unlink(name, in: parent) }
    #expect(!f.table.hasName(slot) && f.names(of: slot).isEmpty)
    #expect(f.names(of: other) == ["another", "other"])
    #expect(f.children() == 2 && f.children(folder) == 1)
  }

  @Test func manyNamesOfOneFileGoInAnyOrder() {
    let f = Fixture()
    let slot = f.make("n0")
    for number in 1..<300 { f.link("n\(number)", to: slot) }
    for number in 0..<300 { #expect(f.find("n\(number)") == slot) }
    #expect(f.names(of: slot) == (0..<300).reversed().map { "n\($0)" })
    for number in 0..<300 { f.unlink("n\(number * 7 % 300)") }
    #expect(f.children() == 0 && !f.table.hasName(slot))
    for number in 0..<300 { #expect(f.find("n\(number)") == nil) }
  }

  @Test func aRenameMovesOneOfSeveralNames() {
    let f = Fixture()
    let slot = f.make("a")
    f.link("b", to: slot)
    f.withName("a") { from in f.withName("c") { f.table.move(slot, from: 1, from, to: 1, $0) } }
    #expect(f.find("a") == nil && f.find("c") == slot && f.names(of: slot) == ["c", "b"])
    let single = f.make("d")
    f.withName("d") { from in f.withName("e") { f.table.move(single, from: 1, from, to: 1, $0) } }
    #expect(f.names(of: single) == ["e"] && f.find("d") == nil && f.children() == 3)
  }

  @Test func namesChangePlaces() {
    let f = Fixture()
    let folder = f.make("d", kind: .directory)
    let (one, two) = (f.make("one"), f.make("two", in: folder))
    func exchange(_ name: String, _ from: UInt32, _ other: String, _ to: UInt32) {
      f.withName(name) { name in f.withName(other) { f.table.exchange(from, name, to, $0) } }
    }
    exchange("one", 1, "two", folder)
    #expect(f.find("one") == two && f.find("two", in: folder) == one)
    #expect(f.children() == 2 && f.children(folder) == 1)
    // Two names of one file.
    f.link("x", to: one)
    exchange("x", 1, "two", folder)
    #expect(f.find("x") == one && f.find("two", in: folder) == one && f.names(of: one).count == 2)
    exchange("two", folder, "x", 1)
    #expect(f.find("x") == one && f.find("two", in: folder) == one && f.children(folder) == 1)
  }

  @Test func aSlotThatIsUsedAgainIsAnotherNode() throws {
    let f = Fixture()
    let slot = f.make("a")
    let id = f.table.id(slot)
    #expect(try f.table.slot(of: id) == slot)
    f.table.forget(id, count: 1)
    #expect(throws: Errno.staleNFSFileHandle) { try f.table.slot(of: id) }
    // Used for a name in between: no id leads to it.
    let other = f.make("b")
    #expect(other == slot)
    let newID = f.table.id(other)
    #expect(newID != id && newID & 0xFFFF_FFFF == id & 0xFFFF_FFFF)
    #expect(throws: Errno.staleNFSFileHandle) { try f.table.slot(of: id) }
    f.link("c", to: other)
    #expect(throws: Errno.staleNFSFileHandle) { try f.table.slot(of: UInt64(other) + 1) }
    f.unlink("c")
    let third = f.make("d")
    #expect(third == other + 1 && f.table.id(third) >> 32 == 0)
  }

  @Test func lookupsAreCountedBeyondThirtyTwoBits() {
    let f = Fixture()
    let slot = f.make("a")
    f.table.node(slot).pointee.lookups = .max
    for _ in 0..<3 { f.table.countLookup(slot) }
    #expect(f.table.lookups(slot) == 1 << 32 + 2)
    let id = f.table.id(slot)
    f.table.forget(id, count: 3)
    #expect(f.table.lookups(slot) == UInt64(UInt32.max))
    f.table.countLookup(slot)
    #expect(f.table.lookups(slot) == 1 << 32)
    f.table.forget(id, count: (1 << 32) - 1)
    #expect(f.table.lookups(slot) == 1 && f.find("a") == slot)
    f.table.forget(id, count: 5)
    #expect(f.find("a") == nil && f.children() == 0)
  }

  @Test func aDirectoryStaysWhileItHasChildren() throws {
    let f = Fixture()
    let outer = f.make("outer", kind: .directory)
    let inner = f.make("inner", in: outer, kind: .directory)
    let file = f.make("file", in: inner)
    let ids = [outer, inner, file].map(f.table.id)
    f.table.forget(ids[0], count: 1)
    f.table.forget(ids[1], count: 1)
    #expect(f.find("file", in: inner) == file && f.children(outer) == 1)
    f.table.forget(ids[2], count: 1)
    #expect(f.find("outer") == nil && f.children() == 0)
    for id in ids { #expect(throws: Errno.staleNFSFileHandle) { try f.table.slot(of: id) } }
  }

  @Test func allParentsOfAFileWithSeveralNamesGoWithIt() throws {
    let f = Fixture()
    let folders = ["a", "b", "c"].map { f.make($0, kind: .directory) }
    let file = f.make("x", in: folders[0])
    f.link("y", in: folders[1], to: file)
    f.link("z", in: folders[2], to: file)
    f.link("x", in: folders[2], to: file)
    for folder in folders { f.table.forget(f.table.id(folder), count: 1) }
    #expect(f.children() == 3)
    f.table.forget(f.table.id(file), count: 1)
    #expect(f.children() == 0)
  }

  @Test func directoriesAndOpenFilesAreLetGo() {
    final class Probe {}
    let f = Fixture()
    weak var first: Probe?
    weak var second: Probe?
    let (one, two) = (f.make("one", inode: 11), f.make("two", inode: 12))
    do {
      let (a, b) = (Probe(), Probe())
      (first, second) = (a, b)
      f.table.setExtra(one, Unmanaged.passRetained(a).toOpaque())
      f.table.setExtra(two, Unmanaged.passRetained(b).toOpaque())
    }
    #expect(first != nil && second != nil)
    #expect(f.table.inode(one) == 11 && f.table.inode(two) == 12)
    f.table.takeExtra(one).map { Unmanaged<AnyObject>.fromOpaque($0).release() }
    #expect(first == nil && second != nil && f.table.extra(one) == nil)
    #expect(f.table.inode(one) == 11 && f.table.takeExtra(one) == nil)
    f.table.forget(f.table.id(two), count: 1)
    #expect(second == nil)
  }

  @Test func manyNamesThatComeAndGoTakeNoMore() {
    let f = Fixture()
    var (nodes, bytes): (UInt32, Int) = (0, 0)
    for round in 0..<4 {
      let slots = (0..<30_000).map { f.make("file-\($0)", inode: UInt64($0)) }
      for number in stride(from: 0, to: 30_000, by: 7) {
        #expect(f.find("file-\(number)") == slots[number])
        #expect(f.table.inode(slots[number]) == UInt64(number))
      }
      #expect(f.children() == 30_000)
      if round == 0 { (nodes, bytes) = (f.table.slotCount, f.table.nameStorage) }
      for slot in slots { f.table.forget(f.table.id(slot), count: 1) }
      #expect(f.children() == 0 && f.find("file-0") == nil)
    }
    #expect(f.table.slotCount == nodes && f.table.nameStorage == bytes)
  }
}
