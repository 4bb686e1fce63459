import Testing
@testable import UnionCore

@Suite struct HashSlotsTests {
  /// Every size: the number that is as large as the table must not be taken for a removed one.
  @Test(arguments: 2...70)
  func everyNumberUpToTheCapacityIsKept(_ capacity: Int) {
    var slots = HashSlots(capacity: capacity)
    let last = UInt32(capacity)
    for hash in [0, 1, UInt32.max, 0x8000_0000] {
      #expect(slots.hasRoom(for: last))
      slots.insert(last, hash)
      #expect(slots.find(hash) { $0 == last } == last)
      slots.remove(last, hash)
      #expect(slots.find(hash) { _ in true } == nil && slots.used == 0)
    }
    #expect(!slots.hasRoom(for: last + 1))
  }

  @Test func anEmptyTableHasNothingAndNoRoom() {
    let slots = HashSlots(capacity: 0)
    #expect(slots.find(1) { _ in true } == nil && !slots.hasRoom(for: 1))
  }

  @Test func aFilledTableHasAllItsNumbers() {
    let slots = HashSlots(capacity: HashSlots.capacity(for: 1000), numbersTo: 1000) {
      ($0 % 50) &* 0x9E37_79B1
    }
    for number in 1...UInt32(1000) {
      #expect(slots.find((number % 50) &* 0x9E37_79B1) { $0 == number } == number)
    }
    #expect(slots.find(7) { _ in true } == nil)
  }

  /// Compared with a dictionary; few hashes, so that most numbers share theirs or a neighbour's.
  @Test(arguments: 1...8)
  func changesInAnyOrderKeepWhatIsThere(_ seed: UInt64) {
    var random = seed
    func next(_ bound: Int) -> Int {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(random >> 33) % bound
    }
    let hashes = (0..<12).map { UInt32($0 / 4) &* 0x5555_5555 &+ UInt32($0) }
    var slots = HashSlots(capacity: 128)
    var model: [UInt32: UInt32] = [:]
    for _ in 0..<5000 {
      let number = UInt32(1 + next(128))
      if let hash = model[number] {
        let other = UInt32(1 + next(128))
        if model[other] == nil, next(2) == 0 {
          slots.replace(number, by: other, hash)
          model[other] = hash
        } else {
          slots.remove(number, hash)
        }
        model[number] = nil
      } else if slots.hasRoom(for: number) {
        model[number] = hashes[next(12)]
        slots.insert(number, model[number] ?? 0)
      }
      let asked = UInt32(1 + next(128))
      for hash in hashes {
        #expect(slots.find(hash) { $0 == asked } == (model[asked] == hash ? asked : nil))
      }
      #expect(slots.used >= model.count)
    }
    for (number, hash) in model { slots.remove(number, hash) }
    for hash in hashes { #expect(slots.find(hash) { _ in true } == nil) }
  }

  @Test func whatIsRemovedLeavesNoTraceWhereNothingFollows() {
    var slots = HashSlots(capacity: 16)
    for round in 0..<1000 {
      let hash = UInt32(round) &* 0x9E37_79B1
      for number in 1...UInt32(4) { slots.insert(number, hash) }
      for number in 1...UInt32(4) { slots.remove(number, hash) }
      #expect(slots.used == 0)
    }
  }
}
