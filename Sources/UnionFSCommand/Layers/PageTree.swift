internal import SystemCalls
internal import UnionCore

/// A stack's names as a page holds them, in the order of a walk: `names` joined by `/`, and for each a few
/// bytes of numbers (7 bits a byte, the lowest first, the eighth says that more follow).
///
/// ```
/// head      kind (3 bits) and, as 8, "plain": one copy, added and visible, of the layer of the copy before
/// children  of a directory: how many follow
/// size      of a plain file; otherwise
/// copies    how many, the top layer's first; each:
///   layer   0 is the bottom
///   what    change (3 bits), fate << 3, link << 5, kind of the copy << 6
///   hider   unless it is visible
///   names   of a rest: how many
///   size    of a file or a rest
/// ```
struct PageTree {
  private enum Kind: UInt8 {
    case file, directory, symbolicLink, special
    /// What of a directory is too small for the page, by layer and fate.
    case rest = 7
  }

  /// What is summed for a rest.
  private struct Heap: Hashable, Comparable {
    var layer: UInt16
    var fate: UInt8
    var hider: UInt16

    static func < (a: Heap, b: Heap) -> Bool {
      (a.layer, a.fate, a.hider) < (b.layer, b.fate, b.hider)
    }
  }

  private let tree: LayerTree
  private let layers: Int
  private(set) var bytes: [UInt8] = []
  private var nameBytes: [UInt8] = []
  private var lastLayer = 0
  /// The names in the page, the root and the rests included.
  private(set) var count = 0
  /// The names that are summed.
  private(set) var folded = 0
  /// For each name whether it is in the page; empty where all are.
  private var isKept: [Bool] = []
  private var rests: [Int: [Heap: (names: Int, bytes: Int64)]] = [:]

  var names: String { String(decoding: nameBytes, as: UTF8.self) }

  init(_ tree: LayerTree, layers: Int, limit: Int) {
    self.tree = tree
    self.layers = layers
    if tree.count > limit { fold(limit) }
    writeAll()
  }

  // MARK: What is too small

  /// Keeps the names that hold the most bytes, all layers' copies of all that is in them together. A
  /// directory holds no less than what is in it, so it is kept with it.
  private mutating func fold(_ limit: Int) {
    var weights = [Int64](repeating: 0, count: tree.nodes.count)
    for node in tree.nodes.indices.dropFirst().reversed() {
      let own = tree.copies(of: node).reduce(Int64(0)) { Self.sum($0, $1.size) }
      weights[node] = Self.sum(weights[node], own)
      let parent = Int(tree.nodes[node].parent)
      weights[parent] = Self.sum(weights[parent], weights[node])
    }
    let threshold = max(0, weights.dropFirst().sorted(by: >)[limit])
    isKept = weights.map { $0 > threshold }
    isKept[0] = true
    var keepers = Array(tree.nodes.indices)
    for node in tree.nodes.indices where !isKept[node] {
      keepers[node] = keepers[Int(tree.nodes[node].parent)]
      folded += 1
      for copy in tree.copies(of: node) {
        let heap = Heap(layer: copy.layer, fate: copy.fate.rawValue, hider: copy.hider)
        let old = rests[keepers[node], default: [:]][heap] ?? (0, 0)
        rests[keepers[node], default: [:]][heap] = (old.names + 1, Self.sum(old.bytes, copy.size))
      }
    }
  }

  private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }

  // MARK: Writing

  private mutating func writeAll() {
    var stack = [(node: 0, next: begin(0))]
    while let (node, next) = stack.last {
      let children = tree.children(of: node)
      guard let child = (next..<children.upperBound).first(where: keeps) else {
        stack.removeLast()
        writeRest(of: node)
        continue
      }
      stack[stack.count - 1].next = child + 1
      stack.append((child, begin(child)))
    }
  }

  private func keeps(_ node: Int) -> Bool { isKept.isEmpty || isKept[node] }

  /// Writes a name; answers its first child.
  private mutating func begin(_ node: Int) -> Int {
    let children = tree.children(of: node)
    writeName(PageText.visible(tree.name(of: node)))
    let copies = tree.copies(of: node)
    let isDirectory = node == 0 || copies.contains { $0.kind == .directory }
    let kind = isDirectory ? .directory : Self.kind(copies.first?.kind ?? .unknown)
    let isPlain = node == 0 || Self.isPlain(copies, layer: layers - 1 - lastLayer)
    bytes.append(kind.rawValue | (isPlain ? 8 : 0))
    if isDirectory {
      let kept = isKept.isEmpty ? children.count : children.count { isKept[$0] }
      append(kept + (rests[node] == nil ? 0 : 1))
    }
    if isPlain {
      if kind == .file { append(copies.first?.size ?? 0) }
    } else {
      append(copies.count)
      for copy in copies { append(copy) }
    }
    return children.lowerBound
  }

  private mutating func writeName(_ name: String) {
    if count > 0 { nameBytes.append(UInt8(ascii: "/")) }
    nameBytes += name.utf8
    count += 1
  }

  private static func isPlain(_ copies: ArraySlice<LayerCopy>, layer: Int) -> Bool {
    guard copies.count == 1, let copy = copies.first else { return false }
    return Int(copy.layer) == layer && copy.change == .added && copy.fate == .visible
      && !copy.isLink
  }

  private mutating func append(_ copy: LayerCopy) {
    lastLayer = layers - 1 - Int(copy.layer)
    append(lastLayer)
    let kind = Self.kind(copy.kind)
    bytes.append(
      copy.change.rawValue | copy.fate.rawValue << 3 | (copy.isLink ? 32 : 0) | kind.rawValue << 6)
    if copy.fate != .visible { append(layers - 1 - Int(copy.hider)) }
    if kind == .file { append(copy.size) }
  }

  private mutating func writeRest(of node: Int) {
    guard let rest = rests[node] else { return }
    writeName("")
    bytes.append(Kind.rest.rawValue)
    append(rest.count)
    for (heap, sum) in rest.sorted(by: { $0.key < $1.key }) {
      append(layers - 1 - Int(heap.layer))
      bytes.append(heap.fate << 3)
      if heap.fate != LayerCopy.Fate.visible.rawValue { append(layers - 1 - Int(heap.hider)) }
      append(sum.names)
      append(sum.bytes)
    }
  }

  private static func kind(_ kind: FileKind) -> Kind {
    switch kind {
    case .regular: .file
    case .directory: .directory
    case .symbolicLink: .symbolicLink
    default: .special
    }
  }

  private mutating func append(_ number: some BinaryInteger) {
    var rest = UInt64(clamping: number)
    while rest >= 128 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
