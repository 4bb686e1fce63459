internal import SystemCalls
public import SystemPackage

/// Makes and removes whiteouts and opaque marks on the writable branch, in one of two formats. A whiteout
/// is a hard link to the branch's `.wh..wh.aufs`, or to a device in the work area, so that a thousand of
/// them use one inode.
public final class Whiteouts: @unchecked Sendable {
  /// Which is written. Both are read.
  public let format: WhiteoutFormat
  let area: WorkArea
  let links: Bool
  private let root: CInt

  /// Makes the base where there is none. To overlayfs's format: an error where the file system, or this
  /// user, cannot make it.
  public init(
    on branch: Branch, area: WorkArea, format: WhiteoutFormat = .aufs
  ) throws(Errno) {
    root = branch.bookkeeping
    self.area = area
    self.format = format
    links = branch.specification.linksWhiteouts
    switch format {
    case .aufs: if links { try makeBase() }
    case .overlay: try tryOut()
    }
  }

  private func makeBase() throws(Errno) {
    do throws(Errno) { try Self.makeEmptyFile(at: root, ReservedName.whiteoutBase) } catch {
      if error != .fileExists { throw error }
    }
  }

  /// A whiteout that is a link to nothing.
  static func makeEmptyFile(at directory: CInt, _ name: CName) throws(Errno) {
    let file = try FileSystemCall.open(
      at: directory, name,
      OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o444)
    defer { FileSystemCall.close(file) }
    // Whatever umask this thread has for its caller.
    try FileSystemCall.changeMode(of: file, 0o444)
  }

  /// Hides `name` in `directory`, which to overlayfs's format must hold no entry of it; nothing where it is
  /// hidden already.
  public func hide(_ name: Name, in directory: CInt) throws(Errno) {
    if format == .overlay { return try hideInPlace(name, in: directory) }
    try area.inodes.expectMarkers()
    if name.needsLongWhiteout { return try hideLong(name, in: directory) }
    try name.withWhiteoutName { whiteout throws(Errno) in try make(whiteout, in: directory) }
  }

  /// Makes `directory` opaque; nothing where it is so already.
  public func makeOpaque(_ directory: CInt) throws(Errno) {
    try area.inodes.expectMarkers()
    switch format {
    case .aufs: try make(ReservedName.opaque, in: directory)
    case .overlay: try OverlayMarks.makeOpaque(directory)
    }
  }

  /// Takes back what `makeOpaque` made.
  public func unmakeOpaque(_ directory: CInt) throws(Errno) {
    switch format {
    case .aufs: try FileSystemCall.unlink(at: directory, ReservedName.opaque)
    case .overlay: try OverlayMarks.removeOpaque(from: directory)
    }
  }

  /// Removes the whiteout of aufs's format; nothing where there is none.
  public func show(_ name: Name, in directory: CInt) throws(Errno) {
    do throws(Errno) {
      try name.withWhiteoutName { whiteout throws(Errno) in
        try FileSystemCall.unlink(at: directory, whiteout)
      }
    } catch { if error != .noSuchFileOrDirectory { throw error } }
  }

  private func make(_ whiteout: CName, in directory: CInt) throws(Errno) {
    do throws(Errno) {
      guard links else { return try Self.makeEmptyFile(at: directory, whiteout) }
      try FileSystemCall.link(at: root, ReservedName.whiteoutBase, to: directory, whiteout)
    } catch {
      if error == .fileExists { return }
      guard links else { throw error }
      try makeOtherwise(whiteout, in: directory, after: error)
    }
  }

  /// The link was refused: a new base where the old one has too many names or is gone, a plain file
  /// where the file system has no links.
  private func makeOtherwise(
    _ whiteout: CName, in directory: CInt, after error: Errno
  ) throws(Errno) {
    switch error {
    case .tooManyLinks:
      try? FileSystemCall.unlink(at: root, ReservedName.whiteoutBase)
      try makeBase()
      try FileSystemCall.link(at: root, ReservedName.whiteoutBase, to: directory, whiteout)
    case .noSuchFileOrDirectory:
      try makeBase()
      try FileSystemCall.link(at: root, ReservedName.whiteoutBase, to: directory, whiteout)
    case .notPermitted, .notSupported, .improperLink:
      try Self.makeEmptyFile(at: directory, whiteout)
    default: throw error
    }
  }

  /// The name is its content, so it is staged and shown in one step.
  private func hideLong(_ name: Name, in directory: CInt) throws(Errno) {
    do throws(Errno) { try hideLong(name, in: directory, by: nil) } catch {
      guard error == .improperLink else { throw error }
      try hideLong(name, in: directory, by: directory)
    }
  }

  private func hideLong(_ name: Name, in directory: CInt, by place: CInt?) throws(Errno) {
    let staged = try area.stageFile(in: place)
    let count = try FileSystemCall.write(
      staged.descriptor, from: UnsafeRawBufferPointer(name.bytes), at: 0)
    if count != name.count { throw Errno.noSpace }
    try FileSystemCall.changeMode(of: staged.descriptor, 0o444)
    let target = name.withWhiteoutName { whiteout in Array(cString: whiteout) }
    do throws(Errno) {
      FileSystemCall.close(try staged.publish(at: directory, target))
    } catch { if error != .fileExists { throw error } }
  }
}
