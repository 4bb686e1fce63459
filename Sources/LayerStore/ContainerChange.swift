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
      try walk.visit(own, MergedDirectory(root: layers), path: [])
      return walk.changes.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }
  }
}

/// Goes through a container's own files beside what lies below.
private struct ChangeWalk {
  var changes: [ContainerChange] = []

  mutating func visit(
    _ directory: StoreDirectory, _ below: MergedDirectory, path: [UInt8]
  ) throws(Errno) {
    for name in try directory.names() {
      let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
      if bytes.starts(with: ".wh.".utf8) {
        if let hidden = try Self.hidden(by: bytes, name, in: directory) {
          add(.deleted, path, hidden)
        }
        continue
      }
      guard let own = try FileSystemCall.statusIfThere(at: directory.descriptor, name) else {
        continue
      }
      let found = try below.find(name)
      switch found {
      case .absent: add(.added, path, bytes)
      case .other: add(.changed, path, bytes)
      case .directory(let lower):
        let old = try below.attributes(of: name, in: lower).1
        // Something was changed in it, which copied it up, and no more.
        let isSame = own.isDirectory && own.mode == old.mode && own.modified == old.modified
        if !isSame { add(.changed, path, bytes) }
      }
      guard own.isDirectory else { continue }
      let inner = try directory.directory(name)
      var lower = MergedDirectory.empty
      if case .directory(let merged) = found, try !isOpaque(inner.descriptor) { lower = merged }
      try visit(inner, lower, path: path + [UInt8(ascii: "/")] + bytes)
    }
  }

  private mutating func add(_ kind: ContainerChange.Kind, _ path: [UInt8], _ name: [UInt8]) {
    changes.append(ContainerChange(kind: kind, path: path + [UInt8(ascii: "/")] + name))
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
