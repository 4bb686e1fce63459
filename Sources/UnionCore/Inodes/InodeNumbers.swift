internal import SystemCalls

/// The inode numbers that the union shows: unique over branches on several file systems, and the
/// same at the next mount of the same branches.
///
/// The file systems are counted from the bottom branch up, so that a new top layer changes no number
/// below. The first one's numbers stay as they are; another's carry its count in their upper 16 bits.
public final class InodeNumbers: @unchecked Sendable {
  private let lock = Lock()
  /// The count of each device. Guarded by `lock`.
  private var counts: [UInt64: UInt64] = [:]
  /// The device of each branch's root, and its count; fixed after init.
  private let roots: [(device: UInt64, count: UInt64)]

  public init(_ branches: BranchSet) {
    var counts: [UInt64: UInt64] = [:]
    for branch in branches.branches.reversed() {
      let device = branch.rootAttributes.device
      if counts[device] == nil { counts[device] = UInt64(counts.count) }
    }
    self.counts = counts
    roots = branches.branches.map {
      ($0.rootAttributes.device, counts[$0.rootAttributes.device] ?? 0)
    }
  }

  deinit { lock.destroy() }

  /// The number of a file of a branch.
  @inline(__always)
  public func number(branch: Int, device: UInt64, inode: UInt64) -> UInt64 {
    let root = roots[branch]
    return Self.compose(device == root.device ? root.count : count(of: device), inode)
  }

  /// The number of an entry as a listing of a branch tells it: on the device of the branch's root.
  public func number(branch: Int, listed inode: UInt64) -> UInt64 {
    Self.compose(roots[branch].count, inode)
  }

  /// Whether every branch and everything met so far is on one device.
  private func count(of device: UInt64) -> UInt64 {
    lock.whileLocked {
      if let count = counts[device] { return count }
      let count = UInt64(counts.count)
      counts[device] = count
      return count
    }
  }

  static func compose(_ count: UInt64, _ inode: UInt64) -> UInt64 {
    if count == 0 { return inode }
    if inode < 1 << 48 { return inode | count << 48 }
    // A number with high bits of its own is mixed with the count; bit 63 keeps it apart from the
    // composed ones.
    var mixed = inode ^ (count &* 0x9E37_79B9_7F4A_7C15)
    mixed ^= mixed >> 31
    mixed = mixed &* 0xBF58_476D_1CE4_E5B9
    return (mixed ^ (mixed >> 29)) | 1 << 63
  }
}
