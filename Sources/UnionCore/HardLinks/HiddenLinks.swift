internal import Synchronization
internal import SystemCalls
public import SystemPackage

/// How many names of hard-linked lower files the view does not show: whiteouts, opaque directories and
/// other entries hide them, as every layer that removes one of several links does. A file's own link
/// count tells of those names too.
///
/// Found out once, when the first such file is met, by one pass over the directories that lie in
/// several branches and over what is hidden; nothing else can hide a name. What this mount hides
/// afterwards is counted by the inode table. No name comes or goes during the pass: a directory that is
/// read while its entry becomes a whiteout may show neither.
///
/// Lock order: `lock`, then `changes`. Whoever changes names takes `changes` after the directories'
/// locks and waits for nothing while holding it.
public final class HiddenLinks: @unchecked Sendable {
  private let branches: BranchSet
  private let numbers: InodeNumbers
  /// Held over the pass: who asks needs its result.
  private let lock = Lock()
  private var counts: [UInt64: UInt64]?
  /// Held to read over a change of names on disk, to write over the pass.
  private let changes = ReadWriteLock()
  private let hasCounted = Atomic<Bool>(false)

  public init(_ branches: BranchSet, numbers: InodeNumbers) {
    self.branches = branches
    self.numbers = numbers
  }

  deinit {
    lock.destroy()
    changes.destroy()
  }

  /// Whether an answer costs nothing.
  public var isKnown: Bool { hasCounted.load(ordering: .acquiring) }

  /// Does what hides or shows names on disk, before the pass or after it.
  public func whileChanging(_ body: () throws(Errno) -> Void) throws(Errno) {
    if isKnown { return try body() }
    changes.lockToRead()
    defer { changes.unlock() }
    try body()
  }

  /// The hidden names of the file that the union shows under a number.
  public func count(of number: UInt64) throws(Errno) -> UInt64 {
    lock.lock()
    defer { lock.unlock() }
    if let counts { return counts[number] ?? 0 }
    changes.lockToWrite()
    defer { changes.unlock() }
    var survey = HiddenLinkSurvey(branches, numbers: numbers)
    try survey.run()
    counts = survey.counts
    hasCounted.store(true, ordering: .releasing)
    return survey.counts[number] ?? 0
  }
}

/// The pass. No recursion and one descriptor a branch, so depth has no limit.
struct HiddenLinkSurvey {
  /// A branch's part of a directory.
  struct Part {
    var branch: Int
    /// Nothing of it shows.
    var isHidden: Bool
  }

  private struct Frame {
    var parts: [Part]
    var children: [(name: [UInt8], parts: [Part])] = []
    var next = 0
  }

  /// What the branches above have of a name.
  private enum Above { case directory, covered }

  private let branches: BranchSet
  private let numbers: InodeNumbers
  private let cursors: [BranchCursor]
  private var frames: [Frame] = []
  /// By the union's inode number.
  private(set) var counts: [UInt64: UInt64] = [:]

  init(_ branches: BranchSet, numbers: InodeNumbers) {
    self.branches = branches
    self.numbers = numbers
    cursors = branches.branches.map(BranchCursor.init)
  }

  mutating func run() throws(Errno) {
    frames = [Frame(parts: branches.branches.map { Part(branch: $0.index, isHidden: false) })]
    try examineTop()
    while let frame = frames.last {
      guard frame.next < frame.children.count else {
        frames.removeLast()
        if frames.isEmpty { return }
        for part in frame.parts { try cursors[part.branch].leave() }
        continue
      }
      let child = frame.children[frame.next]
      frames[frames.count - 1].next += 1
      var parts: [Part] = []
      for part in child.parts
      where try tolerant({ () throws(Errno) in try cursors[part.branch].enter(child.name) }) {
        parts.append(part)
      }
      frames.append(Frame(parts: parts))
      try examineTop()
    }
  }

  private mutating func examineTop() throws(Errno) {
    let position = frames.count - 1
    var above: [[UInt8]: Above] = [:]
    var children: [[UInt8]: [Part]] = [:]
    var isCovered = false
    for part in frames[position].parts {
      var listing = DirectoryListing()
      guard
        try tolerant({ () throws(Errno) in
          listing = try DirectoryListing(
            of: cursors[part.branch].descriptor, branches[part.branch])
        })
      else { continue }
      let isHidden = part.isHidden || isCovered
      try examine(listing, part.branch, isHidden: isHidden, above, &children)
      if isHidden { continue }
      guard part.branch != frames[position].parts.last?.branch else { break }
      cover(&above, with: listing, of: part.branch)
      isCovered = branches[part.branch].honoursWhiteouts && listing.hidesBelow
    }
    frames[position].children = children.filter { entry in
      entry.value.count > 1 || entry.value.contains(where: \.isHidden)
    }.map { ($0.key, $0.value) }
  }

  /// Counts what is hidden of one part, and notes its directories.
  private mutating func examine(
    _ listing: DirectoryListing, _ branch: Int, isHidden: Bool, _ above: [[UInt8]: Above],
    _ children: inout [[UInt8]: [Part]]
  ) throws(Errno) {
    var hidden: [[UInt8]] = []
    listing.forEachEntry { name, entry in
      let name = Array(name)
      if entry.kind == .directory {
        children[name, default: []].append(
          Part(branch: branch, isHidden: isHidden || above[name] == .covered))
      } else if isHidden || above[name] != nil {
        hidden.append(name)
      }
    }
    for name in hidden { try count(name, in: branch) }
  }

  private mutating func count(_ name: [UInt8], in branch: Int) throws(Errno) {
    var found: Attributes?
    _ = try tolerant { () throws(Errno) in
      found = try FileSystemCall.statusIfThere(
        at: cursors[branch].descriptor, name.map { CChar(bitPattern: $0) } + [0])
    }
    // A file system that is mounted inside a branch is left out: nothing links across.
    guard let found, found.linkCount > 1, !found.isDirectory,
      found.device == branches[branch].rootAttributes.device
    else { return }
    let number = numbers.number(branch: branch, device: found.device, inode: found.inode)
    counts[number, default: 0] += 1
  }

  /// What a part that shows does to those below it.
  private func cover(
    _ above: inout [[UInt8]: Above], with listing: DirectoryListing, of branch: Int
  ) {
    listing.forEachEntry { name, entry in
      let name = Array(name)
      if above[name] == nil { above[name] = entry.kind == .directory ? .directory : .covered }
    }
    guard branches[branch].honoursWhiteouts else { return }
    for whiteout in listing.whiteouts { above[whiteout.hides] = .covered }
  }

  /// False where something went meanwhile or may not be read: what cannot be seen hides nothing.
  private func tolerant(_ body: () throws(Errno) -> Void) throws(Errno) -> Bool {
    do throws(Errno) {
      try body()
      return true
    } catch {
      switch error {
      case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels, .permissionDenied,
        .notPermitted, .staleNFSFileHandle:
        return false
      default: throw error
      }
    }
  }
}
