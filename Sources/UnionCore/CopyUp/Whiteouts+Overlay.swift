internal import SystemCalls
public import SystemPackage

// overlayfs's format: a whiteout has the name itself, so an entry and its whiteout change places in one
// step, and nothing lies between.

extension Whiteouts {
  private static let mode = FileKind.characterDevice.modeBits

  /// A whiteout takes the place of an entry that is no directory.
  public func replace(_ name: Name, in directory: CInt) throws(Errno) {
    try withStaged(near: directory) { place, fresh throws(Errno) in
      try FileSystemCall.rename(at: place, fresh, to: directory, name.pointer)
    }
  }

  /// A whiteout takes the place of a directory that shows nothing, which is deleted.
  public func replaceDirectory(_ name: Name, in directory: CInt) throws(Errno) {
    try withStaged(near: directory) { place, fresh throws(Errno) in
      try FileSystemCall.rename(
        at: place, fresh, to: directory, name.pointer, flags: FileSystemCall.RenameFlag.exchange)
      // It is out of the view; what cannot be deleted now is at the next mount.
      try? TreeRemoval.remove(Array(cString: fresh), in: place, opening: true)
    }
  }

  /// Hides a name of which the directory holds no entry.
  func hideInPlace(_ name: Name, in directory: CInt) throws(Errno) {
    do throws(Errno) { try makeDevice(name.pointer, in: directory) } catch {
      guard error == .fileExists,
        try entryType(at: directory, name.pointer, honoursWhiteouts: true) == .whiteout
      else { throw error }
    }
  }

  private func makeDevice(_ name: CName, in directory: CInt) throws(Errno) {
    guard links else {
      return try FileSystemCall.makeNode(at: directory, name, mode: Self.mode, device: 0)
    }
    do throws(Errno) {
      try FileSystemCall.link(
        at: area.descriptor, ReservedName.whiteoutDevice, to: directory, name)
    } catch {
      switch error {
      case .noSuchFileOrDirectory, .tooManyLinks:
        if error == .tooManyLinks {
          try? FileSystemCall.unlink(at: area.descriptor, ReservedName.whiteoutDevice)
        }
        try makeDeviceBase()
        try FileSystemCall.link(
          at: area.descriptor, ReservedName.whiteoutDevice, to: directory, name)
      case .notPermitted, .notSupported, .improperLink:
        try FileSystemCall.makeNode(at: directory, name, mode: Self.mode, device: 0)
      default: throw error
      }
    }
  }

  private func makeDeviceBase() throws(Errno) {
    do throws(Errno) {
      try FileSystemCall.makeNode(
        at: area.descriptor, ReservedName.whiteoutDevice, mode: Self.mode, device: 0)
    } catch { if error != .fileExists { throw error } }
  }

  /// A whiteout in the work area; beside its target, where that lies on a file system that is mounted inside
  /// the branch.
  private func withStaged(
    near directory: CInt, _ body: (CInt, CName) throws(Errno) -> Void
  ) throws(Errno) {
    do throws(Errno) { try stage(in: area.descriptor, body) } catch {
      guard error == .improperLink else { throw error }
      try stage(in: directory, body)
    }
  }

  private func stage(
    in place: CInt, _ body: (CInt, CName) throws(Errno) -> Void
  ) throws(Errno) {
    try area.withFreshName(in: place) { fresh throws(Errno) in
      try makeDevice(fresh, in: place)
      do throws(Errno) { try body(place, fresh) } catch {
        try? FileSystemCall.unlink(at: place, fresh)
        throw error
      }
    }
  }

  /// Makes once what will be needed, so that a mount that could not change anything fails by itself.
  func tryOut() throws(Errno) {
    try area.withFreshName { (directory) throws(Errno) in
      try FileSystemCall.makeDirectory(at: area.descriptor, directory, mode: 0o700)
      defer { try? TreeRemoval.remove(Array(cString: directory), in: area.descriptor) }
      let place = try FileSystemCall.open(
        at: area.descriptor, directory, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
      defer { FileSystemCall.close(place) }
      try OverlayMarks.makeOpaque(place)
      try makeDevice("a", in: place)
      try FileSystemCall.makeDirectory(at: place, "b", mode: 0o700)
      try FileSystemCall.rename(
        at: place, "a", to: place, "b", flags: FileSystemCall.RenameFlag.exchange)
      try FileSystemCall.rename(
        at: place, "a", to: place, "c", flags: FileSystemCall.RenameFlag.whiteout)
    }
  }
}
