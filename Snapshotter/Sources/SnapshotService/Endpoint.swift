internal import NIOCore
internal import NIOPosix
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The path of the socket.
struct Endpoint {
  let path: FilePath

  /// Bytes of a path in a socket's address, without the NUL (unix(7)).
  private static let limit = 107

  /// Makes room: a socket on which nobody listens is what a killed server left.
  init(_ path: FilePath) async throws(Failure) {
    self.path = path
    guard path.string.utf8.count <= Self.limit else {
      throw Failure(
        .usage, "\(path) is too long for a socket: more than \(Self.limit) bytes",
        advice: "name a shorter --address")
    }
    try makeFolder(path.removingLastComponent())
    switch try present() {
    case nil: return
    case .socket?: break
    default:
      throw Failure(
        .usage, "\(path) is there already and no socket", advice: "name another --address")
    }
    guard await !isServed() else {
      throw Failure(.busy, "another server listens on \(path)", advice: "stop it first")
    }
    do throws(Errno) { try FileSystemCall.unlink(path) } catch {
      throw Failure(.failed, "the stale socket \(path) cannot be removed: \(error)")
    }
  }

  /// Only the owner may connect, whatever the umask.
  func restrict() throws(Failure) {
    do throws(Errno) {
      let folder = try FileSystemCall.open(
        path: path.removingLastComponent().string.isEmpty ? "." : path.removingLastComponent(),
        OpenFlag.readOnly | OpenFlag.directory)
      defer { FileSystemCall.close(folder) }
      guard let name = path.lastComponent else { throw Errno.invalidArgument }
      let bytes = name.string.utf8.map { CChar(bitPattern: $0) } + [0]
      try FileSystemCall.changeMode(at: folder, bytes, 0o600)
    } catch {
      throw Failure(.failed, "\(path) cannot be closed to others: \(error)")
    }
  }

  func remove() { try? FileSystemCall.unlink(path) }

  private func makeFolder(_ folder: FilePath) throws(Failure) {
    do throws(Errno) {
      if folder.isEmpty { return }
      try FileSystemCall.makeDirectory(folder, mode: 0o700)
    } catch {
      if error == .fileExists { return }
      throw Failure(
        .missingInput, "the folder \(folder) of the socket cannot be made: \(error)",
        advice: "make it, or name another --address")
    }
  }

  /// What is there; nil for nothing. A link is one, and no socket.
  private func present() throws(Failure) -> FileKind? {
    let outcome: Result<FileKind?, Errno> = path.withPlatformString { name in
      // -100 is AT_FDCWD.
      do throws(Errno) { return .success(try FileSystemCall.type(at: -100, name)) } catch {
        return .failure(error)
      }
    }
    do throws(Errno) { return try outcome.get() } catch {
      throw Failure(.failed, "\(path) cannot be looked at: \(error)")
    }
  }

  private func isServed() async -> Bool {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    guard
      let channel = try? await bootstrap.connect(unixDomainSocketPath: path.string).get()
    else { return false }
    try? await channel.close()
    return true
  }
}
