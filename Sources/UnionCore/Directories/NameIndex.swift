public import SystemCalls

/// One name of a merged directory.
public struct IndexEntry: Sendable {
  /// The number that stat and readdir show for the topmost entry.
  public var inode: UInt64
  /// Where the name's bytes begin in the index's storage.
  var nameOffset: UInt32
  var hash: UInt32
  /// For a directory that several branches hold: where they begin in the index's list of merges.
  var merge: Int32 = -1
  /// The union's index of the branch that holds the topmost entry; `none` where nothing shows.
  public var branch: UInt16
  var nameCount: UInt8
  public var type: FileKind
  /// The type of what a branch below the top one shows of this name, `unknown` for nothing.
  public var lowerType: FileKind
  var flags: Flags

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
  private var names: [CChar] = []
  /// Branch indexes; a run for each merged directory, ended by `IndexEntry.none`.
  private var merges: [UInt16] = []
  /// Open addressing by hash: the entry's position + 1, 0 for free.
  private var slots: [UInt32] = []
  /// Visible directories, for link counts.
  public private(set) var directoryCount = 0

  public init() {}

  // MARK: Searching

  /// The position of a name's entry, visible or not; nil where there is none.
  public func find(_ bytes: UnsafeBufferPointer<CChar>, hash: UInt32) -> Int? {
    guard !slots.isEmpty else { return nil }
    let mask = slots.count - 1
    var slot = Int(hash) & mask
    while slots[slot] != 0 {
      let position = Int(slots[slot]) - 1
      if entries[position].hash == hash, isNamed(position, bytes) {
        return entries[position].flags.contains(.dead) ? nil : position
      }
      slot = (slot + 1) & mask
    }
    return nil
  }

  public func find(_ name: Name) -> Int? { find(name.bytes, hash: name.hash) }

  private func isNamed(_ position: Int, _ bytes: UnsafeBufferPointer<CChar>) -> Bool {
    let entry = entries[position]
    guard Int(entry.nameCount) == bytes.count else { return false }
    let start = Int(entry.nameOffset)
    for index in 0..<bytes.count where names[start + index] != bytes[index] { return false }
    return true
  }

  private mutating func rebuildSlots() {
    var capacity = 16
    while capacity * 5 < entries.count * 8 { capacity *= 2 }
    slots = [UInt32](repeating: 0, count: capacity)
    for position in entries.indices { place(position) }
  }

  private mutating func place(_ position: Int) {
    let mask = slots.count - 1
    var slot = Int(entries[position].hash) & mask
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = UInt32(position) + 1
  }

  // MARK: Reading

  /// Calls `body` with an entry's name, NUL-terminated.
  public func withName<Result>(
    of position: Int, _ body: (UnsafeBufferPointer<CChar>) -> Result
  ) -> Result {
    let entry = entries[position]
    return names.withUnsafeBufferPointer {
      let start = Int(entry.nameOffset)
      return body(UnsafeBufferPointer(rebasing: $0[start..<start + Int(entry.nameCount)]))
    }
  }

  /// The branches that merge into a directory, top first.
  public func branches(of position: Int) -> [UInt16] {
    let entry = entries[position]
    guard entry.merge >= 0 else { return [entry.branch] }
    var list: [UInt16] = []
    var at = Int(entry.merge)
    while merges[at] != IndexEntry.none {
      list.append(merges[at])
      at += 1
    }
    return list
  }

  /// Whether no name is visible.
  public var isEmpty: Bool { !entries.contains { $0.isVisible } }

  // MARK: Changing

  /// A new entry; the name must not be there.
  @discardableResult
  mutating func append(_ bytes: UnsafeBufferPointer<CChar>, hash: UInt32) -> Int {
    let offset = names.count
    names.append(contentsOf: bytes)
    names.append(0)
    entries.append(
      IndexEntry(
        inode: 0, nameOffset: UInt32(truncatingIfNeeded: offset), hash: hash,
        branch: IndexEntry.none, nameCount: UInt8(truncatingIfNeeded: bytes.count), type: .unknown,
        lowerType: .unknown, flags: []))
    let position = entries.count - 1
    if slots.isEmpty || entries.count * 8 > slots.count * 5 {
      rebuildSlots()
    } else {
      place(position)
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
    if !slots.isEmpty {
      let mask = slots.count - 1
      var slot = Int(hash) & mask
      while slots[slot] != 0 {
        let position = Int(slots[slot]) - 1
        if entries[position].hash == hash, isNamed(position, bytes) {
          entries[position].flags.remove(.dead)
          return position
        }
        slot = (slot + 1) & mask
      }
    }
    return append(bytes, hash: hash)
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
    entries[position].merge = -1
    entries[position].topWhiteouts = whiteouts
    if whiteouts.isEmpty && !entries[position].lowerShows {
      entries[position].flags.insert(.dead)
    }
  }

  /// Everything that shows is on the top branch alone from now on, and nothing lies below. Entries keep
  /// their places.
  public mutating func detachFromLower() {
    merges = []
    for position in entries.indices {
      entries[position].merge = -1
      entries[position].lowerType = .unknown
      entries[position].topWhiteouts = []
      if entries[position].isVisible {
        entries[position].branch = 0
      } else {
        entries[position].flags.insert(.dead)
      }
    }
  }

  mutating func setBranches(_ position: Int, _ branches: [UInt16]) {
    guard branches.count > 1 else {
      entries[position].merge = -1
      return
    }
    entries[position].merge = Int32(truncatingIfNeeded: merges.count)
    merges += branches
    merges.append(IndexEntry.none)
  }

  /// Changes an entry while the index is being made.
  mutating func update(_ position: Int, _ change: (inout IndexEntry) -> Void) {
    change(&entries[position])
  }

  mutating func finish(directories: Int) { directoryCount = directories }
}
