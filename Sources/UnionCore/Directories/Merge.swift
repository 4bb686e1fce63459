public import SystemCalls

/// Makes a directory's index from the listings of its branches, top first. The rule of `resolve`,
/// for all names at once; no I/O of its own.
public struct Merge {
  private var index = NameIndex(growing: ())
  private var branch: UInt16 = 0
  private var isTop = false
  private var honoursWhiteouts = false
  /// Names hidden below the branch at hand; they take effect when it ends.
  private var whiteouts: [CChar] = []
  private var whiteoutEnds: [(end: Int, isInPlace: Bool)] = []
  /// The branches of directories that merge, by entry.
  private var merges: [Int: [UInt16]] = [:]
  /// Whether the branch at hand is opaque: the last one that counts.
  public private(set) var isOpaque = false

  /// Whether whiteouts are entries too.
  let showsWhiteouts: Bool

  public init(showingWhiteouts: Bool = false) { showsWhiteouts = showingWhiteouts }

  /// Begins the next branch down.
  ///
  /// - Parameters:
  ///   - branch: the union's index of it.
  ///   - isTop: whether it is the writable top branch, whose whiteouts the union itself keeps.
  public mutating func begin(branch: UInt16, isTop: Bool, honoursWhiteouts: Bool) {
    self.branch = branch
    self.isTop = isTop
    self.honoursWhiteouts = honoursWhiteouts
  }

  /// An entry of the branch at hand with the inode number that the union shows for it.
  public mutating func add(
    _ bytes: UnsafeBufferPointer<CChar>, type: FileKind, inode: UInt64
  ) {
    let hash = bytes.nameHash
    guard let position = index.find(bytes, hash: hash) else {
      index.append(bytes, hash: hash) {
        $0.branch = branch
        $0.type = type
        $0.inode = inode
        if !isTop { $0.lowerType = type }
        if type != .directory { $0.flags.insert([.closed]) }
        if !isTop && type != .directory { $0.flags.insert(.lowerClosed) }
      }
      return
    }
    addBelow(position, type: type, inode: inode)
  }

  private mutating func addBelow(_ position: Int, type: FileKind, inode: UInt64) {
    let entry = index.entries[position]
    var merges = false
    index.update(position) {
      if !isTop && !entry.flags.contains(.lowerClosed) {
        if entry.lowerType == .unknown { $0.lowerType = type }
        if type != .directory { $0.flags.insert(.lowerClosed) }
      }
      guard !entry.flags.contains(.closed) else { return }
      if entry.branch == IndexEntry.none {
        $0.branch = branch
        $0.type = type
        $0.inode = inode
      } else {
        merges = type == .directory
      }
      if type != .directory { $0.flags.insert(.closed) }
    }
    if merges { self.merges[position, default: [entry.branch]].append(branch) }
  }

  /// A whiteout in the branch at hand.
  ///
  /// - Parameter isInPlace: it has the name itself, as overlayfs's have.
  public mutating func addWhiteout(
    of bytes: UnsafeBufferPointer<CChar>, isInPlace: Bool = false
  ) {
    guard honoursWhiteouts else { return }
    whiteouts.append(contentsOf: bytes)
    whiteoutEnds.append((whiteouts.count, isInPlace))
  }

  /// What has a whiteout's name in the branch at hand, but is no regular file. It is an error of that name
  /// alone, unless a branch above has the say.
  public mutating func addBroken(_ bytes: UnsafeBufferPointer<CChar>) {
    guard honoursWhiteouts else { return }
    let hash = bytes.nameHash
    let position = index.find(bytes, hash: hash) ?? index.append(bytes, hash: hash)
    if index.entries[position].flags.contains(.closed) { return }
    index.update(position) { $0.flags.insert(.broken) }
  }

  /// The branch at hand is opaque, by `.wh..wh..opq` or by an attribute.
  public mutating func addOpaque() { if honoursWhiteouts { isOpaque = true } }

  /// The branch at hand ends; its whiteouts hide from now on.
  public mutating func endBranch() {
    let bytes = whiteouts
    var start = 0
    bytes.withUnsafeBufferPointer { all in
      for (end, isInPlace) in whiteoutEnds {
        hideBelow(UnsafeBufferPointer(rebasing: all[start..<end]), isInPlace: isInPlace)
        start = end
      }
    }
    whiteouts.removeAll(keepingCapacity: true)
    whiteoutEnds.removeAll(keepingCapacity: true)
  }

  private mutating func hideBelow(_ bytes: UnsafeBufferPointer<CChar>, isInPlace: Bool) {
    let hash = bytes.nameHash
    let position = index.find(bytes, hash: hash) ?? index.append(bytes, hash: hash)
    index.update(position) {
      $0.flags.insert(.closed)
      if isTop {
        $0.topWhiteouts.insert(isInPlace ? .overlay : .aufs)
      } else {
        $0.flags.insert(.lowerClosed)
      }
    }
  }

  /// The finished index.
  public consuming func finish() -> NameIndex {
    var directories = 0
    for position in index.entries.indices {
      let entry = index.entries[position]
      if entry.branch != IndexEntry.none {
        if entry.type == .directory { directories += 1 }
      } else if !entry.hasTopWhiteout && !entry.lowerShows && !entry.isBroken {
        index.update(position) { $0.flags.insert(.dead) }
      }
    }
    index.finish(directories: directories, merges: merges)
    return index
  }
}
