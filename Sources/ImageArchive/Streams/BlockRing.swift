internal import SystemCalls
internal import UnionCore

/// A bounded queue of blocks between the thread that makes them and the one that takes them.
final class BlockRing: @unchecked Sendable {
  static let blockSize = 1 << 18
  private static let blockCount = 8

  private let lock = Lock()
  private let changed = Condition()
  private let blocks: [UnsafeMutableRawBufferPointer]
  // Under the lock.
  private var sizes = [Int](repeating: 0, count: blockCount)
  private var made = 0
  private var taken = 0
  private var isHeld = false
  private var isAbandoned = false
  private var hasEnded = false
  private var failure: Failure?

  init() {
    blocks = (0..<Self.blockCount).map { _ in
      .allocate(byteCount: Self.blockSize, alignment: 4096)
    }
  }

  deinit {
    for block in blocks { block.deallocate() }
    lock.destroy()
    changed.destroy()
  }

  // MARK: The maker

  /// Room for the next block; nil once nobody takes any more.
  func room() -> UnsafeMutableRawBufferPointer? {
    lock.whileLocked {
      while made - taken == Self.blockCount && !isAbandoned { changed.wait(lock) }
      return isAbandoned ? nil : blocks[made % Self.blockCount]
    }
  }

  func publish(_ count: Int) {
    lock.whileLocked {
      sizes[made % Self.blockCount] = count
      made += 1
      changed.broadcast()
    }
  }

  /// The last call of the maker.
  func end(_ failure: Failure?) {
    lock.whileLocked {
      self.failure = failure
      hasEnded = true
      changed.broadcast()
    }
  }

  // MARK: The taker

  /// The next block, which stays until the next call; empty at the end. A failure of the maker comes when
  /// all blocks before it are taken.
  func next() throws(Failure) -> UnsafeRawBufferPointer {
    lock.lock()
    defer { lock.unlock() }
    if isHeld {
      taken += 1
      isHeld = false
      changed.broadcast()
    }
    while made == taken && !hasEnded { changed.wait(lock) }
    if made == taken {
      if let failure { throw failure }
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    isHeld = true
    let place = taken % Self.blockCount
    return UnsafeRawBufferPointer(rebasing: blocks[place][..<sizes[place]])
  }

  /// No more are taken.
  func abandon() {
    lock.whileLocked {
      isAbandoned = true
      changed.broadcast()
    }
  }

  /// Whether the maker touches nothing any more.
  var isOver: Bool { lock.whileLocked { hasEnded } }

  /// Waits until the maker touches nothing any more.
  func waitForEnd() {
    lock.whileLocked { while !hasEnded { changed.wait(lock) } }
  }
}
