internal import SystemCalls
public import SystemPackage
internal import UnionCore

/// An open directory of the store, and the calls that are relative to it. Names are single ones; a
/// symbolic link is never followed unless it says so.
public final class StoreDirectory: Sendable {
  public let descriptor: CInt
  /// For messages; nothing is opened by it.
  public let path: FilePath

  /// Takes the descriptor over.
  init(descriptor: CInt, path: FilePath) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { FileSystemCall.close(descriptor) }

  /// Opens a directory from the current one, following links.
  convenience init(_ path: FilePath) throws(Errno) {
    self.init(
      descriptor: try FileSystemCall.open(path: path, OpenFlag.readOnly | OpenFlag.directory),
      path: path)
  }

  /// Opens a directory of the store by its path.
  public convenience init(opening path: FilePath) throws(Errno) { try self.init(path) }

  func path(_ name: [CChar]) -> FilePath {
    path.appending(FilePath(platformString: name).components)
  }

  func directory(_ name: [CChar]) throws(Errno) -> StoreDirectory {
    let flags = OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow
    return StoreDirectory(
      descriptor: try FileSystemCall.open(at: descriptor, name, flags), path: path(name))
  }

  /// One of the store's own places, which its owner may have made a link; nil where there is none.
  func place(_ name: String) throws(Errno) -> StoreDirectory? {
    do throws(Errno) {
      let flags = OpenFlag.readOnly | OpenFlag.directory
      return StoreDirectory(
        descriptor: try FileSystemCall.open(at: descriptor, name, flags), path: path.appending(name)
      )
    } catch {
      if error == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }

  func exists(_ name: [CChar]) throws(Errno) -> Bool {
    try FileSystemCall.statusIfThere(at: descriptor, name) != nil
  }

  /// The names in it but `.` and `..`.
  func names() throws(Errno) -> [[CChar]] {
    var names: [[CChar]] = []
    try forEachEntry(of: descriptor) { bytes, _, _ in
      names.append(Array(bytes) + [0])
      return true
    }
    return names
  }

  /// The ids among the names, sorted; what else lies there is another's.
  func objects() throws(Errno) -> [ObjectID] {
    try names().compactMap { ObjectID($0.text) }.sorted()
  }

  /// A regular file's bytes. EINVAL for what is none, EFBIG where it has more than `limit`.
  func read(_ name: [CChar], limit: Int = 16 << 20) throws(Errno) -> [UInt8] {
    let file = try FileSystemCall.open(
      at: descriptor, name, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
    defer { FileSystemCall.close(file) }
    return try Self.read(file, limit: limit)
  }

  static func read(_ file: CInt, limit: Int) throws(Errno) -> [UInt8] {
    let attributes = try FileSystemCall.status(of: file)
    guard attributes.isRegular else { throw Errno.invalidArgument }
    guard attributes.size <= limit else { throw Errno.fileTooLarge }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: min(max(Int(attributes.size) + 1, 512), 1 << 20))
    while true {
      let offset = Int64(bytes.count)
      let count = try chunk.withMutableBytes { buffer throws(Errno) in
        try FileSystemCall.read(file, into: buffer, at: offset)
      }
      if count == 0 { return bytes }
      bytes += chunk.prefix(count)
      if bytes.count > limit { throw Errno.fileTooLarge }
    }
  }

  /// nil where there is no such file.
  func readIfThere(_ name: [CChar], limit: Int = 16 << 20) throws(Errno) -> [UInt8]? {
    do throws(Errno) { return try read(name, limit: limit) } catch {
      if error == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }
}

/// Changes.
extension StoreDirectory {
  /// Makes a directory with that mode, whatever the umask.
  @discardableResult
  func make(_ name: [CChar], mode: UInt32 = 0o700) throws(Errno) -> StoreDirectory {
    try FileSystemCall.makeDirectory(at: descriptor, name, mode: mode)
    let made = try directory(name)
    try FileSystemCall.changeMode(of: made.descriptor, mode)
    return made
  }

  /// A new file with that content, on the disk when this returns.
  public func write(_ name: String, _ bytes: [UInt8], mode: UInt32 = 0o600) throws(Errno) {
    try write(name.name, bytes, mode: mode)
  }

  /// A new empty file to write to; the descriptor is the caller's to close.
  public func create(_ name: String, mode: UInt32 = 0o600) throws(Errno) -> CInt {
    try FileSystemCall.open(
      at: descriptor, name,
      OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: mode)
  }

  /// A new directory.
  public func make(_ name: String, mode: UInt32 = 0o700) throws(Errno) -> StoreDirectory {
    try make(name.name, mode: mode)
  }

  /// A new file with that content and mode, on the disk when this returns. EEXIST where there is one.
  func write(_ name: [CChar], _ bytes: [UInt8], mode: UInt32 = 0o644) throws(Errno) {
    let flags = OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow
    let file = try FileSystemCall.open(at: descriptor, name, flags, mode: mode)
    defer { FileSystemCall.close(file) }
    try FileSystemCall.changeMode(of: file, mode)
    try Self.writeAll(bytes, to: file)
    try FileSystemCall.sync(file)
  }

  static func writeAll(_ bytes: [UInt8], to file: CInt) throws(Errno) {
    var written = 0
    while written < bytes.count {
      let start = written
      written += try bytes.withBytes { all throws(Errno) in
        try FileSystemCall.write(file, from: UnsafeRawBufferPointer(rebasing: all[start...]))
      }
    }
  }

  /// Moves a name; false where there is none.
  @discardableResult
  func moveIfThere(
    _ name: [CChar], to target: StoreDirectory, _ newName: [CChar]
  ) throws(Errno) -> Bool {
    do throws(Errno) {
      try FileSystemCall.rename(at: descriptor, name, to: target.descriptor, newName)
      return true
    } catch {
      if error == .noSuchFileOrDirectory { return false }
      throw error
    }
  }

  /// Deletes whatever is there; nothing where there is nothing.
  func remove(_ name: [CChar]) throws(Errno) {
    for _ in 0..<100 {
      do throws(Errno) {
        return try TreeRemoval.remove(name, in: descriptor, opening: true)
      } catch {
        // Somebody else deletes the same.
        guard error == .noSuchFileOrDirectory || error == .staleNFSFileHandle else { throw error }
      }
    }
  }

  func sync() throws(Errno) { try FileSystemCall.sync(descriptor) }
}

extension String {
  /// The text as system calls take a name.
  var name: [CChar] { utf8.map { CChar(bitPattern: $0) } + [0] }
}

extension [CChar] {
  /// A name without its NUL; what is not UTF-8 in it reads as U+FFFD.
  var text: String {
    String(decoding: prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension Failure {
  /// An errno for a person: which thing, what is wrong, what to do.
  init(_ error: Errno, _ subject: String) {
    switch error {
    case .noSuchFileOrDirectory: self.init(.missingInput, "\(subject) does not exist")
    case .notDirectory: self.init(.malformedInput, "\(subject) is not a directory")
    case .tooManySymbolicLinkLevels:
      self.init(.malformedInput, "\(subject) is a symbolic link", advice: "none is followed there")
    case .invalidArgument: self.init(.malformedInput, "\(subject) is no regular file")
    case .fileTooLarge:
      self.init(.malformedInput, "\(subject) is too large to be what it is called")
    case .permissionDenied, .notPermitted:
      self.init(
        .permission, "\(subject) may not be opened or changed: \(error)",
        advice: "run the command as the store's owner")
    case .readOnlyFileSystem:
      self.init(.permission, "\(subject) lies on a read-only file system")
    default: self.init(.failed, "\(subject): \(error)")
    }
  }
}

/// Runs system calls on one thing; an errno names it.
func about<Result>(
  _ subject: @autoclosure () -> FilePath, _ body: () throws(Errno) -> Result
) throws(Failure) -> Result {
  do throws(Errno) { return try body() } catch { throw Failure(error, subject().string) }
}
