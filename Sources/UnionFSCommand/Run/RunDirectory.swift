internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// A directory for what belongs to one command's life: what a runtime is told of a container, what has no size
/// yet. Locked while the command lives, so that another one can tell what a kill has left.
final class RunDirectory {
  let path: FilePath
  private let parent: FilePath
  private let lock: CInt

  private static let prefix = "bundle-"

  init(_ name: String, below parent: FilePath) throws(Failure) {
    self.parent = parent
    let path = parent.appending(Self.prefix + name)
    self.path = path
    do throws(Errno) {
      for directory in [parent, path] {
        do throws(Errno) { try FileSystemCall.makeDirectory(directory, mode: 0o700) } catch {
          if error != .fileExists { throw error }
        }
      }
      lock = try FileSystemCall.open(path: path, OpenFlag.readOnly | OpenFlag.directory)
      try FileSystemCall.lockExclusively(lock)
    } catch { throw Disk.failure(error, "\(path)") }
  }

  deinit { FileSystemCall.close(lock) }

  func remove() { Self.remove(path, in: parent) }

  private static func remove(_ path: FilePath, in parent: FilePath) {
    guard let name = path.lastComponent?.string,
      let directory = try? FileSystemCall.open(
        path: parent, OpenFlag.readOnly | OpenFlag.directory)
    else { return }
    defer { FileSystemCall.close(directory) }
    try? TreeRemoval.remove(TreeCopy.cName(Array(name.utf8)), in: directory)
  }

  /// Ends the containers of commands that were killed, and removes their directories.
  static func clearAbandoned(below parent: FilePath) {
    for name in ProcessTable.names(in: parent) where name.hasPrefix(prefix) {
      let path = parent.appending(name)
      guard
        let lock = try? FileSystemCall.open(path: path, OpenFlag.readOnly | OpenFlag.directory)
      else { continue }
      defer { FileSystemCall.close(lock) }
      guard (try? FileSystemCall.lockExclusively(lock)) != nil else { continue }
      for program in ["runc", "crun"] {
        guard let runtime = try? OCIRuntime(named: program, state: parent) else { continue }
        runtime.delete(id: String(name.dropFirst(prefix.count)))
      }
      remove(path, in: parent)
    }
  }
}
