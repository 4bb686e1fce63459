internal import JSONValue
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Reading what Docker from 1.10 to 23 kept: `image/aufs/{imagedb,layerdb,repositories.json}`.
extension LayerStore {
  func readDigests() throws(Failure) -> Catalog {
    var catalog = Catalog(kind: .digest)
    let layers = try DigestLayers(of: self, warnings: &catalog.warnings)
    if let images = try placeIfThere("image/aufs/imagedb/content/sha256") {
      let ids = try about(images.path) { () throws(Errno) in try images.objects() }
      for id in ids {
        do throws(Failure) {
          catalog.images[id] = try digestImage(id, in: images, layers)
        } catch {
          catalog.broken[id] = error
          catalog.warnings.append(error)
        }
      }
    }
    do throws(Failure) { catalog.tags = try digestTags() } catch {
      catalog.tagsFailure = error
      catalog.warnings.append(error)
    }
    try readContainers(into: &catalog, hidden: []) { id throws(Failure) in
      try containerLayer(id)
    }
    return catalog
  }

  private func digestImage(
    _ id: ObjectID, in images: StoreDirectory, _ layers: DigestLayers
  ) throws(Failure) -> Image {
    let json = try Self.json(id.hex, in: images)
    let path = images.path(id.hex.name)
    let diffs = json["rootfs"]?["diff_ids"]
    guard let names = diffs == nil || diffs == .null ? [] : diffs?.strings else {
      throw Failure(.malformedInput, "\(path): its rootfs.diff_ids are no digests")
    }
    return Image(
      id: id, parent: try digestParent(of: id), json: json,
      created: (json["created"]?.string).flatMap { Timestamp(rfc3339: $0) },
      layers: try layers.chain(names, path: path))
  }

  private func digestParent(of id: ObjectID) throws(Failure) -> ObjectID? {
    let name = "image/aufs/imagedb/metadata/sha256/\(id)"
    guard let directory = try placeIfThere(name) else { return nil }
    let bytes = try about(directory.path) { () throws(Errno) in
      try directory.readIfThere("parent".name, limit: 256)
    }
    return bytes.flatMap(DigestLayers.digest)
  }

  private func digestTags() throws(Failure) -> Tags {
    guard let directory = try placeIfThere("image/aufs") else { return Tags() }
    let path = directory.path.appending("repositories.json")
    let bytes = try about(path) { () throws(Errno) in
      try directory.readIfThere("repositories.json".name)
    }
    guard let bytes else { return Tags() }
    return try Self.parse(path) { () throws(JSONFlaw) in try Tags(parsingDigests: bytes) }
  }

  /// `layerdb/mounts/ID/mount-id`.
  private func containerLayer(_ id: ObjectID) throws(Failure) -> LayerID {
    let mounts = try place("image/aufs/layerdb/mounts/\(id)")
    let path = mounts.path.appending("mount-id")
    let bytes = try about(path) { () throws(Errno) in
      try mounts.read("mount-id".name, limit: 256)
    }
    return try DigestLayers.layer(bytes, path)
  }
}

/// `layerdb`: which directory holds which layer.
struct DigestLayers {
  private struct Key: Hashable {
    /// The chain below; nil at the bottom.
    let below: ObjectID?
    let diff: ObjectID
  }

  private struct Entry {
    let chain: ObjectID
    let layer: Layer
  }

  private var entries: [Key: Entry] = [:]

  init(of store: LayerStore, warnings: inout [Failure]) throws(Failure) {
    guard let chains = try store.placeIfThere("image/aufs/layerdb/sha256") else { return }
    let ids = try about(chains.path) { () throws(Errno) in try chains.objects() }
    for id in ids {
      do throws(Failure) { try add(id, in: chains) } catch { warnings.append(error) }
    }
  }

  private mutating func add(_ chain: ObjectID, in chains: StoreDirectory) throws(Failure) {
    let path = chains.path(chain.hex.name)
    let directory = try about(path) { () throws(Errno) in try chains.directory(chain.hex.name) }
    func read(_ name: String) throws(Failure) -> [UInt8]? {
      try about(path.appending(name)) { () throws(Errno) in
        try directory.readIfThere(name.name, limit: 256)
      }
    }
    guard let diff = try read("diff").flatMap(Self.digest) else {
      throw Failure(.malformedInput, "\(path.appending("diff")): it is no digest")
    }
    let parent = try read("parent")
    let below = parent.flatMap(Self.digest)
    if parent != nil, below == nil {
      throw Failure(.malformedInput, "\(path.appending("parent")): it is no digest")
    }
    let size = try read("size").flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
    let id = try Self.layer(try read("cache-id") ?? [], path.appending("cache-id"))
    entries[Key(below: below, diff: diff)] = Entry(
      chain: chain, layer: Layer(id: id, size: size.flatMap { $0 < 0 ? nil : $0 }))
  }

  /// An image's layers, topmost first, from its diffIDs, lowest first.
  func chain(_ diffs: [String], path: FilePath) throws(Failure) -> [Layer] {
    var layers: [Layer] = []
    var below: ObjectID?
    for diff in diffs {
      guard let digest = Self.digest(Array(diff.utf8)),
        let entry = entries[Key(below: below, diff: digest)]
      else {
        throw Failure(
          .malformedInput, "\(path): the layer \(diff) is not in image/aufs/layerdb",
          advice: "restore it from a copy of the store")
      }
      layers.append(entry.layer)
      below = entry.chain
    }
    return layers.reversed()
  }

  /// The digits of `sha256:DIGITS`.
  static func digest(_ bytes: [UInt8]) -> ObjectID? {
    let text = String(decoding: bytes, as: UTF8.self)
    return text.hasPrefix("sha256:") ? ObjectID(text.dropFirst(7)) : nil
  }

  /// A file that names a layer's directory.
  static func layer(_ bytes: [UInt8], _ path: FilePath) throws(Failure) -> LayerID {
    do throws(LayerID.Flaw) { return try LayerID(bytes) } catch {
      throw Failure(.malformedInput, "\(path): it names no layer: \(error.explanation)")
    }
  }
}
