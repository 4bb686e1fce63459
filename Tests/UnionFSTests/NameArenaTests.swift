import Testing
@testable import UnionFS

private func insert(_ name: String, _ arena: inout NameArena) -> UInt32 {
  name.withCString { base in
    arena.insert(UnsafeBufferPointer(start: base, count: name.utf8.count))
  }
}

private func text(_ reference: UInt32, _ arena: borrowing NameArena) -> String {
  String(decoding: arena.bytes(reference).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

@Suite struct NameArenaTests {
  @Test func namesOfAllLengthsComeBack() {
    var arena = NameArena()
    let names = (1...255).map { String(repeating: "é", count: $0 / 2) + ($0 % 2 == 1 ? "x" : "") }
    let references = names.map { insert($0, &arena) }
    for (name, reference) in zip(names, references) {
      #expect(reference != 0 && text(reference, arena) == name)
      #expect(arena.bytes(reference).baseAddress?[name.utf8.count] == 0, "NUL-terminated")
    }
  }

  @Test func aNameOfSevenBytesTakesEight() {
    var arena = NameArena()
    // One unit is never given: it stands for no name.
    for _ in 1..<8192 { _ = insert("f123456", &arena) }
    #expect(arena.storage == 65_536)
    _ = insert("f123456", &arena)
    #expect(arena.storage == 2 * 65_536)
  }

  @Test func roomIsUsedAgainByTheNextNameOfItsSize() {
    var arena = NameArena()
    let one = insert("a-long-name", &arena)
    let other = insert("short", &arena)
    arena.remove(one, count: 11)
    let small = insert("small", &arena)
    #expect(small != one)
    let again = insert("another-one", &arena)
    #expect(again == one && text(again, arena) == "another-one")
    #expect(text(other, arena) == "short" && text(small, arena) == "small")
  }

  @Test func whatIsLeftOfASlabIsUsed() {
    var arena = NameArena()
    let long = String(repeating: "l", count: 255)
    // 255 of 64 units each, and 63 units are left.
    for _ in 0..<256 { _ = insert(long, &arena) }
    #expect(arena.storage == 2 * 65_536)
    let rest = insert(String(repeating: "r", count: 251), &arena)
    #expect(rest == 1 + 255 * 64, "63 units at the first slab's end")
    #expect(text(rest, arena) == String(repeating: "r", count: 251))
  }

  @Test func namesThatComeAndGoTakeNoMore() {
    var arena = NameArena()
    func name(_ number: Int) -> String { String(repeating: "n", count: number % 97) + "\(number)" }
    var storage = 0
    for round in 0..<5 {
      var references: [UInt32: String] = [:]
      for number in 0..<20_000 { references[insert(name(number), &arena)] = name(number) }
      #expect(references.count == 20_000)
      for (reference, name) in references { #expect(text(reference, arena) == name) }
      if round == 0 { storage = arena.storage }
      for (reference, name) in references { arena.remove(reference, count: name.utf8.count) }
    }
    #expect(arena.storage == storage)
  }
}
