import Foundation
import ImageArchive
import TestSupport
import UnionCore

/// A folder of one test's own.
final class Scratch: Sendable {
  let path: Path

  init() throws {
    let name = "unionfs-archive-\(UUID().uuidString)"
    path = Path(FileManager.default.temporaryDirectory.path) / Path(name)
    try path.mkdir(0o755)
  }

  deinit { try? path.removeTree() }

  static func / (scratch: Scratch, name: Path) -> Path { scratch.path / name }

  /// A new directory in it.
  func directory(_ name: Path) throws -> Path {
    try (path / name).mkdir()
    return path / name
  }
}

/// What a tree is, to compare: everything of each entry but its access time, which names are one file, and
/// where the files have data.
func fingerprint(_ root: Path) throws -> [String] {
  var first: [UInt64: Path] = [:]
  return try walk(root).map { node in
    var text = node.detail
    if node.status.kind != .directory && node.status.links > 1 {
      text += " is \(first[node.status.inode, default: node.path])"
      first[node.status.inode] = first[node.status.inode] ?? node.path
    }
    if node.status.kind == .file { text += try holes(root / node.path, node.status) }
    return text
  }
}

private func holes(_ path: Path, _ status: Status) throws -> String {
  let file = try path.open(O_RDONLY)
  defer { file.close() }
  var ranges: [String] = []
  var at: Int64 = 0
  while at < Int64(status.size), let start = try? file.seek(at, seekData) {
    at = try file.seek(start, seekHole)
    ranges.append("\(start)-\(at)")
  }
  let whole = status.size == 0 || ranges == ["0-\(status.size)"]
  return whole ? "" : " data \(ranges.joined(separator: ","))"
}

/// Unpacks a tar; the directory is made.
@discardableResult
func extract(
  _ tar: [UInt8], into directory: Path, options: ExtractionOptions = ExtractionOptions()
) throws -> ExtractedLayer {
  try extract(BytesSource(tar), into: directory, options: options)
}

@discardableResult
func extract(
  file: Path, into directory: Path, options: ExtractionOptions = ExtractionOptions(),
  tarData: Path? = nil
) throws -> ExtractedLayer {
  let tar = try file.open(O_RDONLY)
  defer { tar.close() }
  return try extract(
    DescriptorSource(tar.descriptor, name: "\(file)"), into: directory, options: options,
    tarData: tarData)
}

@discardableResult
func extract(
  _ source: any ByteSource, into directory: Path, options: ExtractionOptions = ExtractionOptions(),
  tarData: Path? = nil, watch: Watch = Watch()
) throws -> ExtractedLayer {
  if !directory.exists { try directory.mkdir() }
  let folder = try directory.open(O_RDONLY | O_DIRECTORY)
  defer { folder.close() }
  let data = try tarData?.open(O_WRONLY | O_CREAT | O_TRUNC)
  defer { data?.close() }
  return try Layer.extract(
    source, name: "layer", into: folder.descriptor, tarData: data?.descriptor, options: options,
    watch: watch)
}

/// Packs a directory; the tar in memory.
func pack(
  _ directory: Path, _ view: PackingOptions.View = .layer
) throws -> (layer: PackedLayer, tar: [UInt8]) {
  let folder = try directory.open(O_RDONLY | O_DIRECTORY)
  defer { folder.close() }
  let sink = BytesSink()
  let layer = try Layer.pack(
    folder.descriptor, name: "\(directory)", to: sink, options: PackingOptions(view: view))
  return (layer, sink.bytes)
}

/// The message of a failure that `body` must end with.
func refusal(_ body: () throws -> Void) -> String {
  do {
    try body()
    return "nothing was refused"
  } catch let failure as Failure {
    return failure.code == .malformedInput ? failure.message : "not malformed: \(failure)"
  } catch {
    return "another error: \(error)"
  }
}
