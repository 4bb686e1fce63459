internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// A union that this command mounts for its own work, served by a process of its own.
struct MountedUnion {
  let point: FilePath

  /// Mounts branches, top first, at an existing directory. What goes wrong has been said by the server
  /// then, and its status is this command's.
  ///
  /// - Parameter lifeline: the mount goes with it.
  init(
    _ branches: [(path: FilePath, permission: String)], at point: FilePath,
    options: [String] = [], lifeline: Lifeline? = nil
  ) throws {
    self.point = point
    var words: [FilePath] = ["/proc/self/exe", "mount"]
    if lifeline != nil { words.append("--end-with-input") }
    if !options.isEmpty { words += ["-o", FilePath(options.joined(separator: ","))] }
    for branch in branches {
      let bytes = branch.path.pathBytes + Array("=\(branch.permission)".utf8)
      words += ["--branch", FilePath(bytes: bytes)]
    }
    words.append(point)
    let ending: Daemon.Ending
    do throws(Errno) {
      let input: Program.Stream = lifeline.map { .descriptor($0.other.rawValue) } ?? .nothing
      ending = try Daemon.wait(for: Program.start(words, input: input))
    } catch {
      throw Failure(.failed, "the mount's server cannot be started: \(error)")
    }
    switch ending {
    case .exited(0): return
    case .exited(let status): throw SilentExit(status: status)
    case .killed(let signal):
      throw Failure(.failed, "the mount's server was killed by signal \(signal)")
    }
  }

  /// Takes it away and waits for its server.
  func unmount() throws(Failure) { try Umount.unmount(point, lazy: false) }

  /// The same where something else has gone wrong already.
  func abandon() { try? Umount.unmount(point, lazy: true) }
}

/// A pipe whose writing end this process alone holds: whoever has the other one sees when the process is gone.
final class Lifeline {
  let other: FileDescriptor
  private let own: FileDescriptor

  init() throws(Failure) {
    do throws(Errno) { (other, own) = try Daemon.pipe() } catch {
      throw Failure(.failed, "a pipe cannot be made: \(error)")
    }
  }

  deinit {
    try? other.close()
    try? own.close()
  }
}
