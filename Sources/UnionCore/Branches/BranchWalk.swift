internal import SystemPackage

/// One branch's share in a directory.
protocol BranchPart {
  /// The branch's index.
  var branch: Int { get }
}

extension DirectoryPart: BranchPart {}
extension LayerPart: BranchPart {}

/// The directories that a walk is in, the innermost last.
struct WalkPlace<Node, Part: BranchPart> {
  struct Frame {
    var node: Node
    var parts: [Part]
    /// Whether the walk is in the directory, for each part.
    var isOpen: [Bool]
    var children: [(node: Node, parts: [Part])] = []
    var next = 0
  }

  fileprivate(set) var frames: [Frame] = []
  /// Branches that the walk has lost its way in.
  fileprivate var lost: Set<Int> = []
}

/// One pass over several branches, directory by directory, each branch only where it has the directory. No
/// recursion and one descriptor a branch, so depth has no limit.
protocol BranchWalk {
  /// What tells one directory from another.
  associatedtype Node
  associatedtype Part: BranchPart

  var place: WalkPlace<Node, Part> { get set }

  /// Goes into a directory of the current one. On an error nothing changes.
  func enter(_ node: Node, in branch: Int) throws(Errno)
  /// Goes back up. On an error the branch is lost to the walk.
  func leave(_ branch: Int) throws(Errno)
  /// Looks at the innermost directory.
  ///
  /// - Parameter isReadable: for each part whether the walk is in it.
  /// - Returns: the directories in it, to be walked through in that order.
  mutating func examine(
    _ node: Node, _ parts: [Part], isReadable: [Bool]
  ) -> [(node: Node, parts: [Part])]
  /// A directory of the current one cannot be walked through.
  mutating func note(_ error: Errno, at node: Node, in branch: Int)
}

extension BranchWalk {
  /// Walks from the roots, in which all branches are.
  mutating func walk(_ root: Node, _ parts: [Part]) {
    push(WalkPlace.Frame(node: root, parts: parts, isOpen: parts.map { _ in true }))
    while let frame = place.frames.last {
      guard frame.next < frame.children.count else {
        pop(frame)
        continue
      }
      let child = frame.children[frame.next]
      place.frames[place.frames.count - 1].next += 1
      enter(child.node, child.parts)
    }
  }

  private mutating func push(_ frame: WalkPlace<Node, Part>.Frame) {
    place.frames.append(frame)
    let isReadable = zip(frame.parts, frame.isOpen).map { part, isOpen in
      isOpen && !place.lost.contains(part.branch)
    }
    let children = examine(frame.node, frame.parts, isReadable: isReadable)
    place.frames[place.frames.count - 1].children = children
  }

  private mutating func enter(_ node: Node, _ parts: [Part]) {
    var isOpen: [Bool] = []
    for part in parts {
      guard !place.lost.contains(part.branch) else {
        isOpen.append(false)
        continue
      }
      do throws(Errno) {
        try enter(node, in: part.branch)
        isOpen.append(true)
      } catch {
        isOpen.append(false)
        note(error, at: node, in: part.branch)
      }
    }
    push(WalkPlace.Frame(node: node, parts: parts, isOpen: isOpen))
  }

  private mutating func pop(_ frame: WalkPlace<Node, Part>.Frame) {
    place.frames.removeLast()
    if place.frames.isEmpty { return }
    for (part, isOpen) in zip(frame.parts, frame.isOpen)
    where isOpen && !place.lost.contains(part.branch) {
      do throws(Errno) { try leave(part.branch) } catch {
        place.lost.insert(part.branch)
        note(error, at: frame.node, in: part.branch)
      }
    }
  }
}
