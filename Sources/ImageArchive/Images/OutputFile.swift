internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// A file that appears under its name when it is whole, and not at all where it is not. Until then it has no
/// name where the file system can do without (O_TMPFILE), so that a kill leaves nothing.
public final class OutputFile {
  /// For its content.
  public let descriptor: CInt
  private let directory: CInt
  private let name: [CChar]
  /// nil while it has none.
  private var staged: StagedName?

  /// - Parameters:
  ///   - directory: where it is to appear; stays the caller's, and open as long as this lives.
  ///   - name: a plain name; what is there is replaced.
  public convenience init(in directory: CInt, name: String) throws(Failure) {
    try self.init(in: directory, name: name.utf8.map { CChar(bitPattern: $0) } + [0])
  }

  /// - Parameter name: a C string.
  public init(in directory: CInt, name: [CChar]) throws(Failure) {
    self.directory = directory
    self.name = name
    StagedName.clear(name, in: directory)
    (descriptor, staged) = try Self.about(name) { () throws(Errno) in
      do throws(Errno) {
        let flags = OpenFlag.temporary | OpenFlag.readWrite
        let file = try FileSystemCall.open(at: directory, ReservedName.here, flags, mode: 0o666)
        _ = try? FileSystemCall.lockExclusively(file)
        return (file, nil)
      } catch { if !Self.meansNoTemporaryFiles(error) { throw error } }
      return try Self.create(name, in: directory)
    }
  }

  /// What open(2) says where a file system has no files without names.
  static func meansNoTemporaryFiles(_ error: Errno) -> Bool {
    error == .notSupported || error == .isDirectory || error == .invalidArgument
  }

  private static func create(
    _ name: [CChar], in directory: CInt
  ) throws(Errno) -> (CInt, StagedName?) {
    while true {
      let staged = StagedName(for: name)
      let flags = OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive
      let file = try FileSystemCall.open(at: directory, staged.bytes, flags, mode: 0o666)
      do throws(Errno) {
        if try StagedName.take(file) { return (file, staged) }
        FileSystemCall.close(file)
      } catch {
        FileSystemCall.close(file)
        throw error
      }
    }
  }

  deinit {
    if let staged { try? FileSystemCall.unlink(at: directory, staged.bytes) }
    FileSystemCall.close(descriptor)
  }

  /// Its content is on disk, and it has its name.
  public func publish() throws(Failure) {
    try Self.about(name) { () throws(Errno) in
      try FileSystemCall.sync(descriptor)
      if staged == nil {
        do throws(Errno) {
          return try FileSystemCall.link(descriptor: descriptor, to: directory, name)
        } catch { if error != .fileExists { throw error } }
        // A link replaces nothing; a rename does.
        let staged = StagedName(for: name)
        try FileSystemCall.link(descriptor: descriptor, to: directory, staged.bytes)
        self.staged = staged
      }
      guard let staged else { return }
      try FileSystemCall.rename(at: directory, staged.bytes, to: directory, name)
      self.staged = nil
    }
  }

  private static func about<Result>(
    _ name: [CChar], _ body: () throws(Errno) -> Result
  ) throws(Failure) -> Result {
    try system("\(shown(name.dropLast().map { UInt8(bitPattern: $0) })) cannot be made", body)
  }
}
