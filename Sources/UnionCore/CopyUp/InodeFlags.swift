public import SystemCalls
public import SystemPackage

/// The inode flags of chattr(1): which of them a copy keeps, and how.
public enum InodeFlags {
  /// `i` and `a`. A file that has them cannot be linked or renamed into place, so a copy gets them when
  /// it is shown.
  public static let protecting: UInt32 = 0x30
  /// `s u c S d A j t D T C`: what the user sets, as far as a file system has it.
  static let kept: UInt32 = 0x83_C0CF
  /// Of these, those that every file system takes which takes any.
  static let common: UInt32 = 0x1_00C8

  /// Gives a copy the flags of its source but those that protect it. A file system that has none, or
  /// not these, keeps a copy without.
  static func copy(from source: CInt, to target: CInt) throws(Errno) {
    guard let wanted = try ifAny({ () throws(Errno) in try FileSystemCall.flags(of: source) }),
      wanted & kept != 0,
      let own = try ifAny({ () throws(Errno) in try FileSystemCall.flags(of: target) })
    else { return }
    for mask in [kept, common] {
      let flags = own & ~mask | wanted & mask
      if flags == own { return }
      if try ifAny({ () throws(Errno) in try FileSystemCall.setFlags(of: target, flags) }) != nil {
        return
      }
    }
  }

  /// The same from a directory's name to another's.
  static func copy(
    ofDirectory directory: CInt, _ name: CName, to target: CInt, _ newName: CName
  ) throws(Errno) {
    guard let from = try? openDirectory(directory, name) else { return }
    defer { FileSystemCall.close(from) }
    let to = try openDirectory(target, newName)
    defer { FileSystemCall.close(to) }
    try copy(from: from, to: to)
  }

  /// Makes a copy that is in its place as immutable or append-only as its source. Left undone where
  /// the server may not (CAP_LINUX_IMMUTABLE).
  public static func protect(_ descriptor: CInt, as source: Attributes) {
    let wanted: UInt32 = (source.isImmutable ? 0x10 : 0) | (source.isAppendOnly ? 0x20 : 0)
    guard wanted != 0, let own = try? FileSystemCall.flags(of: descriptor) else { return }
    try? FileSystemCall.setFlags(of: descriptor, own | wanted)
  }

  /// Takes the protection of a directory away for the time of `body`.
  public static func unprotected(
    _ directory: CInt, _ attributes: Attributes, _ body: () throws(Errno) -> Void
  ) throws(Errno) {
    guard attributes.isImmutable || attributes.isAppendOnly,
      let readable = try? openDirectory(directory, ReservedName.here)
    else { return try body() }
    defer { FileSystemCall.close(readable) }
    let flags = try FileSystemCall.flags(of: readable)
    try FileSystemCall.setFlags(of: readable, flags & ~protecting)
    defer { try? FileSystemCall.setFlags(of: readable, flags) }
    try body()
  }

  static func openDirectory(_ directory: CInt, _ name: CName) throws(Errno) -> CInt {
    try FileSystemCall.open(
      at: directory, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
  }

  /// nil where the file system has no such flags, or does not let this user set them.
  private static func ifAny<Result>(
    _ call: () throws(Errno) -> Result
  ) throws(Errno) -> Result? {
    do throws(Errno) { return try call() } catch {
      switch error {
      case .inappropriateIOCTLForDevice, .notSupported, .notSupportedOnSocket, .invalidArgument,
        .notPermitted, .permissionDenied, .noFunction:
        return nil
      default: throw error
      }
    }
  }
}
