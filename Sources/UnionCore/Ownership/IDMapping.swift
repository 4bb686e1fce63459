/// Which ids of a disk a mount shows as which others: ranges, as in `/proc/PID/uid_map`. Without any range
/// each id is itself.
public struct IDMapping: Sendable, Equatable {
  /// `disk`, `disk + 1`, … are shown as `shown`, `shown + 1`, …
  struct Range: Sendable, Equatable {
    var disk: UInt32
    var shown: UInt32
    var count: UInt32

    /// The id of the same place in the other half; nil for one that is not in this half.
    func place(of id: UInt32, from: UInt32, to: UInt32) -> UInt32? {
      id >= from && id - from < count ? to + (id - from) : nil
    }
  }

  private(set) var ranges: [Range] = []
  /// No id is both on the disk and shown as another.
  private var isDisjoint = true

  /// What the kernel calls an id that has no name in a user namespace.
  public static let overflow: UInt32 = 65534

  public init() {}

  /// Reads fuse-overlayfs's `DISK:SHOWN:COUNT[:DISK:SHOWN:COUNT…]`, which may begin with a colon. nil for
  /// what is none, leaves the 32 bits of an id, or maps two ids to one.
  public init?(_ text: some StringProtocol) {
    let words = text.split(separator: ":", omittingEmptySubsequences: false)
      .drop { $0.isEmpty }
    let numbers = words.compactMap { UInt32($0) }
    guard numbers.count == words.count, !numbers.isEmpty, numbers.count.isMultiple(of: 3) else {
      return nil
    }
    for index in stride(from: 0, to: numbers.count, by: 3) {
      let range = Range(
        disk: numbers[index], shown: numbers[index + 1], count: numbers[index + 2])
      guard add(range) else { return nil }
    }
    isDisjoint = !ranges.contains { one in
      ranges.contains { Self.overlap(one.disk, one.count, $0.shown, $0.count) }
    }
  }

  private mutating func add(_ range: Range) -> Bool {
    // The last id of all is "no id".
    guard range.count > 0, UInt32.max - range.count >= max(range.disk, range.shown) else {
      return false
    }
    let collides = ranges.contains {
      Self.overlap(range.disk, range.count, $0.disk, $0.count)
        || Self.overlap(range.shown, range.count, $0.shown, $0.count)
    }
    if !collides { ranges.append(range) }
    return !collides
  }

  private static func overlap(
    _ one: UInt32, _ count: UInt32, _ other: UInt32, _ otherCount: UInt32
  ) -> Bool {
    one < other ? other - one < count : one - other < otherCount
  }

  public var isIdentity: Bool { ranges.isEmpty }

  /// What the mount shows for an id on disk: `overflow` for one that has no place in the mapping.
  ///
  /// A branch may be an idmapped mount of the same mapping already, as podman's are for root: where no id is
  /// in both halves, one that is shown already stays.
  public func shown(_ id: UInt32) -> UInt32 {
    if ranges.isEmpty { return id }
    for range in ranges {
      if let place = range.place(of: id, from: range.disk, to: range.shown) { return place }
    }
    return isDisjoint && disk(id) != nil ? id : Self.overflow
  }

  /// Whether an id of the disk has a place in the mapping.
  func isOnDisk(_ id: UInt32) -> Bool {
    ranges.contains { $0.place(of: id, from: $0.disk, to: $0.shown) != nil }
  }

  /// The id on disk that is shown as this one; nil where none is.
  public func disk(_ id: UInt32) -> UInt32? {
    if ranges.isEmpty { return id }
    for range in ranges {
      if let place = range.place(of: id, from: range.shown, to: range.disk) { return place }
    }
    return nil
  }
}
