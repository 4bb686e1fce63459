internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// What a layer's files amount to.
public struct LayerSize: Sendable, Equatable {
  /// Bytes of the regular files, each inode once.
  public var files: Int64 = 0
  /// Bytes of the targets of symbolic links, which Docker counts too.
  public var links: Int64 = 0

  /// What `layersize` holds.
  public var total: Int64 { files.addingReportingOverflow(links).partialValue }
}

extension LayerStore {
  /// Measures a layer by its files. What aufs and this program keep for themselves at its root does not
  /// count.
  public func measure(_ layer: LayerID) throws(Failure) -> LayerSize {
    let root = try diff(of: layer)
    return try about(root.path) { () throws(Errno) in try LayerSize(of: root) }
  }
}

extension LayerSize {
  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  init(of root: StoreDirectory) throws(Errno) {
    var size = LayerSize()
    var seen: Set<Inode> = []
    try TreeWalk.visit(root) { directory, name, isTop throws(Errno) in
      if isTop, name.starts(with: ".wh..wh.".name.dropLast()) { return false }
      guard let found = try FileSystemCall.statusIfThere(at: directory, name) else { return false }
      if found.isDirectory { return true }
      let isNew =
        found.linkCount < 2
        || seen.insert(Inode(device: found.device, number: found.inode)).inserted
      if isNew, found.isRegular {
        size.files = size.files.addingReportingOverflow(found.size).partialValue
      } else if isNew, found.isSymbolicLink {
        size.links = size.links.addingReportingOverflow(found.size).partialValue
      }
      return false
    }
    self = size
  }
}

/// Goes through a tree of any depth with one descriptor: down by name, up by `..`, never through a
/// link.
enum TreeWalk {
  private struct Level {
    let inode: UInt64
    var directories: [[CChar]]
  }

  /// - Parameter body: gets each name and the directory that holds it; whether to go into it.
  static func visit(
    _ root: StoreDirectory, _ body: (CInt, [CChar], _ isTop: Bool) throws(Errno) -> Bool
  ) throws(Errno) {
    let flags = OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow
    var current = try FileSystemCall.open(at: root.descriptor, ".", flags)
    defer { FileSystemCall.close(current) }
    var levels = [try level(current, true, body)]
    while !levels.isEmpty {
      if let next = levels[levels.count - 1].directories.popLast() {
        let inside = try FileSystemCall.open(at: current, next, flags)
        FileSystemCall.close(current)
        current = inside
        levels.append(try level(current, false, body))
        continue
      }
      levels.removeLast()
      guard let above = levels.last else { break }
      let upper = try FileSystemCall.open(at: current, "..", flags)
      FileSystemCall.close(current)
      current = upper
      // Moved away meanwhile.
      guard try FileSystemCall.status(of: current).inode == above.inode else {
        throw Errno.staleNFSFileHandle
      }
    }
  }

  private static func level(
    _ directory: CInt, _ isTop: Bool, _ body: (CInt, [CChar], Bool) throws(Errno) -> Bool
  ) throws(Errno) -> Level {
    var level = Level(inode: try FileSystemCall.status(of: directory).inode, directories: [])
    try forEachEntry(of: directory) { bytes, _, _ throws(Errno) in
      let name = Array(bytes) + [0]
      if try body(directory, name, isTop) { level.directories.append(name) }
      return true
    }
    return level
  }
}
