internal import SystemCalls

/// What one layer of a stack adds, changes, removes and wastes. Bytes are those of regular files, each
/// inode once in a layer; what is no directory is a file.
public struct LayerFigures: Sendable, Equatable {
  /// Names and bytes.
  public struct Sum: Sendable, Equatable {
    public var names = 0
    public var bytes: Int64 = 0

    mutating func add(_ size: Int64) {
      names += 1
      bytes = bytes.adding(size)
    }
  }

  /// What lies in the layer.
  public var files = Sum()
  public var directories = 0
  /// Files and directories that the layers below do not show.
  public var added = 0
  /// Files that take another's place, and directories whose mode or owner changes.
  public var changed = 0
  /// Of the changed files those whose size and time stayed: only mode or owner changed, or nothing that
  /// can be told. A copy for nothing.
  public var attributeCopies = Sum()
  public var identicalCopies = Sum()
  /// What the layer takes out of the view of the layers below.
  public var removedFiles = Sum()
  public var removedDirectories = 0
  /// What it hides below by an entry of its own.
  public var replacedFiles = Sum()
  /// What of the layer is not seen any more.
  public var wasted = Sum()
  /// What of the layer the union shows.
  public var visibleFiles = Sum()
  public var visibleDirectories = 0
  public var whiteouts = 0
  public var opaqueDirectories = 0

  public init() {}
}

/// A stack of layers, read once.
public struct LayerAnalysis: Sendable {
  public let tree: LayerTree
  /// Top first, as the branches.
  public let layers: [LayerFigures]
  /// The first of what could not be read, and how much that was.
  public let problems: [LayerProblem]
  public let problemCount: Int

  public init(_ branches: BranchSet) {
    var walk = LayerWalk(branches)
    walk.run()
    tree = walk.tree
    problems = walk.problems
    problemCount = walk.problemCount
    var layers = Self.figures(of: walk.tree, layers: branches.count)
    for index in layers.indices {
      layers[index].whiteouts = walk.whiteouts[index]
      layers[index].opaqueDirectories = walk.opaques[index]
    }
    self.layers = layers
  }

  /// All layers' together; what one removes and replaces is counted there too.
  public var storedBytes: Int64 { layers.reduce(0) { $0.adding($1.files.bytes) } }
  public var visibleBytes: Int64 { layers.reduce(0) { $0.adding($1.visibleFiles.bytes) } }
  public var wastedBytes: Int64 { layers.reduce(0) { $0.adding($1.wasted.bytes) } }
  public var visibleFiles: Int { layers.reduce(0) { $0 + $1.visibleFiles.names } }
  public var visibleDirectories: Int { layers.reduce(0) { $0 + $1.visibleDirectories } }
  /// Visible bytes as a part of the stored ones; 1 where nothing is stored.
  public var efficiency: Double {
    storedBytes == 0 ? 1 : Double(visibleBytes) / Double(storedBytes)
  }

  static func figures(of tree: LayerTree, layers count: Int) -> [LayerFigures] {
    var layers = Array(repeating: LayerFigures(), count: count)
    for node in 1..<max(1, tree.nodes.count) {
      var above: LayerCopy?
      for copy in tree.copies(of: node) {
        layers[Int(copy.layer)].count(copy)
        if copy.isWasted {
          // Parts of a directory that go together are one name.
          let isSame = above.map { $0.fate == copy.fate && $0.hider == copy.hider } ?? false
          layers[Int(copy.hider)].countHidden(copy, isSame: isSame)
        }
        above = copy
      }
    }
    return layers
  }
}

extension LayerFigures {
  mutating func count(_ copy: LayerCopy) {
    let isDirectory = copy.kind == .directory
    if isDirectory { directories += 1 } else { files.add(copy.size) }
    switch copy.change {
    case .added: added += 1
    case .changed: changed += 1
    case .attributes:
      changed += 1
      if !isDirectory { attributeCopies.add(copy.size) }
    case .identical:
      changed += 1
      identicalCopies.add(copy.size)
    case .passes: break
    }
    switch copy.fate {
    case .visible: if isDirectory { visibleDirectories += 1 } else { visibleFiles.add(copy.size) }
    case .merged: break
    case .replaced, .removed: if !isDirectory { wasted.add(copy.size) }
    }
  }

  /// - Parameter isSame: whether the copy above went with this one.
  mutating func countHidden(_ copy: LayerCopy, isSame: Bool) {
    switch (copy.fate, copy.kind == .directory) {
    case (.removed, true): if !isSame { removedDirectories += 1 }
    case (.removed, false): removedFiles.add(copy.size)
    case (.replaced, false): replacedFiles.add(copy.size)
    default: break
    }
  }
}

// MARK: The largest

extension LayerAnalysis {
  /// A name and the bytes of it that are not seen.
  public struct Waster: Sendable, Equatable {
    public var node: Int
    public var bytes: Int64
  }

  /// The names with the most bytes that are not seen, most first.
  public func wasters(_ limit: Int) -> [Waster] {
    var best = Best<Waster>(limit: limit) { ($0.bytes, $1.node) > ($1.bytes, $0.node) }
    for node in 1..<max(1, tree.nodes.count) {
      let bytes = tree.copies(of: node).reduce(Int64(0)) {
        $1.isWasted ? $0.adding($1.size) : $0
      }
      if bytes > 0 { best.add(Waster(node: node, bytes: bytes)) }
    }
    return best.sorted
  }

  /// A layer's copy of a name.
  public struct Largest: Sendable, Equatable {
    public var node: Int
    public var copy: LayerCopy
  }

  /// The largest files, whether they are seen or not: of all layers, and of each.
  public func largest(_ limit: Int) -> (all: [Largest], byLayer: [[Largest]]) {
    var all = Best<Largest>(limit: limit, precedes: Self.isLarger)
    var byLayer = layers.map { _ in all }
    for node in 1..<max(1, tree.nodes.count) {
      for copy in tree.copies(of: node) where copy.size > 0 {
        all.add(Largest(node: node, copy: copy))
        byLayer[Int(copy.layer)].add(Largest(node: node, copy: copy))
      }
    }
    return (all.sorted, byLayer.map(\.sorted))
  }

  private static func isLarger(_ a: Largest, _ b: Largest) -> Bool {
    (a.copy.size, b.node, b.copy.layer) > (b.copy.size, a.node, a.copy.layer)
  }
}

/// The first of many in an order, without sorting all of them.
private struct Best<Element> {
  let limit: Int
  let precedes: (Element, Element) -> Bool
  private var kept: [Element] = []

  init(limit: Int, precedes: @escaping (Element, Element) -> Bool) {
    self.limit = max(0, limit)
    self.precedes = precedes
  }

  mutating func add(_ element: Element) {
    kept.append(element)
    if kept.count / 2 > limit, kept.count > 64 { kept = sorted }
  }

  var sorted: [Element] { Array(kept.sorted(by: precedes).prefix(limit)) }
}

extension Int64 {
  /// The sum, or the largest number: sizes come from disks.
  func adding(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
