internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// A layer of the store on its way out: the very bytes that came in where the store knows them and its files
/// are as they were, else its tar made anew.
struct SavedLayer: LayerContent {
  let diffID: Digest
  let tarBytes: Int64
  private let directory: StoreDirectory
  private let tarData: [UInt8]?
  private let watch: Watch

  /// Goes through the layer once.
  ///
  /// - Parameters:
  ///   - checksum: what the tar was, where that is known.
  ///   - tarData: what of it is not file content.
  init(
    _ directory: StoreDirectory, checksum: Digest?, tarData: [UInt8]?, _ watch: Watch
  ) throws(Failure) {
    self.directory = directory
    self.watch = watch
    if let checksum, let tarData {
      let hashed = HashingSink(DroppingSink())
      do throws(Failure) {
        try Self.reassemble(tarData, directory, to: hashed, watch)
        if hashed.digest == checksum {
          (diffID, tarBytes, self.tarData) = (checksum, hashed.count, tarData)
          return
        }
      } catch {
        if error == Failure.cancelled { throw error }
      }
      Text.writeError(
        "warning: \(directory.path) is not as it came; its tar is made anew, with another digest")
    }
    let packed = try Layer.pack(
      directory.descriptor, name: "\(directory.path)", to: DroppingSink(), watch: watch)
    (diffID, tarBytes, self.tarData) = (packed.diffID, packed.tarBytes, nil)
    NewImage.tell(packed.notes)
  }

  func write(to sink: any ByteSink) throws(Failure) {
    if let tarData { return try Self.reassemble(tarData, directory, to: sink, watch) }
    _ = try Layer.pack(
      directory.descriptor, name: "\(directory.path)", to: sink, watch: watch)
  }

  private static func reassemble(
    _ tarData: [UInt8], _ directory: StoreDirectory, to sink: any ByteSink, _ watch: Watch
  ) throws(Failure) {
    try TarSplit.reassemble(
      BytesSource(tarData), name: "\(directory.path)", directory: directory.descriptor, to: sink,
      watch: watch)
  }
}

/// An image of the store on its way out.
struct SavedChain {
  private let store: LayerStore
  private let catalog: Catalog
  private let watch: Watch
  /// Layers that several images have.
  private var known: [LayerID: SavedLayer] = [:]

  init(_ store: LayerStore, _ catalog: Catalog, _ watch: Watch) {
    self.store = store
    self.catalog = catalog
    self.watch = watch
  }

  mutating func image(_ image: Image, tags: [String]) throws(Failure) -> SavedImage {
    switch catalog.kind {
    case .graph: try graphImage(image, tags)
    case .digest: try digestImage(image, tags)
    }
  }

  // MARK: Docker up to 1.9, and this program's

  private mutating func graphImage(_ image: Image, _ tags: [String]) throws(Failure) -> SavedImage {
    var layers: [SavedLayer] = []
    var history: [JSONValue] = []
    var chain: [SavedImage.V1Image] = []
    for part in try catalog.chain(of: image.id).reversed() {
      let layer = try layer(of: part)
      if let layer { layers.append(layer) }
      history.append(Self.history(part, isEmpty: layer == nil))
      chain.append(
        .init(
          id: part.id.hex, json: try file("json", part.id) ?? part.json.bytes,
          layer: layer == nil ? nil : layers.count - 1))
    }
    let diffIDs = layers.map(\.diffID.description)
    return SavedImage(
      tags: tags, configuration: try configuration(image, diffIDs, history), layers: layers,
      chain: chain)
  }

  private func file(_ name: String, _ image: ObjectID) throws(Failure) -> [UInt8]? {
    try store.imageFile(name, of: image)
  }

  /// nil where the image has no files of its own.
  private mutating func layer(of image: Image) throws(Failure) -> SavedLayer? {
    if let known = known[image.id.layer] { return known }
    let directory = try store.diff(of: image.id.layer)
    let checksum = try file("checksum", image.id).flatMap {
      Digest(String(decoding: $0.filter { $0 > 0x20 }, as: UTF8.self))
    }
    if checksum == nil, try TreeCopy.names(directory.descriptor, []).allSatisfy(Self.isOwn) {
      return nil
    }
    let layer = try SavedLayer(
      directory, checksum: checksum, tarData: try file(NewImage.tarData, image.id), watch)
    known[image.id.layer] = layer
    return layer
  }

  private static func isOwn(_ name: [UInt8]) -> Bool { name.starts(with: ".wh..wh.".utf8) }

  private static func history(_ image: Image, isEmpty: Bool) -> JSONValue {
    let words = image.json["container_config"]?["Cmd"]?.strings ?? []
    var entry: JSONValue = [
      "created": image.json["created"] ?? "1970-01-01T00:00:00Z",
      "created_by": .string(words.joined(separator: " ")),
    ]
    for name in ["author", "comment"] {
      if let text = image.json[name]?.string, !text.isEmpty { entry[name] = .string(text) }
    }
    if isEmpty { entry["empty_layer"] = true }
    return entry
  }

  /// The configuration that the image came with where it is still true, else a new one.
  private func configuration(
    _ image: Image, _ diffIDs: [String], _ history: [JSONValue]
  ) throws(Failure) -> [UInt8] {
    if let bytes = try file("unionfs-swift/config", image.id),
      let json = try? JSONValue(parsing: bytes), json["rootfs"]?["diff_ids"]?.strings == diffIDs
    {
      return bytes
    }
    var json: JSONValue = [
      "architecture": image.json["architecture"] ?? .string(NewImage.architecture),
      "os": image.json["os"] ?? "linux",
      "created": image.json["created"] ?? "1970-01-01T00:00:00Z",
      "config": image.config ?? [:], "history": .array(history),
      "rootfs": ["type": "layers", "diff_ids": .array(diffIDs.map { .string($0) })],
    ]
    if let author = image.json["author"]?.string, !author.isEmpty {
      json["author"] = .string(author)
    }
    return json.bytes
  }

  // MARK: Docker from 1.10 on

  private mutating func digestImage(_ image: Image, _ tags: [String]) throws(Failure) -> SavedImage
  {
    let configuration = try read("image/aufs/imagedb/content/sha256/\(image.id)")
    var layers: [SavedLayer] = []
    var chain: String?
    let diffIDs = (image.json["rootfs"]?["diff_ids"]?.strings ?? []).compactMap { Digest($0) }
    guard let configuration, diffIDs.count == image.layers.count else {
      throw Failure(.malformedInput, "the image \(image.id.short) has other layers than it says")
    }
    for (diffID, part) in zip(diffIDs, image.layers.reversed()) {
      chain = chain.map { Digest(of: "\($0) \(diffID)".utf8).description } ?? diffID.description
      let place = "image/aufs/layerdb/sha256/\(chain?.dropFirst(7) ?? "")"
      if let layer = known[part.id] {
        layers.append(layer)
        continue
      }
      let layer = try SavedLayer(
        try store.diff(of: part.id), checksum: diffID,
        tarData: try read("\(place)/tar-split.json.gz"), watch)
      known[part.id] = layer
      layers.append(layer)
    }
    return SavedImage(
      tags: tags,
      configuration: try Self.corrected(configuration, image.json, layers), layers: layers)
  }

  /// With the digests that the layers have now.
  private static func corrected(
    _ configuration: [UInt8], _ json: JSONValue, _ layers: [SavedLayer]
  ) throws(Failure) -> [UInt8] {
    let diffIDs = layers.map(\.diffID.description)
    if json["rootfs"]?["diff_ids"]?.strings == diffIDs { return configuration }
    var json = json
    json["rootfs"] = ["type": "layers", "diff_ids": .array(diffIDs.map { .string($0) })]
    return json.bytes
  }

  private func read(_ name: String) throws(Failure) -> [UInt8]? {
    let path = store.layout.root.appending(name)
    do throws(Errno) { return try Disk.read(path, limit: 1 << 30) } catch {
      if error == .noSuchFileOrDirectory { return nil }
      throw Disk.failure(error, "\(path)")
    }
  }
}
