internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What the command reads from the disk before anything is mounted.
enum Disk {
  /// Absolute, without links, `.` and `..`; `name` is what errors call it ("mount point").
  static func realDirectory(_ path: FilePath, _ name: String) throws(Failure) -> FilePath {
    do {
      let real = try Invocation.realPath(path)
      try checkDirectory(real)
      return real
    } catch {
      throw failure(error, "\(name) \(path)")
    }
  }

  /// Whether something lies at a path, links followed.
  static func isThere(_ path: FilePath) -> Bool {
    guard let raw = try? FileSystemCall.open(path: path, OpenFlag.path) else { return false }
    FileSystemCall.close(raw)
    return true
  }

  /// ENOTDIR and ENOENT where there is no directory.
  static func checkDirectory(_ path: FilePath) throws(Errno) {
    // O_PATH: no permission to list it is needed.
    let options: FileDescriptor.OpenOptions = [
      .directory, .closeOnExec, FileDescriptor.OpenOptions(rawValue: 0o10_000_000),
    ]
    do {
      try FileDescriptor.open(path, .readOnly, options: options).close()
    } catch {
      throw error as? Errno ?? .ioError
    }
  }

  /// A file's bytes, nil where it has more than `limit`: no more than that is read.
  static func read(_ path: FilePath, limit: Int) throws(Errno) -> [UInt8]? {
    do {
      let file = try FileDescriptor.open(
        path, .readOnly, options: [.nonBlocking, .closeOnExec])
      defer { try? file.close() }
      // A FIFO would read as empty. A directory says what it is by itself.
      let kind = try FileSystemCall.status(of: file.rawValue)
      guard kind.isRegular || kind.isDirectory else { throw Errno.invalidArgument }
      var bytes: [UInt8] = []
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      while true {
        let count = try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
        if count == 0 { return bytes }
        bytes += chunk.prefix(count)
        if bytes.count > limit { return nil }
      }
    } catch {
      throw error as? Errno ?? .ioError
    }
  }

  /// The layers file's content.
  static func layersFile(_ path: FilePath, of id: LayerID) throws(Failure) -> LayersFile {
    let bytes: [UInt8]?
    do {
      bytes = try read(path, limit: LayersFile.byteLimit)
    } catch {
      throw failure(error, "layers file \(path)")
    }
    guard let bytes else { throw LayersFile.tooLarge(path.string) }
    return try LayersFile(bytes, of: id, path: path.string)
  }

  /// An errno for a person: which thing, what is wrong, what to do.
  static func failure(_ error: Errno, _ subject: String) -> Failure {
    switch error {
    case .noSuchFileOrDirectory:
      Failure(.missingInput, "\(subject) does not exist", advice: "create it or correct the path")
    case .notDirectory:
      Failure(.missingInput, "\(subject) is not a directory", advice: "name a directory")
    case .fileNameTooLong:
      Failure(.missingInput, "\(subject) has too long a name", advice: "correct the path")
    case .permissionDenied, .notPermitted:
      Failure(
        .permission, "\(subject) cannot be opened: \(error)",
        advice: "run the command as a user who may")
    case .invalidArgument:
      Failure(.malformedInput, "\(subject) is no regular file", advice: "name a file")
    case .socketNotConnected:
      Failure(
        .failed, "\(subject) is a mount whose server has died",
        advice: "'unionfs-swift umount -l' it first")
    default: Failure(.failed, "\(subject): \(error)")
    }
  }
}
