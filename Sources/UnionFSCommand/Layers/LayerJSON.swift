internal import JSONValue
internal import SystemPackage
internal import UnionCore

/// The layers as JSON.
struct LayerJSON {
  private let sources: [LayerSource]
  private let analysis: LayerAnalysis
  private let top: Int

  init(_ sources: [LayerSource], _ analysis: LayerAnalysis, top: Int) {
    self.sources = sources
    self.analysis = analysis
    self.top = top
  }

  /// Writes the document; with `paths` an object a line for every path.
  func write(paths: Bool) {
    let (all, byLayer) = analysis.largest(top)
    let members: [(String, JSONValue)] = [
      ("layers", .array(sources.indices.map { layer($0, largest: byLayer[$0]) })),
      ("total", total),
      ("wasters", .array(analysis.wasters(top).map(waster))),
      ("largest", .array(all.map { file($0, withLayer: true) })),
      ("unreadable", .array(analysis.problems.map(problem))),
    ]
    var text = Array("{".utf8)
    for (index, (name, value)) in members.enumerated() {
      text += Array("\(index == 0 ? "" : ",")\n\"\(name)\": ".utf8) + value.bytes
    }
    Text.writeOutput(text)
    if paths { writePaths() }
    Text.writeOutput(Array("\n}\n".utf8))
  }

  private func number(_ layer: some BinaryInteger) -> JSONValue {
    .integer(Int64(sources.count) - Int64(layer))
  }

  // MARK: Layers

  private func layer(_ index: Int, largest: [LayerAnalysis.Largest]) -> JSONValue {
    let source = sources[index]
    var value = Self.figures(analysis.layers[index])
    value["number"] = number(index)
    value["id"] = .string(source.id)
    value = Self.adding("directory", source.directory.pathBytes, to: value)
    value["created"] = source.created.map { .string($0) } ?? .null
    value["command"] = source.command.map { .string($0) } ?? .null
    value["author"] = source.author.map { .string($0) } ?? .null
    value["tags"] = .array(source.tags.map { .string($0) })
    value["largest"] = .array(largest.map { file($0, withLayer: false) })
    return value
  }

  private static func figures(_ layer: LayerFigures) -> JSONValue {
    var removed = sum(layer.removedFiles)
    removed["directories"] = .integer(Int64(layer.removedDirectories))
    var visible = sum(layer.visibleFiles)
    visible["directories"] = .integer(Int64(layer.visibleDirectories))
    return [
      "files": .integer(Int64(layer.files.names)), "bytes": .integer(layer.files.bytes),
      "directories": .integer(Int64(layer.directories)), "added": .integer(Int64(layer.added)),
      "changed": .integer(Int64(layer.changed)), "removed": removed,
      "replaced": sum(layer.replacedFiles), "wasted": sum(layer.wasted), "visible": visible,
      "attribute_copies": sum(layer.attributeCopies),
      "identical_copies": sum(layer.identicalCopies),
      "whiteouts": .integer(Int64(layer.whiteouts)),
      "opaque_directories": .integer(Int64(layer.opaqueDirectories)),
    ]
  }

  private static func sum(_ sum: LayerFigures.Sum) -> JSONValue {
    ["files": .integer(Int64(sum.names)), "bytes": .integer(sum.bytes)]
  }

  private var total: JSONValue {
    [
      "bytes": .integer(analysis.storedBytes), "visible_bytes": .integer(analysis.visibleBytes),
      "wasted_bytes": .integer(analysis.wastedBytes),
      "visible_files": .integer(Int64(analysis.visibleFiles)),
      "visible_directories": .integer(Int64(analysis.visibleDirectories)),
      "names": .integer(Int64(analysis.tree.count)),
      "efficiency": .number(analysis.efficiency),
      "unreadable": .integer(Int64(analysis.problemCount)),
    ]
  }

  // MARK: Names

  private func waster(_ waster: LayerAnalysis.Waster) -> JSONValue {
    var value: JSONValue = ["bytes": .integer(waster.bytes)]
    value["copies"] = .array(analysis.tree.copies(of: waster.node).map(copy))
    return Self.adding("path", path(waster.node), to: value)
  }

  private func file(_ file: LayerAnalysis.Largest, withLayer: Bool) -> JSONValue {
    var value = copy(file.copy)
    if !withLayer { value["layer"] = nil }
    return Self.adding("path", path(file.node), to: value)
  }

  private func copy(_ copy: LayerCopy) -> JSONValue {
    var value: JSONValue = [
      "layer": number(copy.layer), "bytes": .integer(copy.size),
      "type": .string("\(copy.kind)"), "change": .string("\(copy.change)"),
      "state": .string("\(copy.fate)"),
    ]
    if copy.fate != .visible { value["by"] = number(copy.hider) }
    if copy.isLink { value["link"] = true }
    return value
  }

  private func problem(_ problem: LayerProblem) -> JSONValue {
    Self.adding(
      "path", [UInt8(ascii: "/")] + problem.path,
      to: ["layer": number(problem.layer), "error": .string("\(problem.error)")])
  }

  private func path(_ node: Int) -> [UInt8] { [UInt8(ascii: "/")] + analysis.tree.path(of: node) }

  /// As `which --json` has paths: what is not UTF-8 stands beside it, escaped.
  private static func adding(_ name: String, _ path: [UInt8], to value: JSONValue) -> JSONValue {
    var value = value
    let text = String(decoding: path, as: UTF8.self)
    value[name] = .string(text)
    if Array(text.utf8) != path {
      let escaped = OctalEscape.escape(path, where: { OctalEscape.isSpecial($0) || $0 > 0x7E })
      value["\(name)_escaped"] = .string(String(decoding: escaped, as: UTF8.self))
    }
    return value
  }

  /// By hand: an encoder takes too long for 200,000 of them.
  private func writePaths() {
    var text = Array(",\n\"paths\": [".utf8)
    for node in 1..<max(1, analysis.tree.nodes.count) {
      let copies = analysis.tree.copies(of: node).map { copy in
        "{\"layer\": \(sources.count - Int(copy.layer)), \"bytes\": \(copy.size), "
          + "\"type\": \"\(copy.kind)\", \"change\": \"\(copy.change)\", \"state\": \"\(copy.fate)\""
          + (copy.fate == .visible ? "" : ", \"by\": \(sources.count - Int(copy.hider))")
          + (copy.isLink ? ", \"link\": true}" : "}")
      }
      text += Array("\(node == 1 ? "" : ",")\n{\(WhichReport.member("path", path(node)))".utf8)
      text += Array(", \"copies\": [\(copies.joined(separator: ", "))]}".utf8)
      if text.count > 1 << 16 {
        Text.writeOutput(text)
        text.removeAll(keepingCapacity: true)
      }
    }
    Text.writeOutput(text + Array("\n]".utf8))
  }
}
