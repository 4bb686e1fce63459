public import SystemCalls

/// One layer's copy of a name: what it did to the view of the layers below, and what became of it.
public struct LayerCopy: Sendable, Equatable {
  /// What the layer did with it to what the layers below it show.
  public enum Change: UInt8, Sendable, CaseIterable {
    /// They do not show the name.
    case added
    /// Another content or type.
    case changed
    /// The same size and modification time, but another mode or owner: a whole copy for that. A
    /// directory that changes mode or owner alone.
    case attributes
    /// The same size, modification time, mode and owner.
    case identical
    /// A directory that is there for what is in it.
    case passes
  }

  /// What became of it in the layers above.
  public enum Fate: UInt8, Sendable, CaseIterable {
    /// The union shows it.
    case visible
    /// A directory that merges into one above.
    case merged
    /// A layer above has another of the same path.
    case replaced
    /// A layer above deletes it, or a directory that it is in.
    case removed
  }

  /// The branch's index; 0 is the top.
  public var layer: UInt16
  /// The layer that hides it, where one does.
  public var hider: UInt16
  public var kind: FileKind
  public var change: Change
  public var fate: Fate
  /// Whether another name of the layer counts the file's bytes: a hard link.
  public var isLink = false
  /// Bytes of a regular file, each inode once in a layer; 0 for others.
  public var size: Int64

  /// Stored, but not shown.
  public var isWasted: Bool { fate == .replaced || fate == .removed }
}

/// Every name of a stack of layers with every layer's copy of it. A directory's names stand together,
/// sorted by their bytes; flat arrays, so that a million names take some 60 MB.
public struct LayerTree: Sendable {
  public struct Node: Sendable, BitwiseCopyable {
    public internal(set) var parent: UInt32
    var nameEnd: UInt32
    var copyEnd: UInt32
    public internal(set) var firstChild: UInt32 = 0
    public internal(set) var childCount: UInt32 = 0
  }

  /// The first is the root, which has no name and no copies.
  public private(set) var nodes: [Node] = [Node(parent: 0, nameEnd: 0, copyEnd: 0)]
  private var names: [UInt8] = []
  /// By node; of a node the top layer's first.
  public internal(set) var copies: [LayerCopy] = []

  public init() {}

  /// The names without the root.
  public var count: Int { nodes.count - 1 }

  public func name(of node: Int) -> ArraySlice<UInt8> {
    node == 0 ? [] : names[Int(nodes[node - 1].nameEnd)..<Int(nodes[node].nameEnd)]
  }

  public func copies(of node: Int) -> ArraySlice<LayerCopy> { copies[copyRange(of: node)] }

  public func copyRange(of node: Int) -> Range<Int> {
    node == 0 ? 0..<0 : Int(nodes[node - 1].copyEnd)..<Int(nodes[node].copyEnd)
  }

  public func children(of node: Int) -> Range<Int> {
    let first = Int(nodes[node].firstChild)
    return first..<(first + Int(nodes[node].childCount))
  }

  /// The path below the root, without a leading slash.
  public func path(of node: Int) -> [UInt8] {
    var chain: [Int] = []
    var at = node
    while at != 0 {
      chain.append(at)
      at = Int(nodes[at].parent)
    }
    return Array(chain.reversed().map { name(of: $0) }.joined(separator: [UInt8(ascii: "/")]))
  }

  /// Whether another name has room, with a copy in each of 65,535 layers. More than four billion bytes of
  /// names have none.
  var hasRoom: Bool {
    let limit = Int(UInt32.max) - Int(UInt16.max)
    return names.count < limit && copies.count < limit && nodes.count < limit
  }

  /// Adds a name below `parent`, whose names are added one after the other. Answers its node.
  mutating func append(
    _ name: UnsafeBufferPointer<UInt8>, to parent: Int, copies new: ReversedCollection<[LayerCopy]>
  ) -> Int {
    let node = nodes.count
    names.append(contentsOf: name)
    copies.append(contentsOf: new)
    nodes.append(
      Node(
        parent: UInt32(truncatingIfNeeded: parent),
        nameEnd: UInt32(truncatingIfNeeded: names.count),
        copyEnd: UInt32(truncatingIfNeeded: copies.count)))
    if nodes[parent].childCount == 0 {
      nodes[parent].firstChild = UInt32(truncatingIfNeeded: node)
    }
    nodes[parent].childCount += 1
    return node
  }
}
