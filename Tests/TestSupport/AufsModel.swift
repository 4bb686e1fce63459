internal import Glibc

/// The view that aufs's rules give for branch directories at rest, read from the disk without the
/// product's code: what any aufs reader would show that knows overlayfs's whiteouts too. Tests compare
/// every mount with it.
public struct AufsModel {
  public struct Branch {
    public let path: Path
    public let honoursWhiteouts: Bool
    public init(path: Path, honoursWhiteouts: Bool) {
      self.path = path
      self.honoursWhiteouts = honoursWhiteouts
    }
  }

  let branches: [Branch]

  /// Top branch first.
  public init(_ branches: [Branch]) { self.branches = branches }

  /// Sorted by path, parents first.
  public func view() throws(Errno) -> [Node] {
    var nodes: [Node] = []
    try collect(Path(bytes: []), branches, &nodes)
    return nodes
  }

  private func collect(_ folder: Path, _ holders: [Branch], _ nodes: inout [Node]) throws(Errno) {
    var found: [Path: (DirectoryEntry, [Branch])] = [:]
    var ended: Set<Path> = []
    for branch in holders {
      let entries = try (branch.path / folder).entries()
      let names = entries.filter { !$0.name.isReserved }
      for entry in names where !ended.contains(entry.name) {
        let status = try (branch.path / folder / entry.name).stat()
        if branch.honoursWhiteouts, status.isOverlayWhiteout {
          ended.insert(entry.name)
          continue
        }
        let isDirectory = status.kind == .directory
        if let (first, merged) = found[entry.name] {
          if isDirectory { found[entry.name] = (first, merged + [branch]) }
        } else {
          found[entry.name] = (entry, [branch])
        }
        if !isDirectory { ended.insert(entry.name) }
      }
      guard branch.honoursWhiteouts else { continue }
      for entry in entries where entry.name.isReserved {
        if let hidden = try hidden(by: entry.name, in: branch.path / folder) {
          ended.insert(hidden)
        }
      }
      if entries.contains(where: { $0.name == ".wh..wh..opq" }) { break }
      if try (branch.path / folder).isMarkedOpaque { break }
    }
    for (name, (entry, holders)) in found.sorted(by: { $0.key < $1.key }) {
      let path = folder / name
      nodes.append(
        try node(at: holders[0].path / path, named: path, listed: entry)
          .withoutOverlayAttributes)
      if nodes.last?.status.kind == .directory { try collect(path, holders, &nodes) }
    }
  }

  /// The name that a whiteout hides, also one that is kept in a file because it is too long.
  private func hidden(by whiteout: Path, in folder: Path) throws(Errno) -> Path? {
    if whiteout.bytes.starts(with: Array(".wh..wh.long.".utf8)) {
      return Path(bytes: try (folder / whiteout).bytesOfFile())
    }
    if whiteout.bytes.starts(with: Array(".wh..wh.".utf8)) { return nil }
    return Path(bytes: Array(whiteout.bytes.dropFirst(4)))
  }
}

extension Path {
  /// A name that aufs keeps for itself.
  var isReserved: Bool { bytes.starts(with: Array(".wh.".utf8)) }
}
