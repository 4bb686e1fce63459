internal import SystemCalls
public import SystemPackage

/// What of a layer could not be read; its figures lack what is in it.
public struct LayerProblem: Sendable, Equatable {
  /// The branch's index.
  public var layer: Int
  /// Below the branch; empty for its root.
  public var path: [UInt8]
  public var error: Errno
}

/// Reads every layer of a stack once; no symbolic link is followed.
struct LayerWalk {
  /// A file that several names of a layer share.
  private struct File: Hashable {
    var layer: UInt16
    var device: UInt64
    var inode: UInt64
  }

  private let cursors: [BranchCursor]
  private let branches: BranchSet
  var place = WalkPlace<Int, LayerPart>()
  private var linked: [File: Int] = [:]
  private(set) var tree = LayerTree()
  private(set) var whiteouts: [Int]
  private(set) var opaques: [Int]
  private(set) var problems: [LayerProblem] = []
  private(set) var problemCount = 0

  static let problemLimit = 100

  init(_ branches: BranchSet) {
    cursors = branches.branches.map(BranchCursor.init)
    self.branches = branches
    whiteouts = Array(repeating: 0, count: branches.count)
    opaques = whiteouts
  }

  mutating func run() {
    let roots = LayerPart.roots(honouringWhiteouts: branches.branches.map(\.honoursWhiteouts))
    walk(0, roots)
    linked = [:]
  }

  /// The bytes of a file with several names are the name's that is shown longest.
  private mutating func countOnce(_ row: LayerRules.Row, _ node: Int) {
    let range = tree.copyRange(of: node)
    for (position, entry) in row.entries.enumerated()
    where entry.kind == .regular && entry.linkCount > 1 {
      let copy = range.upperBound - 1 - position
      let file = File(
        layer: tree.copies[copy].layer, device: entry.device, inode: entry.inode)
      guard let other = linked[file] else {
        linked[file] = copy
        continue
      }
      var dropped = copy
      if Self.lasts(tree.copies[copy], longerThan: tree.copies[other]) {
        dropped = other
        linked[file] = copy
      }
      tree.copies[dropped].size = 0
      tree.copies[dropped].isLink = true
    }
  }

  private static func lasts(_ copy: LayerCopy, longerThan other: LayerCopy) -> Bool {
    if !copy.isWasted { return other.isWasted }
    return other.isWasted && copy.hider < other.hider
  }
}

extension LayerWalk: BranchWalk {
  func enter(_ node: Int, in layer: Int) throws(Errno) {
    try cursors[layer].enter(Array(tree.name(of: node)))
  }

  func leave(_ layer: Int) throws(Errno) { try cursors[layer].leave() }

  mutating func examine(
    _ node: Int, _ parts: [LayerPart], isReadable: [Bool]
  ) -> [(node: Int, parts: [LayerPart])] {
    var listings: [LayerListing?] = []
    for (part, isReadable) in zip(parts, isReadable) {
      var listing: LayerListing?
      if isReadable {
        do throws(Errno) { listing = try list(part) } catch {
          note(error, at: node, in: part.branch)
        }
      }
      listings.append(listing)
    }
    let rules = LayerRules(parts, listings)
    var children: [(node: Int, parts: [LayerPart])] = []
    var hasRoom = true
    rules.forEachName { name, row in
      hasRoom = tree.hasRoom
      guard hasRoom else { return }
      let child = tree.append(name, to: node, copies: row.copies.reversed())
      countOnce(row, child)
      let parts = rules.parts(of: row)
      if !parts.isEmpty { children.append((child, parts)) }
    }
    if !hasRoom { note(.noMemory, at: node, in: parts.first?.branch ?? 0) }
    return children
  }

  private mutating func list(_ part: LayerPart) throws(Errno) -> LayerListing {
    let listing = try LayerListing(
      of: cursors[part.branch].descriptor, branches[part.branch])
    whiteouts[part.branch] += listing.whiteouts
    if listing.isOpaque { opaques[part.branch] += 1 }
    return listing
  }

  mutating func note(_ error: Errno, at node: Int, in layer: Int) {
    problemCount += 1
    if problems.count < Self.problemLimit {
      problems.append(LayerProblem(layer: layer, path: tree.path(of: node), error: error))
    }
  }
}
