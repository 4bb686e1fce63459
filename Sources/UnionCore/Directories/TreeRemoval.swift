internal import SystemCalls
public import SystemPackage

/// Deletes a tree of any depth with one descriptor: down by name, up by `..`, never through a link.
public enum TreeRemoval {
  private struct Level {
    var name: [CChar]
    var inode: UInt64
    var directories: [[CChar]]
  }

  /// - Parameter opening: directories that their owner may not read or change are opened with chmod(2)
  ///   first, for one who has no privilege to do without.
  public static func remove(
    _ name: [CChar], in directory: CInt, opening: Bool = false
  ) throws(Errno) {
    if try removePlainly(name, in: directory) { return }
    var current = try enter(name, in: directory, opening)
    defer { FileSystemCall.close(current) }
    var levels = [try level(name, current)]
    while !levels.isEmpty {
      if let next = levels[levels.count - 1].directories.popLast() {
        if try removePlainly(next, in: current) { continue }
        let inside = try enter(next, in: current, opening)
        FileSystemCall.close(current)
        current = inside
        levels.append(try level(next, current))
        continue
      }
      let done = levels.removeLast()
      guard let above = levels.last else { break }
      let upper = try enter([0x2E, 0x2E, 0], in: current, false)
      FileSystemCall.close(current)
      current = upper
      // Moved away meanwhile.
      guard try FileSystemCall.status(of: current).inode == above.inode else {
        throw Errno.staleNFSFileHandle
      }
      try FileSystemCall.removeDirectory(at: current, done.name)
    }
    try FileSystemCall.removeDirectory(at: directory, name)
  }

  /// A file, or a directory with nothing in it.
  private static func removePlainly(_ name: [CChar], in directory: CInt) throws(Errno) -> Bool {
    do throws(Errno) {
      try FileSystemCall.unlink(at: directory, name)
      return true
    } catch {
      if error == .noSuchFileOrDirectory { return true }
      guard error == .isDirectory || error == .notPermitted else { throw error }
    }
    do throws(Errno) {
      try FileSystemCall.removeDirectory(at: directory, name)
      return true
    } catch {
      guard error == .directoryNotEmpty || error == .fileExists else { throw error }
      return false
    }
  }

  private static func enter(
    _ name: [CChar], in directory: CInt, _ opening: Bool
  ) throws(Errno) -> CInt {
    if opening {
      let attributes = try FileSystemCall.status(at: directory, name)
      // Where that is refused, so is what follows; a link has become of it where it is no directory.
      if attributes.isDirectory, attributes.mode & 0o700 != 0o700 {
        try? FileSystemCall.changeMode(at: directory, name, 0o700)
      }
    }
    return try FileSystemCall.open(
      at: directory, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
  }

  /// Removes what is no directory; the others are for later.
  private static func level(_ name: [CChar], _ directory: CInt) throws(Errno) -> Level {
    var level = Level(
      name: name, inode: try FileSystemCall.status(of: directory).inode, directories: [])
    var files: [[CChar]] = []
    try forEachEntry(of: directory) { bytes, kind, _ in
      let name = Array(bytes) + [0]
      if kind == .directory || kind == .unknown {
        level.directories.append(name)
      } else {
        files.append(name)
      }
      return true
    }
    for file in files { _ = try removePlainly(file, in: directory) }
    return level
  }
}
