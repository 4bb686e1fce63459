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

/// Reads every layer of a stack once, directory by directory, each layer only where it has the
/// directory. No recursion and one descriptor a layer, so depth has no limit; no symbolic link is
/// followed.
struct LayerWalk {
  private struct Frame {
    var node: Int
    var parts: [LayerPart]
    var isOpen: [Bool]
    var children: [(node: Int, parts: [LayerPart])] = []
    var next = 0
  }

  /// A file that several names of a layer share.
  private struct File: Hashable {
    var layer: UInt16
    var device: UInt64
    var inode: UInt64
  }

  private let cursors: [BranchCursor]
  private let honours: [Bool]
  private var frames: [Frame] = []
  private var lost: Set<Int> = []
  private var linked: [File: Int] = [:]
  private(set) var tree = LayerTree()
  private(set) var whiteouts: [Int]
  private(set) var opaques: [Int]
  private(set) var problems: [LayerProblem] = []
  private(set) var problemCount = 0

  static let problemLimit = 100

  init(_ branches: BranchSet) {
    cursors = branches.branches.map(BranchCursor.init)
    honours = branches.branches.map(\.honoursWhiteouts)
    whiteouts = Array(repeating: 0, count: branches.count)
    opaques = whiteouts
  }

  mutating func run() {
    let roots = LayerPart.roots(honouringWhiteouts: honours)
    frames = [Frame(node: 0, parts: roots, isOpen: roots.map { _ in true })]
    examineTop()
    while let frame = frames.last {
      guard frame.next < frame.children.count else {
        leave(frame)
        continue
      }
      let child = frame.children[frame.next]
      frames[frames.count - 1].next += 1
      enter(child.node, child.parts)
    }
    linked = [:]
  }

  private mutating func enter(_ node: Int, _ parts: [LayerPart]) {
    let name = Array(tree.name(of: node))
    var isOpen: [Bool] = []
    for part in parts {
      guard !lost.contains(part.branch) else {
        isOpen.append(false)
        continue
      }
      do throws(Errno) {
        try cursors[part.branch].enter(name)
        isOpen.append(true)
      } catch {
        isOpen.append(false)
        note(error, at: node, in: part.branch)
      }
    }
    frames.append(Frame(node: node, parts: parts, isOpen: isOpen))
    examineTop()
  }

  private mutating func leave(_ frame: Frame) {
    frames.removeLast()
    if frames.isEmpty { return }
    for (part, isOpen) in zip(frame.parts, frame.isOpen)
    where isOpen && !lost.contains(part.branch) {
      do throws(Errno) { try cursors[part.branch].leave() } catch {
        lost.insert(part.branch)
        note(error, at: frame.node, in: part.branch)
      }
    }
  }

  private mutating func examineTop() {
    let position = frames.count - 1
    let frame = frames[position]
    var listings: [LayerListing?] = []
    for (part, isOpen) in zip(frame.parts, frame.isOpen) {
      var listing: LayerListing?
      if isOpen, !lost.contains(part.branch) {
        do throws(Errno) {
          let found = try LayerListing(
            of: cursors[part.branch].descriptor, honoursWhiteouts: part.honoursWhiteouts)
          whiteouts[part.branch] += found.whiteouts
          if found.isOpaque { opaques[part.branch] += 1 }
          listing = found
        } catch {
          note(error, at: frame.node, in: part.branch)
        }
      }
      listings.append(listing)
    }
    let rules = LayerRules(frame.parts, listings)
    var children: [(node: Int, parts: [LayerPart])] = []
    var hasRoom = true
    rules.forEachName { name, row in
      hasRoom = tree.hasRoom
      guard hasRoom else { return }
      let node = tree.append(name, to: frame.node, copies: row.copies.reversed())
      countOnce(row, node)
      let parts = rules.parts(of: row)
      if !parts.isEmpty { children.append((node, parts)) }
    }
    if !hasRoom { note(.noMemory, at: frame.node, in: frame.parts.first?.branch ?? 0) }
    frames[position].children = children
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

  private mutating func note(_ error: Errno, at node: Int, in layer: Int) {
    problemCount += 1
    if problems.count < Self.problemLimit {
      problems.append(LayerProblem(layer: layer, path: tree.path(of: node), error: error))
    }
  }
}
