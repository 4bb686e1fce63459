public import SystemCalls

/// One name of a merged directory: 16 bytes. Its bytes are in the index's storage, behind those of the entry
/// before; the branches of a directory that several hold are in the index's `merges`.
public struct IndexEntry: Sendable {
  /// The number that stat and readdir show for the topmost entry.
  public var inode: UInt64
  /// Where the name's bytes begin in the index's storage.
  let nameOffset: UInt32
  /// The union's index of the branch that holds the topmost entry; `none` where nothing shows.
  public var branch = Self.none
  /// `type` in the low four bits, `lowerType` in the high ones.
  private var types: UInt8 = 0
  var flags: Flags = []

  init(nameOffset: UInt32) {
    inode = 0
    self.nameOffset = nameOffset
  }

  public var type: FileKind {
    get { FileKind(rawValue: types & 15) ?? .unknown }
    set { types = types & 0xF0 | newValue.rawValue }
  }
  /// The type of what a branch below the top one shows of this name, `unknown` for nothing.
  public var lowerType: FileKind {
    get { FileKind(rawValue: types >> 4) ?? .unknown }
    set { types = types & 0x0F | newValue.rawValue << 4 }
  }

  struct Flags: OptionSet, Sendable {
    let rawValue: UInt8
    /// Nothing below may show any more (while the index is being made).
    static let closed = Flags(rawValue: 1)
    /// The same without the top branch's say.
    static let lowerClosed = Flags(rawValue: 2)
    /// The top branch holds `.wh.NAME`.
    static let topWhiteout = Flags(rawValue: 4)
    /// No entry any more.
    static let dead = Flags(rawValue: 8)
    /// What has the name of its whiteout is no whiteout.
    static let broken = Flags(rawValue: 16)
    /// The top branch holds a whiteout in the name's place.
    static let topWhiteoutInPlace = Flags(rawValue: 32)
    /// A directory that several branches hold.
    static let merges = Flags(rawValue: 64)
  }

  public static let none = UInt16.max

  /// Whether a caller sees the name.
  public var isVisible: Bool { branch != Self.none && !flags.contains(.dead) }
  /// Whether a branch holds something at the whiteout's name that is none: what the name shows is not to
  /// be told.
  public var isBroken: Bool { flags.contains(.broken) }
  /// Whether a branch below the top one would show the name if the top one held nothing of it.
  public var lowerShows: Bool { lowerType != .unknown }
  public var hasTopWhiteout: Bool { !topWhiteouts.isEmpty }
  /// How the top branch says that the name is gone.
  public var topWhiteouts: WhiteoutForms {
    get {
      var forms: WhiteoutForms = []
      if flags.contains(.topWhiteout) { forms.insert(.aufs) }
      if flags.contains(.topWhiteoutInPlace) { forms.insert(.overlay) }
      return forms
    }
    set {
      flags.remove([.topWhiteout, .topWhiteoutInPlace])
      if newValue.contains(.aufs) { flags.insert(.topWhiteout) }
      if newValue.contains(.overlay) { flags.insert(.topWhiteoutInPlace) }
    }
  }
}

/// All names of a merged directory with what each is made of: a hit of a lookup then costs one
/// system call, a miss none, and a listing none. Kept up by the union's own changes.
///
/// Values share their storage until one changes, so that an open directory's snapshot is free.
public struct NameIndex: Sendable {
  public private(set) var entries: [IndexEntry] = []
  /// In the order of the entries, each ended by NUL.
  private var names: [CChar] = []
  /// Branch indexes, top first, for the position of each merged directory.
  private var merges: [Int: [UInt16]] = [:]
  /// Positions + 1, by the hash of the name.
  private var slots = HashSlots(capacity: 0)
  /// Of the entries' names, while the index is being made; later they are told by the names.
  private var hashes: [UInt32]?
  /// Visible directories, for link counts.
  public private(set) var directoryCount = 0

  public init() {}

  /// An index that is being made, until `finish`.
  init(growing: Void) { hashes = [] }

  // MARK: Searching

  /// The position of a name's entry, visible or not; nil where there is none.
  public func find(_ bytes: UnsafeBufferPointer<CChar>, hash: UInt32) -> Int? {
    guard let position = findAny(bytes, hash: hash) else { return nil }
    return entries[position].flags.contains(.dead) ? nil : position
  }

  public func find(_ name: Name) -> Int? { find(name.bytes, hash: name.hash) }

  /// The same, dead ones too.
  private func findAny(_ bytes: UnsafeBufferPointer<CChar>, hash: UInt32) -> Int? {
    let number = slots.find(hash) { number in
      withName(of: Int(number) - 1) { $0.hasBytes(of: bytes) }
    }
    return number.map { Int($0) - 1 }
  }

  /// Makes the table of hashes anew, for as many entries as it shall have room for.
  private mutating func rebuildSlots(for count: Int) {
    let capacity = HashSlots.capacity(for: count)
    slots = HashSlots(capacity: capacity, numbersTo: entries.count) { number in
      let position = Int(number) - 1
      return hashes?[position] ?? withName(of: position) { $0.nameHash }
    }
  }

  // MARK: Reading

  /// Calls `body` with an entry's name, NUL-terminated.
  public func withName<Result>(
    of position: Int, _ body: (UnsafeBufferPointer<CChar>) -> Result
  ) -> Result {
    let start = entries[position].nameOffset
    let isLast = position + 1 == entries.count
    let next = isLast ? UInt32(truncatingIfNeeded: names.count) : entries[position + 1].nameOffset
    return names.withUnsafeBufferPointer {
      body(UnsafeBufferPointer(rebasing: $0[Int(start)..<Int(start) + Int(next &- start) - 1]))
    }
  }

  /// Bytes of storage, without what merges.
  var storage: Int {
    entries.capacity * MemoryLayout<IndexEntry>.stride + names.capacity + slots.capacity * 4
      + (hashes?.capacity ?? 0) * 4
  }

  /// The branches that merge into a directory, top first.
  public func branches(of position: Int) -> [UInt16] {
    let entry = entries[position]
    guard entry.flags.contains(.merges) else { return [entry.branch] }
    return merges[position] ?? [entry.branch]
  }

  /// Whether no name is visible.
  public var isEmpty: Bool { !entries.contains { $0.isVisible } }

  // MARK: Changing

  /// A new entry; the name must not be there.
  @discardableResult
  mutating func append(
    _ bytes: UnsafeBufferPointer<CChar>, hash: UInt32, _ fill: (inout IndexEntry) -> Void = { _ in }
  ) -> Int {
    let position = entries.count
    var entry = IndexEntry(nameOffset: UInt32(truncatingIfNeeded: names.count))
    fill(&entry)
    entries.append(entry)
    names.append(contentsOf: bytes)
    names.append(0)
    hashes?.append(hash)
    let number = UInt32(truncatingIfNeeded: position) + 1
    if slots.hasRoom(for: number) {
      slots.insert(number, hash)
    } else {
      rebuildSlots(for: max((hashes == nil ? 2 : 4) * entries.count, 12))
    }
    return position
  }

  /// The top branch shows the name from now on, and has no whiteout of it.
  public mutating func setTop(_ name: Name, type: FileKind, inode: UInt64, branches: [UInt16]) {
    let hash = name.hash
    let position = find(name.bytes, hash: hash) ?? revive(name.bytes, hash: hash)
    if entries[position].isVisible, entries[position].type == .directory { directoryCount -= 1 }
    if type == .directory { directoryCount += 1 }
    entries[position].branch = branches.first ?? 0
    entries[position].type = type
    entries[position].inode = inode
    entries[position].topWhiteouts = []
    setBranches(position, branches)
  }

  /// A dead entry of the name is used again, so that listings in progress do not see it twice.
  private mutating func revive(_ bytes: UnsafeBufferPointer<CChar>, hash: UInt32) -> Int {
    guard let position = findAny(bytes, hash: hash) else { return append(bytes, hash: hash) }
    entries[position].flags.remove(.dead)
    return position
  }

  /// The name shows no longer; `whiteout` tells whether the top branch holds one now.
  public mutating func hide(_ name: Name, whiteout: Bool) {
    hide(name, whiteouts: whiteout ? .aufs : [])
  }

  /// The same with the forms that it holds.
  public mutating func hide(_ name: Name, whiteouts: WhiteoutForms) {
    guard let position = find(name) else { return }
    if entries[position].isVisible, entries[position].type == .directory { directoryCount -= 1 }
    entries[position].branch = IndexEntry.none
    entries[position].type = .unknown
    setBranches(position, [])
    entries[position].topWhiteouts = whiteouts
    if whiteouts.isEmpty && !entries[position].lowerShows {
      entries[position].flags.insert(.dead)
    }
  }

  /// Everything that shows is on the top branch alone from now on, and nothing lies below. Entries keep
  /// their places.
  public mutating func detachFromLower() {
    merges = [:]
    for position in entries.indices {
      entries[position].flags.remove(.merges)
      entries[position].lowerType = .unknown
      entries[position].topWhiteouts = []
      if entries[position].isVisible {
        entries[position].branch = 0
      } else {
        entries[position].flags.insert(.dead)
      }
    }
  }

  private mutating func setBranches(_ position: Int, _ branches: [UInt16]) {
    if branches.count > 1 {
      entries[position].flags.insert(.merges)
      merges[position] = branches
    } else if entries[position].flags.remove(.merges) != nil {
      merges[position] = nil
    }
  }

  /// Changes an entry while the index is being made.
  mutating func update(_ position: Int, _ change: (inout IndexEntry) -> Void) {
    change(&entries[position])
  }

  /// The index is made: it takes what its names need from now on, and what is put in later grows it again.
  ///
  /// - Parameter merges: the branches of each directory that several hold.
  mutating func finish(directories: Int, merges: [Int: [UInt16]]) {
    directoryCount = directories
    // Most directories are merged of the same branches: they share one list.
    var lists: Set<[UInt16]> = []
    for (position, branches) in merges {
      setBranches(position, lists.insert(branches).memberAfterInsert)
    }
    entries = entries.withUnsafeBufferPointer { Array($0) }
    names = names.withUnsafeBufferPointer { Array($0) }
    rebuildSlots(for: entries.count)
    hashes = nil
  }
}
