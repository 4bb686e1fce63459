internal import ImageArchive
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a command reads: a file, a directory, or standard input.
final class ArchiveInput {
  enum Kind { case stream, directory }

  let kind: Kind
  let descriptor: CInt
  /// What messages call it.
  let name: String
  /// Bytes of a regular file; nil for anything else.
  let size: Int64?
  private let isOwned: Bool

  /// - Parameter path: nil or `-` for standard input.
  init(_ path: FilePath?) throws(Failure) {
    guard let path, path != "-" else {
      if Program.isTerminal(0) {
        throw Failure(
          .usage, "standard input is a terminal", advice: "name a file with -i, or pipe it in")
      }
      (kind, descriptor, name, isOwned) = (.stream, 0, "standard input", false)
      size = (try? FileSystemCall.status(of: 0)).flatMap { $0.isRegular ? $0.size : nil }
      return
    }
    name = "\(path)"
    do throws(Errno) {
      descriptor = try FileSystemCall.open(path: path, OpenFlag.readOnly)
      isOwned = true
    } catch { throw Disk.failure(error, "\(path)") }
    let status = try? FileSystemCall.status(of: descriptor)
    kind = status?.isDirectory ?? false ? .directory : .stream
    size = status.flatMap { $0.isRegular ? $0.size : nil }
  }

  deinit { if isOwned { FileSystemCall.close(descriptor) } }
}
