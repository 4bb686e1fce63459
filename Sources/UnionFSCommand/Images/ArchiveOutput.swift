internal import ImageArchive
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a command writes: a file that is seen once it is whole, a device or a pipe, or standard output.
final class ArchiveOutput {
  let descriptor: CInt
  let name: String
  private let staged: OutputFile?
  private let place: OutputPlace?
  private let isOwned: Bool

  /// - Parameter path: nil or `-` for standard output.
  init(_ path: FilePath?) throws(Failure) {
    guard let path, path != "-" else {
      if Program.isTerminal(1) {
        throw Failure(
          .usage, "standard output is a terminal", advice: "name a file with -o, or redirect it")
      }
      (descriptor, name, staged, place, isOwned) = (1, "standard output", nil, nil, false)
      return
    }
    name = "\(path)"
    if let open = try Self.openInPlace(path) {
      (descriptor, staged, place, isOwned) = (open, nil, nil, true)
      return
    }
    let place = try OutputPlace((try? Invocation.realPath(path)) ?? path)
    let staged = try OutputFile(in: place.directory, name: place.name)
    (descriptor, self.staged, self.place, isOwned) = (staged.descriptor, staged, place, false)
  }

  deinit { if isOwned { FileSystemCall.close(descriptor) } }

  /// A device or a pipe is written to and stays what it is; nil for what a new file may replace.
  private static func openInPlace(_ path: FilePath) throws(Failure) -> CInt? {
    do throws(Errno) {
      let there: CInt
      do throws(Errno) { there = try FileSystemCall.open(path: path, OpenFlag.path) } catch {
        if error == .noSuchFileOrDirectory { return nil }
        throw error
      }
      defer { FileSystemCall.close(there) }
      let status = try FileSystemCall.status(of: there)
      if status.isRegular { return nil }
      if status.isDirectory { throw Errno.isDirectory }
      return try FileSystemCall.open(path: path, OpenFlag.writeOnly)
    } catch { throw Disk.failure(error, "\(path)") }
  }

  /// Shows the file under its name.
  func publish() throws(Failure) { try staged?.publish() }
}

/// A name in a directory where something is to appear.
final class OutputPlace {
  let directory: CInt
  /// A C string.
  let name: [CChar]

  init(_ path: FilePath) throws(Failure) {
    guard let last = path.lastComponent, last.kind == .regular else {
      throw Failure(.usage, "'\(path)' is no name for an output", advice: "name a file with -o")
    }
    name = TreeCopy.cName(FilePath(root: nil, CollectionOfOne(last)).pathBytes)
    let above = path.removingLastComponent()
    do throws(Errno) {
      directory = try FileSystemCall.open(
        path: above.isEmpty ? "." : above, OpenFlag.readOnly | OpenFlag.directory)
    } catch { throw Disk.failure(error, "\(above)") }
  }

  deinit { FileSystemCall.close(directory) }
}
