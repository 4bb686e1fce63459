internal import JSONValue
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a store's `graph/ID/json` and `repositories-aufs` tell of layers, or a newer Docker's databases. Every file
/// is reached from the root's descriptor without following a symbolic link; what is missing is left out.
final class LayerHistory {
  private let root: CInt?
  private let newer: DigestHistory?
  private var tags: [String: [String]] = [:]
  private(set) var warnings: [String] = []
  /// More than this is no image's description.
  private static let limit = 4 << 20

  /// ROOT is above `layers`, or above `aufs/layers`.
  init(_ layout: LayerStoreLayout) {
    var path = layout.layersFile.removingLastComponent().removingLastComponent()
    if path.lastComponent == "aufs" { path.removeLastComponent() }
    root = try? FileSystemCall.open(path: path, OpenFlag.path | OpenFlag.directory)
    newer = DigestHistory(root: path)
    warnings = newer?.warnings ?? []
    readTags()
  }

  deinit { if let root { FileSystemCall.close(root) } }

  func tell(_ id: LayerID, _ source: inout LayerSource) {
    if let newer { return newer.tell(id, &source) }
    source.tags = tags[id.description] ?? []
    guard let json = read(["graph", id.description, "json"]) else { return }
    source.created = json["created"]?.string
    let words = json["container_config"]?["Cmd"]?.strings ?? []
    if !words.isEmpty { source.command = words.joined(separator: " ") }
    if let author = json["author"]?.string, !author.isEmpty { source.author = author }
  }

  private func readTags() {
    let repositories = read(["repositories-aufs"])?["Repositories"]?.object ?? [:]
    for (name, list) in repositories.sorted(by: { $0.key < $1.key }) {
      for (tag, id) in (list.object ?? [:]).sorted(by: { $0.key < $1.key }) {
        if let id = id.string { tags[id, default: []].append("\(name):\(tag)") }
      }
    }
  }

  private func read(_ names: [String]) -> JSONValue? {
    guard let root, let bytes = try? Self.content(of: names, below: root) else { return nil }
    do throws(JSONFlaw) {
      return try JSONValue(parsing: bytes)
    } catch {
      warnings.append("\(names.joined(separator: "/")) is left out: \(error)")
      return nil
    }
  }

  private static func content(of names: [String], below root: CInt) throws(Errno) -> [UInt8] {
    guard let last = names.last else { return [] }
    var directory = root
    defer { if directory != root { FileSystemCall.close(directory) } }
    for name in names.dropLast() {
      let next = try FileSystemCall.open(
        at: directory, name, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
      if directory != root { FileSystemCall.close(directory) }
      directory = next
    }
    let file = try FileSystemCall.open(
      at: directory, last, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
    defer { FileSystemCall.close(file) }
    guard try FileSystemCall.status(of: file).isRegular else { throw Errno.invalidArgument }
    var bytes: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 1)
    defer { chunk.deallocate() }
    while true {
      let count = try FileSystemCall.read(file, into: chunk, at: Int64(bytes.count))
      if count == 0 { return bytes }
      bytes += chunk.prefix(count)
      if bytes.count > limit { throw Errno.fileTooLarge }
    }
  }
}
