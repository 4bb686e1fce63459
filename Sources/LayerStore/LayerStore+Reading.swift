public import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// Reading what a store holds.
extension LayerStore {
  /// All images, tags and containers as one moment had them.
  public func catalog() throws(Failure) -> Catalog {
    try whileLocked(exclusively: false) { () throws(Failure) in try readCatalog() }
  }

  /// Under the lock.
  func readCatalog() throws(Failure) -> Catalog {
    switch kind {
    case .graph: try readGraph()
    case .digest: try readDigests()
    }
  }

  /// The parents of a layer, nearest first, as `layers/ID` tells them.
  public func layersFile(of layer: LayerID) throws(Failure) -> LayersFile {
    let directory = try place("aufs/layers")
    let path = directory.path(layer.name)
    let bytes = try about(path) { () throws(Errno) in
      try directory.read(layer.name, limit: LayersFile.byteLimit)
    }
    return try LayersFile(bytes, of: layer, path: path.string)
  }

  /// The directory of a layer's own files.
  public func diff(of layer: LayerID) throws(Failure) -> StoreDirectory {
    let directory = try place("aufs/diff")
    return try about(directory.path(layer.name)) { () throws(Errno) in
      try directory.directory(layer.name)
    }
  }

  /// A file of an image that is there beside its json: `checksum`, `tar-data.json.gz`,
  /// `unionfs-swift/config`; nil where it has none.
  public func imageFile(
    _ name: String, of image: ObjectID, limit: Int = 1 << 30
  ) throws(Failure) -> [UInt8]? {
    guard kind == .graph, let graph = try placeIfThere("graph") else { return nil }
    let path = graph.path(image.hex.name).appending(name)
    return try about(path) { () throws(Errno) in
      do throws(Errno) {
        var directory = try graph.directory(image.hex.name)
        let parts = name.split(separator: "/")
        for part in parts.dropLast() { directory = try directory.directory(String(part).name) }
        return try directory.read(String(parts.last ?? "").name, limit: limit)
      } catch {
        if error == .noSuchFileOrDirectory { return nil }
        throw error
      }
    }
  }

  /// A container's `hostconfig.json`; nil where it has none that can be read.
  public func hostConfig(of container: ObjectID) -> JSONValue? {
    guard let containers = try? placeIfThere("containers"),
      let own = try? containers.directory(container.hex.name)
    else { return nil }
    return try? Self.json("hostconfig.json", in: own)
  }

  private func readGraph() throws(Failure) -> Catalog {
    var catalog = Catalog(kind: .graph)
    let pending = try Pending(of: self)
    if let graph = try placeIfThere("graph") {
      let ids = try about(graph.path) { () throws(Errno) in try graph.objects() }
      for id in ids where !pending.hidden.contains(id.layer) {
        do throws(Failure) { catalog.images[id] = try Self.image(id, in: graph) } catch {
          catalog.broken[id] = error
          catalog.warnings.append(error)
        }
      }
    }
    do throws(Failure) {
      var bytes = pending.repositories
      if bytes == nil { bytes = try repositories() }
      if let bytes {
        catalog.tags = try Self.parse(layout.repositories) { () throws(JSONFlaw) in
          try Tags(parsing: bytes)
        }
      }
    } catch {
      catalog.tagsFailure = error
      catalog.warnings.append(error)
    }
    try readContainers(into: &catalog, hidden: pending.hidden) { id in id.layer }
    let broken = catalog.broken.keys.map(\.layer) + catalog.brokenContainers.keys.map(\.layer)
    for layer in broken {
      // Its json does not tell what it lies on, but this does.
      guard let chain = try? layersFile(of: layer).parents else {
        catalog.neededByBroken = nil
        break
      }
      catalog.neededByBroken?.formUnion(chain.compactMap(\.id.object))
    }
    return catalog
  }

  private func repositories() throws(Failure) -> [UInt8]? {
    guard let root else { return nil }
    return try about(layout.repositories) { () throws(Errno) in
      try root.readIfThere("repositories-aufs".name)
    }
  }

  /// Bytes of a file that must be what it is called.
  static func parse<Value>(
    _ path: FilePath, _ body: () throws(JSONFlaw) -> Value
  ) throws(Failure) -> Value {
    do throws(JSONFlaw) { return try body() } catch {
      throw Failure(
        .malformedInput, "\(path): \(error)", advice: "restore the file from a copy of the store")
    }
  }

  static func json(
    _ name: String, in directory: StoreDirectory
  ) throws(Failure) -> JSONValue {
    let path = directory.path(name.name)
    let bytes = try about(path) { () throws(Errno) in try directory.read(name.name) }
    let value = try parse(path) { () throws(JSONFlaw) in try JSONValue(parsing: bytes) }
    if value.object == nil {
      throw Failure(.malformedInput, "\(path): it is no JSON object")
    }
    return value
  }

  private static func image(
    _ id: ObjectID, in graph: StoreDirectory
  ) throws(Failure) -> Image {
    let directory = try about(graph.path(id.hex.name)) { () throws(Errno) in
      try graph.directory(id.hex.name)
    }
    let json = try json("json", in: directory)
    guard json["id"]?.string == id.hex else {
      throw Failure(
        .malformedInput,
        "\(directory.path.appending("json")): it is of the image '\(json["id"]?.string ?? "")'",
        advice: "restore the file from a copy of the store")
    }
    var parent: ObjectID?
    if let text = json["parent"]?.string, !text.isEmpty {
      parent = ObjectID(text)
      if parent == nil {
        throw Failure(
          .malformedInput, "\(directory.path.appending("json")): its parent '\(text)' is no id")
      }
    }
    let size = (try? directory.read("layersize".name, limit: 64)).flatMap { bytes in
      Int64(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
    }
    return Image(
      id: id, parent: parent, json: json,
      created: (json["created"]?.string).flatMap { Timestamp(rfc3339: $0) },
      layers: [Layer(id: id.layer, size: size.flatMap { $0 < 0 ? nil : $0 })])
  }

  /// - Parameter layer: a container's own layer.
  func readContainers(
    into catalog: inout Catalog, hidden: Set<LayerID>,
    layer: (ObjectID) throws(Failure) -> LayerID
  ) throws(Failure) {
    guard let directory = try placeIfThere("containers") else { return }
    let ids = try about(directory.path) { () throws(Errno) in try directory.objects() }
    for id in ids where !hidden.contains(id.layer) {
      do throws(Failure) {
        let own = try about(directory.path(id.hex.name)) { () throws(Errno) in
          try directory.directory(id.hex.name)
        }
        let name = kind == .graph ? "config.json" : "config.v2.json"
        let json = try Self.json(name, in: own)
        catalog.containers[id] = Container(
          id: id, json: json, layer: try layer(id),
          created: (json["Created"]?.string).flatMap { Timestamp(rfc3339: $0) })
      } catch {
        catalog.brokenContainers[id] = error
        catalog.warnings.append(error)
      }
    }
  }
}
