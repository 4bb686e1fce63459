internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// One line of `docker diff`.
public struct ContainerChange: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case added = "A"
    case changed = "C"
    case deleted = "D"
  }

  public let kind: Kind
  /// From the root on, with a leading slash; bytes.
  public let path: [UInt8]

  /// What a container has changed against the layers below, by path.
  public static func all(
    of container: Container, in store: LayerStore
  ) throws(Failure) -> [ContainerChange] {
    _ = ProcessCall.raiseDescriptorLimit()
    let own = try store.diff(of: container.layer)
    var below: [StoreDirectory] = []
    for parent in try store.layersFile(of: container.layer).parents {
      below.append(try store.diff(of: parent.id))
    }
    let layers = below
    return try about(own.path) { () throws(Errno) in
      var walk = ChangeWalk()
      var root = ChangeWalk.Place(path: [], isTold: true, coversAll: try isOpaque(own.descriptor))
      try walk.visit(own, MergedDirectory(root: layers), &root)
      return walk.changes.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }
  }
}

/// Goes through a container's own files beside what lies below.
private struct ChangeWalk {
  /// A directory of the container's own.
  struct Place {
    let path: [UInt8]
    /// Whether it has a line. Docker gives one to what something was added to or deleted from.
    var isTold: Bool
    /// Nothing of what lies below is seen in it.
    let coversAll: Bool
  }

  var changes: [ContainerChange] = []

  mutating func visit(
    _ directory: StoreDirectory, _ below: MergedDirectory, _ place: inout Place
  ) throws(Errno) {
    var seen: Set<[UInt8]> = []
    let names = try directory.names().map { ($0, $0.dropLast().map { UInt8(bitPattern: $0) }) }
    for (name, bytes) in names where !bytes.starts(with: ".wh.".utf8) {
      seen.insert(bytes)
      try compare(name, bytes, directory, below, &place)
    }
    for (name, bytes) in names where bytes.starts(with: ".wh.".utf8) {
      guard let hidden = try Self.hidden(by: bytes, name, in: directory) else { continue }
      if seen.insert(hidden).inserted { add(.deleted, hidden, to: &place) }
    }
    guard place.coversAll else { return }
    for name in try below.names() {
      let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
      if seen.insert(bytes).inserted { add(.deleted, bytes, to: &place) }
    }
  }

  private mutating func compare(
    _ name: [CChar], _ bytes: [UInt8], _ directory: StoreDirectory, _ below: MergedDirectory,
    _ place: inout Place
  ) throws(Errno) {
    guard let own = try FileSystemCall.statusIfThere(at: directory.descriptor, name) else { return }
    if own.isOverlayWhiteout { return add(.deleted, bytes, to: &place) }
    let found = try below.find(name)
    var isTold = true
    switch found {
    case .absent: add(.added, bytes, to: &place)
    case .other: add(.changed, bytes, to: &place)
    case .directory(let lower):
      let old = try below.attributes(of: name, in: lower).1
      // Something was changed in it, which copied it up, and no more.
      isTold = !(own.isDirectory && own.mode == old.mode && own.modified == old.modified)
      if isTold { add(.changed, bytes, to: &place) }
    }
    guard own.isDirectory else { return }
    let inner = try directory.directory(name)
    var lower = MergedDirectory.empty
    if case .directory(let merged) = found { lower = merged }
    let isCovering = try isOpaque(inner.descriptor)
    var next = Place(
      path: Self.path(place, bytes), isTold: isTold, coversAll: place.coversAll || isCovering)
    try visit(inner, lower, &next)
  }

  private static func path(_ place: Place, _ name: [UInt8]) -> [UInt8] {
    place.path + [UInt8(ascii: "/")] + name
  }

  private mutating func add(
    _ kind: ContainerChange.Kind, _ name: [UInt8], to place: inout Place
  ) {
    if kind != .changed, !place.isTold {
      changes.append(ContainerChange(kind: .changed, path: place.path))
      place.isTold = true
    }
    changes.append(ContainerChange(kind: kind, path: Self.path(place, name)))
  }

  /// The name that a whiteout hides; nil for what is none.
  private static func hidden(
    by bytes: [UInt8], _ name: [CChar], in directory: StoreDirectory
  ) throws(Errno) -> [UInt8]? {
    if !bytes.starts(with: ".wh..wh.".utf8) { return Array(bytes.dropFirst(4)) }
    guard bytes.starts(with: ".wh..wh.long.".utf8) else { return nil }
    let long = try? directory.read(name, limit: 255)
    return long.flatMap { $0.isEmpty ? nil : $0 }
  }
}
