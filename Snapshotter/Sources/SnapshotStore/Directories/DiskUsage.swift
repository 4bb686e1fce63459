internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a tree takes, as containerd counts: the blocks of every inode once, its root included.
///
/// With one descriptor, down by name and up by `..`, never through a link; what goes away meanwhile is not
/// counted.
enum DiskUsage {
  fileprivate struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  private struct Level {
    let inode: Inode
    var directories: [[CChar]]
  }

  private struct Count {
    var usage = SnapshotUsage()
    var linked: Set<Inode> = []

    mutating func add(_ found: Attributes) {
      if !found.isDirectory, found.linkCount > 1 {
        guard linked.insert(Inode(found)).inserted else { return }
      }
      usage.inodes &+= 1
      usage.bytes &+= found.blocks &* 512
    }
  }

  /// - Parameter root: an open directory.
  /// - Throws: ESTALE where directories were moved under the walk again and again.
  static func measure(_ root: CInt) throws(Errno) -> SnapshotUsage {
    for _ in 0..<9 {
      do throws(Errno) { return try walk(root) } catch {
        guard error == .staleNFSFileHandle else { throw error }
      }
    }
    return try walk(root)
  }

  private static func walk(_ root: CInt) throws(Errno) -> SnapshotUsage {
    var count = Count()
    count.add(try FileSystemCall.status(of: root))
    var current = try open(".", in: root)
    defer { FileSystemCall.close(current) }
    var levels = [try level(current, &count)]
    while !levels.isEmpty {
      if let next = levels[levels.count - 1].directories.popLast() {
        guard let inside = try openIfThere(next, in: current) else { continue }
        FileSystemCall.close(current)
        current = inside
        levels.append(try level(current, &count))
        continue
      }
      levels.removeLast()
      guard let above = levels.last else { break }
      let upper = try open("..", in: current)
      FileSystemCall.close(current)
      current = upper
      guard Inode(try FileSystemCall.status(of: current)) == above.inode else {
        throw Errno.staleNFSFileHandle
      }
    }
    return count.usage
  }

  private static func level(_ directory: CInt, _ count: inout Count) throws(Errno) -> Level {
    var level = Level(inode: Inode(try FileSystemCall.status(of: directory)), directories: [])
    var names: [[CChar]] = []
    try forEachEntry(of: directory) { bytes, _, _ in
      names.append(Array(bytes) + [0])
      return true
    }
    for name in names {
      guard let found = try FileSystemCall.statusIfThere(at: directory, name) else { continue }
      count.add(found)
      if found.isDirectory { level.directories.append(name) }
    }
    return level
  }

  private static func open(_ name: String, in directory: CInt) throws(Errno) -> CInt {
    try FileSystemCall.open(
      at: directory, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
  }

  /// nil where it went away or became something else.
  private static func openIfThere(_ name: [CChar], in directory: CInt) throws(Errno) -> CInt? {
    do throws(Errno) {
      return try FileSystemCall.open(
        at: directory, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    } catch {
      switch error {
      case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels: return nil
      default: throw error
      }
    }
  }
}

extension DiskUsage.Inode {
  fileprivate init(_ found: Attributes) {
    self.init(device: found.device, number: found.inode)
  }
}
