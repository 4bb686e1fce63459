internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension SnapshotDirectories {
  /// Makes a snapshot's directory, complete and on the disk under its own name, or not at all.
  ///
  /// The layer's root gets the owner and the mode of the parent's, since the top of a union shows its own.
  func publish(_ snapshot: Snapshot) throws(Errno) {
    let name = Self.name(snapshot.id)
    let staged = "new-\(name)"
    do throws(Errno) {
      try stage(staged, snapshot)
      // A number is never used twice, so what has the name is none of the database's.
      if try FileSystemCall.statusIfThere(at: descriptor, name) != nil { try discard(snapshot.id) }
      try FileSystemCall.rename(
        at: descriptor, staged, to: descriptor, name, flags: FileSystemCall.RenameFlag.noReplace)
      try FileSystemCall.sync(descriptor)
    } catch {
      try? delete(staged)
      throw error
    }
  }

  private func stage(_ name: String, _ snapshot: Snapshot) throws(Errno) {
    try delete(name)
    let outer = try make(name, in: descriptor, mode: 0o700)
    defer { FileSystemCall.close(outer) }
    let content = try make("fs", in: outer, mode: 0o755)
    defer { FileSystemCall.close(content) }
    if let parent = snapshot.parents.first {
      let below = try openContent(of: parent)
      defer { FileSystemCall.close(below) }
      let wanted = try FileSystemCall.status(of: below)
      let made = try FileSystemCall.status(of: content)
      if made.owner != wanted.owner || made.group != wanted.group {
        try FileSystemCall.changeOwner(of: content, owner: wanted.owner, group: wanted.group)
      }
      try FileSystemCall.changeMode(of: content, wanted.permissions)
    }
    if snapshot.kind == .active {
      FileSystemCall.close(try make("work", in: outer, mode: 0o711))
    }
    try FileSystemCall.sync(content)
    try FileSystemCall.sync(outer)
  }

  /// A new directory with that mode, whatever the umask; the descriptor is the caller's to close.
  private func make(_ name: String, in directory: CInt, mode: UInt32) throws(Errno) -> CInt {
    try FileSystemCall.makeDirectory(at: directory, name, mode: mode)
    let made = try open(name, in: directory)
    do throws(Errno) { try FileSystemCall.changeMode(of: made, mode) } catch {
      FileSystemCall.close(made)
      throw error
    }
    return made
  }

  /// Puts a snapshot's directory aside in one step, then deletes it; nothing where there is none.
  func discard(_ id: SnapshotID) throws(Errno) {
    guard let aside = try putAside(id) else { return }
    try delete(aside)
  }

  /// The name that it has then.
  private func putAside(_ id: SnapshotID) throws(Errno) -> String? {
    let name = Self.name(id)
    // One that cannot be deleted may lie there since long.
    for attempt in 0..<1000 {
      let aside = attempt == 0 ? "gone-\(name)" : "gone-\(name).\(attempt)"
      do throws(Errno) {
        try FileSystemCall.rename(
          at: descriptor, name, to: descriptor, aside, flags: FileSystemCall.RenameFlag.noReplace)
        return aside
      } catch {
        if error == .noSuchFileOrDirectory { return nil }
        guard error == .fileExists else { throw error }
      }
    }
    throw Errno.fileExists
  }

  /// Deletes whatever has a name of the folder; nothing where there is nothing.
  func delete(_ name: String) throws(Errno) {
    let bytes = name.utf8.map { CChar(bitPattern: $0) } + [0]
    for _ in 0..<100 {
      do throws(Errno) {
        return try TreeRemoval.remove(bytes, in: descriptor, opening: true)
      } catch {
        // Another request deletes the same.
        guard error == .noSuchFileOrDirectory || error == .staleNFSFileHandle else { throw error }
      }
    }
  }
}
