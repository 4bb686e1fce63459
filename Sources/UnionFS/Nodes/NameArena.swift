internal import UnionCore

/// Names of files in units of 4 bytes, each with its NUL, and a reference to one in 32 bits: a name of seven
/// bytes takes 8, where a piece of memory from malloc takes 32.
///
/// Names lie in slabs that stay. The room of one that is gone is kept for the next of as many units, so the
/// slabs are as large as the most units that names of each length have had at a time.
struct NameArena: ~Copyable {
  /// A slab is 64 KiB.
  private static let slabBits: UInt32 = 14
  private static let slabUnits: UInt32 = 1 << slabBits
  /// The most units of a name: 255 bytes and NUL.
  private static let largest = (nameLimit + 1) / 4

  private var slabs: [UnsafeMutablePointer<UInt32>] = []
  /// The first unit that was never used; 0 is no name.
  private var next: UInt32 = 1
  /// The first free room of so many units; the next one's reference is in it.
  private var free = [UInt32](repeating: 0, count: largest + 1)

  deinit { for slab in slabs { slab.deallocate() } }

  /// Bytes of all slabs.
  var storage: Int { slabs.count * Int(Self.slabUnits) * 4 }

  private func units(_ reference: UInt32) -> UnsafeMutablePointer<UInt32> {
    slabs[Int(reference >> Self.slabBits)] + Int(reference & (Self.slabUnits - 1))
  }

  /// A name's bytes, NUL-terminated. They are there until it is removed.
  func bytes(_ reference: UInt32) -> UnsafeBufferPointer<CChar> {
    let words = units(reference)
    var at = 0
    // The last unit is filled up with NULs, and only there is any.
    while !words[at].hasZeroByte { at += 1 }
    let raw = UnsafeRawPointer(words).assumingMemoryBound(to: CChar.self)
    return UnsafeBufferPointer(start: raw, count: at * 4 + words[at].bytesBeforeZero)
  }

  /// Keeps a name of at most 255 bytes.
  mutating func insert(_ name: UnsafeBufferPointer<CChar>) -> UInt32 {
    let count = min(name.count, nameLimit)
    let size = count / 4 + 1
    let reference = allocate(size)
    let words = units(reference)
    words[size - 1] = 0
    if let base = name.baseAddress {
      UnsafeMutableRawPointer(words).copyMemory(from: base, byteCount: count)
    }
    return reference
  }

  /// Takes out a name of so many bytes.
  mutating func remove(_ reference: UInt32, count: Int) { release(reference, count / 4 + 1) }

  private mutating func allocate(_ size: Int) -> UInt32 {
    let reference = free[size]
    if reference != 0 {
      free[size] = units(reference)[0]
      return reference
    }
    return extend(by: UInt32(truncatingIfNeeded: size))
  }

  private mutating func extend(by size: UInt32) -> UInt32 {
    let end = UInt32(truncatingIfNeeded: slabs.count) &* Self.slabUnits
    if next + size > end {
      // A name has room for whatever is left of a slab.
      if next < end { release(next, Int(end - next)) }
      next = max(end, next)
      slabs.append(.allocate(capacity: Int(Self.slabUnits)))
    }
    defer { next += size }
    return next
  }

  private mutating func release(_ reference: UInt32, _ size: Int) {
    units(reference)[0] = free[size]
    free[size] = reference
  }
}

extension UInt32 {
  /// The highest bit of the first zero byte, and perhaps of later ones.
  private var zeroBytes: UInt32 { (self &- 0x0101_0101) & ~self & 0x8080_8080 }
  fileprivate var hasZeroByte: Bool { zeroBytes != 0 }
  fileprivate var bytesBeforeZero: Int { zeroBytes.trailingZeroBitCount / 8 }
}
