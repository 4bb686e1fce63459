internal import JSONValue
internal import UnionCore

/// A docker archive: `manifest.json` and the configurations for Docker from 1.10 on, `repositories` and a
/// directory a layer for those before.
final class DockerArchiveWriter {
  private let members: MemberWriter
  /// Where each layer lies.
  private var layers: [Digest: String] = [:]
  private var written: Set<String> = []

  init(_ members: MemberWriter) { self.members = members }

  func write(_ images: [SavedImage]) throws(Failure) {
    var manifest: [JSONValue] = []
    var repositories: JSONValue = [:]
    for image in images {
      let chain = image.chain.isEmpty ? Self.chain(of: image) : image.chain
      for part in chain { try write(part, of: image) }
      for layer in image.layers where layers[layer.diffID] == nil {
        // A chain of the caller's without it.
        try writeLayer(layer, folder: layer.diffID.hex)
      }
      let config = Digest(of: image.configuration).hex + ".json"
      if written.insert(config).inserted { try members.file(config, image.configuration) }
      manifest.append([
        "Config": .string(config),
        "RepoTags": image.tags.isEmpty ? .null : .array(image.tags.map { .string($0) }),
        "Layers": .array(image.layers.map { .string(layers[$0.diffID] ?? "") }),
      ])
      if let top = chain.last { Self.add(image.tags, top.id, to: &repositories) }
    }
    try members.file("manifest.json", JSONValue.array(manifest).bytes)
    if repositories.object?.isEmpty == false {
      try members.file("repositories", repositories.bytes)
    }
    try members.close()
  }

  private func write(_ part: SavedImage.V1Image, of image: SavedImage) throws(Failure) {
    guard written.insert(part.id).inserted else { return }
    try members.folder(part.id)
    try members.file("\(part.id)/VERSION", Array("1.0".utf8))
    try members.file("\(part.id)/json", part.json)
    guard let index = part.layer, image.layers.indices.contains(index) else {
      return try members.file("\(part.id)/layer.tar", [UInt8](repeating: 0, count: 1024))
    }
    try writeLayer(image.layers[index], folder: part.id)
  }

  private func writeLayer(_ layer: any LayerContent, folder: String) throws(Failure) {
    try members.folder(folder)
    let name = "\(folder)/layer.tar"
    if let first = layers[layer.diffID] { return try members.link(name, to: "../\(first)") }
    try members.file(name, size: layer.tarBytes) { (sink) throws(Failure) in
      try writeChecked(layer, to: sink)
    }
    layers[layer.diffID] = name
  }

  /// An image a layer, as Docker from 1.10 on makes them up for those before.
  private static func chain(of image: SavedImage) -> [SavedImage.V1Image] {
    let config = try? JSONValue(parsing: image.configuration)
    var chain: [SavedImage.V1Image] = []
    for (index, layer) in image.layers.enumerated() {
      let isTop = index == image.layers.count - 1
      let parent = chain.last?.id
      var json: JSONValue = isTop ? config ?? [:] : [:]
      for name in ["rootfs", "history"] { json[name] = nil }
      for name in ["created", "os", "architecture"] where json[name] == nil {
        json[name] = config?[name]
      }
      let seed =
        "\(parent ?? "") \(layer.diffID) \(isTop ? Digest(of: image.configuration).hex : "")"
      let id = Digest(of: seed.utf8).hex
      json["id"] = .string(id)
      json["parent"] = parent.map { .string($0) }
      chain.append(SavedImage.V1Image(id: id, json: json.bytes, layer: index))
    }
    return chain
  }

  private static func add(_ tags: [String], _ id: String, to repositories: inout JSONValue) {
    for tag in tags {
      guard let colon = tag.lastIndex(of: ":"), !tag[colon...].contains("/") else { continue }
      let name = String(tag[..<colon])
      var list = repositories[name] ?? [:]
      list[String(tag[tag.index(after: colon)...])] = .string(id)
      repositories[name] = list
    }
  }
}
