internal import JSONValue
public import SystemCalls
public import UnionCore

/// One step of how an image was made.
public struct HistoryEntry: Sendable {
  /// nil where the step has no image of its own here.
  public let id: ObjectID?
  public let created: Timestamp?
  /// The command, as `docker history` shows it.
  public let createdBy: String
  public let comment: String
  /// Bytes that it added; nil where the store does not tell.
  public let size: Int64?
  /// The image's names.
  public let tags: [String]
  /// nil where it has none.
  public let layer: LayerID?

  /// The newest first: by the json of the images, or in a newer Docker's store by the configuration.
  public static func all(of image: Image, _ catalog: Catalog) throws(Failure) -> [HistoryEntry] {
    switch catalog.kind {
    case .graph:
      let names = catalog.tags.byImage
      return try catalog.chain(of: image.id).map { entry(of: $0, names) }
    case .digest: return try fromConfiguration(image, catalog)
    }
  }

  /// The same by the list of parents in `layers/ID`.
  public static func byLayers(
    of image: Image, _ store: LayerStore, _ catalog: Catalog
  ) throws(Failure) -> [HistoryEntry] {
    let top = try catalog.topLayer(of: image.id)
    let ids = [top] + (try store.layersFile(of: top).parents.map(\.id))
    let names = catalog.tags.byImage
    let known = catalog.imagesByLayer
    return ids.map { layer in
      guard let owner = known[layer] else {
        return HistoryEntry(
          id: nil, created: nil, createdBy: "", comment: "no image has this layer", size: nil,
          tags: [], layer: layer)
      }
      if catalog.kind == .graph { return entry(of: owner, names) }
      let size = owner.layers.first { $0.id == layer }?.size
      return HistoryEntry(
        id: layer == top ? image.id : nil, created: nil, createdBy: "", comment: "",
        size: size, tags: [], layer: layer)
    }
  }

  private static func entry(of image: Image, _ names: [ObjectID: [Tag]]) -> HistoryEntry {
    let command = image.json["container_config"]?["Cmd"]?.strings ?? []
    return HistoryEntry(
      id: image.id, created: image.created, createdBy: command.joined(separator: " "),
      comment: image.json["comment"]?.string ?? "", size: image.layers.first?.size,
      tags: (names[image.id] ?? []).filter { !$0.isDigest }.map(\.reference).sorted(),
      layer: image.id.layer)
  }

  private static func fromConfiguration(
    _ image: Image, _ catalog: Catalog
  ) throws(Failure) -> [HistoryEntry] {
    let names = catalog.tags.byImage
    var layers = image.layers[...]
    // The images that a build left here, newest first.
    var ids: ArraySlice<ObjectID> = (try catalog.chain(of: image.id)).map(\.id)[...]
    var history = image.json["history"]?.array ?? []
    // A configuration without a history still has its layers.
    let told = history.filter { $0["empty_layer"]?.bool != true }.count
    if told != layers.count {
      history = Array(repeating: JSONValue.object([:]), count: layers.count)
    }
    return history.reversed().map { step in
      let layer = step["empty_layer"]?.bool == true ? nil : layers.popFirst()
      let id = ids.popFirst()
      return HistoryEntry(
        id: id, created: (step["created"]?.string).flatMap { Timestamp(rfc3339: $0) },
        createdBy: step["created_by"]?.string ?? "", comment: step["comment"]?.string ?? "",
        size: layer == nil ? 0 : layer?.size,
        tags: id.map { (names[$0] ?? []).filter { !$0.isDigest }.map(\.reference).sorted() } ?? [],
        layer: layer?.id)
    }
  }
}

extension Catalog {
  /// The layer that a container of the image would lie on.
  public func topLayer(of id: ObjectID) throws(Failure) -> LayerID {
    // In a graph it has the image's name, whatever lies below.
    if kind == .graph { return id.layer }
    if let layer = try layers(of: id).first { return layer.id }
    throw Failure(.failed, "the image \(id.short) has no layers")
  }

  /// The image that each layer is of; of several, any.
  var imagesByLayer: [LayerID: Image] {
    var found: [LayerID: Image] = [:]
    for image in images.values { for layer in image.layers { found[layer.id] = image } }
    return found
  }
}
