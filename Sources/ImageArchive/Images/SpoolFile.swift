internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// A file without a name, for what is not needed any more when the command ends, or is killed.
enum SpoolFile {
  /// - Parameter directory: where it takes its room.
  /// - Returns: a descriptor to read and write; the caller's to close.
  static func open(in directory: CInt) throws(Failure) -> CInt {
    try system("a temporary file cannot be made") { () throws(Errno) in
      do throws(Errno) {
        return try FileSystemCall.open(
          at: directory, ReservedName.here, OpenFlag.temporary | OpenFlag.readWrite, mode: 0o600)
      } catch { if !OutputFile.meansNoTemporaryFiles(error) { throw error } }
      return try makeNameless(in: directory)
    }
  }

  /// On a file system without O_TMPFILE it has a name for a moment. That is the same for each of a user's
  /// commands, so at most one empty file is ever left, and the next command takes it away.
  static func makeNameless(in directory: CInt) throws(Errno) -> CInt {
    let name =
      ".unionfs-swift.spool.\(Invocation.effectiveUser)".utf8.map { CChar(bitPattern: $0) } + [0]
    while true {
      do throws(Errno) {
        let file = try FileSystemCall.open(
          at: directory, name,
          OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o600
        )
        // Another command may have taken it away, or have made the name its own: nobody wants more of it
        // than a descriptor.
        try? FileSystemCall.unlink(at: directory, name)
        return file
      } catch {
        guard error == .fileExists else { throw error }
        try remove(name, in: directory)
      }
    }
  }

  private static func remove(_ name: [CChar], in directory: CInt) throws(Errno) {
    do throws(Errno) { try FileSystemCall.unlink(at: directory, name) } catch {
      if error != .noSuchFileOrDirectory { throw error }
    }
  }
}
