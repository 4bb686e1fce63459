internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The store's folder, opened and locked.
struct StoreFolder {
  /// Absolute and without links, as it goes into mount options.
  let path: FilePath
  /// Of `snapshots`; whoever gets it closes it.
  let snapshots: CInt
  /// Holds the lock as long as it is open; whoever gets it closes it.
  let lock: CInt

  init(_ root: FilePath) throws(Failure) {
    path = try Self.make(root)
    try Self.checkForOptions(path)
    lock = try Self.takeLock(path.appending("lock"))
    do throws(Failure) {
      snapshots = try Self.openSnapshots(path.appending("snapshots"))
    } catch {
      FileSystemCall.close(lock)
      throw error
    }
  }

  private static func make(_ root: FilePath) throws(Failure) -> FilePath {
    var missing: [FilePath] = []
    var next = root
    while !next.isEmpty, (try? FileSystemCall.status(following: next.string)) == nil {
      missing.append(next)
      guard next.removeLastComponent() else { break }
    }
    do throws(Errno) {
      for path in missing.reversed() {
        do throws(Errno) { try FileSystemCall.makeDirectory(path, mode: 0o700) } catch {
          if error != .fileExists { throw error }
        }
      }
      return try Invocation.realPath(root)
    } catch {
      throw Failure(
        error == .permissionDenied ? .permission : .failed,
        "the folder \(root) cannot be made: \(error)", advice: "name another by --root")
    }
  }

  /// What separates options and branches may not be part of a path in them.
  private static func checkForOptions(_ path: FilePath) throws(Failure) {
    let isPlain = path.string.unicodeScalars.allSatisfy {
      !",:\\\"'".unicodeScalars.contains($0) && $0.value > 0x20 && $0.value != 0x7F
    }
    guard isPlain, FilePath(path.string) == path else {
      throw Failure(
        .usage, "\(path) cannot be written into mount options",
        advice: "name a --root without commas, colons, quotes, backslashes and spaces")
    }
  }

  private static func takeLock(_ path: FilePath) throws(Failure) -> CInt {
    let flags = OpenFlag.readWrite | OpenFlag.create | OpenFlag.noFollow
    var descriptor: CInt = -1
    do throws(Errno) {
      descriptor = try path.withName { name throws(Errno) in
        try FileSystemCall.open(at: currentDirectory, name, flags, mode: 0o600)
      }
      try FileSystemCall.lockExclusively(descriptor)
      return descriptor
    } catch {
      if descriptor >= 0 { FileSystemCall.close(descriptor) }
      if error == .wouldBlock || error == .resourceTemporarilyUnavailable {
        throw Failure(
          .busy, "another snapshotter runs on \(path.removingLastComponent())",
          advice: "stop it, or name another --root")
      }
      throw Failure(.failed, "\(path) cannot be locked: \(error)")
    }
  }

  private static func openSnapshots(_ path: FilePath) throws(Failure) -> CInt {
    do throws(Errno) {
      do throws(Errno) { try FileSystemCall.makeDirectory(path, mode: 0o700) } catch {
        if error != .fileExists { throw error }
      }
      return try FileSystemCall.open(
        path: path, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    } catch {
      throw Failure(.failed, "\(path) cannot be opened: \(error)")
    }
  }

  /// AT_FDCWD.
  private static let currentDirectory: CInt = -100
}

extension FilePath {
  /// The path as system calls take it, with the type of a thrown error kept.
  fileprivate func withName<Result>(
    _ body: (CName) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let outcome: Swift.Result<Result, Errno> = withPlatformString { name in
      do throws(Errno) { return .success(try body(name)) } catch { return .failure(error) }
    }
    return try outcome.get()
  }
}
