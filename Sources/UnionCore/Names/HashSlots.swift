/// Which numbers belong to a hash: 4 bytes a slot, no keys. What a number stands for, and whether it is the
/// one that is sought, its owner knows.
///
/// Open addressing. The hash's high bits choose the slot, so a table may have any size. A slot holds the
/// number in its low bits and low bits of the hash in the rest, so that nearly every number that is not the
/// one sought is passed over without a look at what it stands for; a full table costs little therefore.
/// These bits do not give the hash back: a table of another size is filled anew by its owner.
@frozen public struct HashSlots: Sendable {
  /// 0 where a slot is free; all number bits set where a number was removed.
  @usableFromInline var slots: [UInt32]
  @usableFromInline let numberMask: UInt32
  /// Slots that are not free.
  @usableFromInline var used = 0

  /// Takes numbers from 1 to `capacity`.
  @inlinable public init(capacity: Int) {
    slots = [UInt32](repeating: 0, count: capacity)
    // The number after the last is the one that is all ones, or below it.
    let bits = UInt32.bitWidth - UInt32(truncatingIfNeeded: capacity + 1).leadingZeroBitCount
    numberMask = capacity == 0 ? 0 : UInt32.max >> UInt32(UInt32.bitWidth - bits)
  }

  /// The slots for so many numbers, a quarter of them free.
  @inlinable public static func capacity(for count: Int) -> Int { count + count / 3 + 1 }

  @inlinable public var capacity: Int { slots.count }

  /// The hash of a name in one of many directories.
  @inlinable public static func hash(_ name: UInt32, in parent: UInt32) -> UInt32 {
    let mixed = (UInt64(parent) << 32 | UInt64(name)).mixed
    return UInt32(truncatingIfNeeded: mixed ^ mixed >> 32)
  }

  /// Whether a number may come in: a fifth of the slots stays free.
  @inlinable public func hasRoom(for number: UInt32) -> Bool {
    (used + 1) * 5 <= slots.count * 4 && number <= slots.count
  }

  @inlinable func home(_ hash: UInt32) -> Int {
    Int(truncatingIfNeeded: (UInt64(hash) &* UInt64(truncatingIfNeeded: slots.count)) >> 32)
  }

  @inlinable func next(_ slot: Int) -> Int { slot + 1 == slots.count ? 0 : slot + 1 }

  /// What a slot holds for a number that is there.
  @inlinable func word(_ number: UInt32, _ hash: UInt32) -> UInt32 {
    hash &* (numberMask &+ 1) | number
  }

  /// The number of a hash for which `isSought` answers true.
  @inlinable public func find(_ hash: UInt32, where isSought: (UInt32) -> Bool) -> UInt32? {
    guard !slots.isEmpty else { return nil }
    let bits = hash &* (numberMask &+ 1)
    var slot = home(hash)
    while slots[slot] != 0 {
      let number = slots[slot] & numberMask
      if slots[slot] ^ number == bits, number != numberMask, isSought(number) { return number }
      slot = next(slot)
    }
    return nil
  }

  /// Puts in a number that is not there; there must be room.
  @inlinable public mutating func insert(_ number: UInt32, _ hash: UInt32) {
    var slot = home(hash)
    while slots[slot] != 0, slots[slot] & numberMask != numberMask { slot = next(slot) }
    if slots[slot] == 0 { used += 1 }
    slots[slot] = word(number, hash)
  }

  /// A table of those numbers from 1 to `count` that have a hash.
  @inlinable public init(capacity: Int, numbersTo count: Int, hash: (UInt32) -> UInt32?) {
    self.init(capacity: capacity)
    // There is an end to every search.
    guard count > 0, count < capacity else { return }
    let shift = numberMask &+ 1
    var used = 0
    slots.withUnsafeMutableBufferPointer { slots in
      for number in 1...UInt32(truncatingIfNeeded: count) {
        guard let hash = hash(number) else { continue }
        used += 1
        var slot = Int(truncatingIfNeeded: (UInt64(hash) &* UInt64(slots.count)) >> 32)
        while slots[slot] != 0 { slot = slot + 1 == slots.count ? 0 : slot + 1 }
        slots[slot] = hash &* shift | number
      }
    }
    self.used = used
  }

  /// Where a number is.
  @inlinable func slot(of number: UInt32, _ hash: UInt32) -> Int? {
    guard !slots.isEmpty else { return nil }
    let wanted = word(number, hash)
    var slot = home(hash)
    while slots[slot] != wanted {
      if slots[slot] == 0 { return nil }
      slot = next(slot)
    }
    return slot
  }

  /// Puts one number in the place of another of the same hash.
  @inlinable public mutating func replace(_ number: UInt32, by other: UInt32, _ hash: UInt32) {
    if let slot = slot(of: number, hash) { slots[slot] = word(other, hash) }
  }

  /// Takes a number out. Where nothing follows, its slot and those of removed ones before it are free again.
  @inlinable public mutating func remove(_ number: UInt32, _ hash: UInt32) {
    guard var slot = slot(of: number, hash) else { return }
    slots[slot] = numberMask
    guard slots[next(slot)] == 0 else { return }
    while slots[slot] != 0, slots[slot] & numberMask == numberMask {
      slots[slot] = 0
      used -= 1
      slot = slot == 0 ? slots.count - 1 : slot - 1
    }
  }
}
