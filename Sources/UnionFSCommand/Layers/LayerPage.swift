internal import ImageArchive
internal import JSONValue
internal import SystemPackage
internal import UnionCore

/// The layers as one page of HTML that needs nothing else: no network, no other file. Its sources are in
/// `Page/`.
///
/// What comes from a disk stands in one block of JSON without a `<`, and the page's program puts it into
/// text nodes only. The policy in its head lets no other script run, whatever a name holds.
struct LayerPage {
  /// No more names than these are in a page; the smallest are summed in their directories.
  static let nameLimit = 200_000

  private let sources: [LayerSource]
  private let analysis: LayerAnalysis
  private let limit: Int

  init(_ sources: [LayerSource], _ analysis: LayerAnalysis, limit: Int = Self.nameLimit) {
    self.sources = sources
    self.analysis = analysis
    self.limit = limit
  }

  /// Replaces the file where there is one; `-` is standard output.
  func write(to path: FilePath) throws(Failure) {
    if path == "-" { return Text.writeOutput(bytes) }
    do {
      let file = try FileDescriptor.open(
        path, .writeOnly, options: [.create, .truncate, .closeOnExec],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
      defer { try? file.close() }
      try file.writeAll(bytes)
    } catch {
      throw Disk.failure(error as? Errno ?? .ioError, "page \(path)")
    }
  }

  var bytes: [UInt8] {
    let style = PackageResources.page_css
    let script =
      PackageResources.model_js + PackageResources.history_js + PackageResources.map_js
      + PackageResources.search_js
    return Self.fill(
      PackageResources.page_html,
      [
        "policy": Self.policy(style: style, script: script), "title": Self.escaped(title),
        "style": style, "script": script, "data": data,
      ])
  }

  /// Each `{{NAME}}` of the template becomes what stands for it.
  private static func fill(_ template: [UInt8], _ values: [String: [UInt8]]) -> [UInt8] {
    var page: [UInt8] = []
    var rest = template[...]
    while let open = rest.firstRange(of: "{{".utf8), let close = rest.firstRange(of: "}}".utf8) {
      page += rest[..<open.lowerBound]
      page +=
        values[String(decoding: rest[open.upperBound..<close.lowerBound], as: UTF8.self)] ?? []
      rest = rest[close.upperBound...]
    }
    return page + rest
  }

  private static func policy(style: [UInt8], script: [UInt8]) -> [UInt8] {
    let hashes = [script, style].map { "'sha256-\(Base64.text(Digest(of: $0).bytes))'" }
    return Array("default-src 'none'; script-src \(hashes[0]); style-src \(hashes[1])".utf8)
  }

  private var title: String {
    guard let top = sources.first else { return "" }
    return top.tags.first ?? top.shortID
  }

  private static func escaped(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for byte in PageText.visible(Array(text.utf8)).utf8 {
      switch byte {
      case UInt8(ascii: "<"): bytes += Array("&lt;".utf8)
      case UInt8(ascii: "&"): bytes += Array("&amp;".utf8)
      default: bytes.append(byte)
      }
    }
    return bytes
  }

  // MARK: The data

  private var data: [UInt8] {
    let tree = PageTree(analysis.tree, layers: sources.count, limit: limit)
    let value: JSONValue = [
      "title": .string(PageText.visible(Array(title.utf8))),
      "layers": .array(sources.indices.reversed().map(layer)),
      "names": .string(tree.names), "tree": .string(Base64.text(tree.bytes)),
      "nodes": .integer(Int64(tree.count)), "folded": .integer(Int64(tree.folded)),
      "problems": .integer(Int64(analysis.problemCount)),
    ]
    // A `<` stands in strings alone, where the escape means the same.
    let escape = Array("\\u003c".utf8)
    var safe: [UInt8] = []
    for byte in value.bytes {
      if byte == UInt8(ascii: "<") { safe += escape } else { safe.append(byte) }
    }
    return safe
  }

  private func layer(_ index: Int) -> JSONValue {
    let (source, layer) = (sources[index], analysis.layers[index])
    func text(_ value: String?) -> JSONValue {
      .string(PageText.visible(Array((value ?? "").utf8)))
    }
    func sum(_ sum: LayerFigures.Sum) -> JSONValue {
      [.integer(Int64(sum.names)), .integer(sum.bytes)]
    }
    return [
      "id": text(source.id), "short": text(source.shortID), "created": text(source.created),
      "command": text(source.instruction), "author": text(source.author),
      "tags": .array(source.tags.map { text($0) }), "files": sum(layer.files),
      "directories": .integer(Int64(layer.directories)), "added": .integer(Int64(layer.added)),
      "changed": .integer(Int64(layer.changed)), "removed": sum(layer.removedFiles),
      "removedDirectories": .integer(Int64(layer.removedDirectories)),
      "replaced": sum(layer.replacedFiles), "wasted": sum(layer.wasted),
      "visible": sum(layer.visibleFiles),
      "visibleDirectories": .integer(Int64(layer.visibleDirectories)),
      "attributes": sum(layer.attributeCopies), "identical": sum(layer.identicalCopies),
    ]
  }
}
