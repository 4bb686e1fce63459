internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Makes images of the graph out of what an archive held: one for each entry of a history.
struct LoadedChain {
  private let transaction: Transaction
  private let places: StagedPlaces
  private let watch: Watch
  private var made: Set<ObjectID> = []
  private(set) var tags: [(Reference, ObjectID)] = []
  /// What `load` writes: a line for each name, or an image without one.
  private(set) var lines: [String] = []

  init(_ transaction: Transaction, _ places: StagedPlaces, _ watch: Watch) {
    self.transaction = transaction
    self.places = places
    self.watch = watch
  }

  /// - Parameter named: a name for it beside those that it has.
  mutating func add(_ image: LoadedImage, named: Reference?) throws(Failure) {
    let id: ObjectID
    switch image.description {
    case .configuration(let bytes, _): id = try addSteps(of: bytes, image.layers)
    case .chain(let chain): id = try addChain(chain, image.layers)
    }
    var references: [Reference] = named.map { [$0] } ?? []
    for tag in image.tags {
      // A layout's annotation may be a tag alone, whose name nobody knows.
      guard tag.contains(":") || tag.contains("/"), let reference = try? Reference(tag) else {
        if named == nil {
          Text.writeError("warning: '\(tag)' is no name of an image; name it with 'tag' or -t")
        }
        continue
      }
      references.append(reference)
    }
    tags += references.map { ($0, id) }
    lines += references.map { "Loaded image: \($0)" }
    if references.isEmpty { lines.append("Loaded image ID: \(id)") }
  }

  // MARK: Docker 1.10 and later, OCI

  private struct Step {
    var history: JSONValue
    var layer: LoadedLayer?
  }

  private mutating func addSteps(
    of configuration: [UInt8], _ layers: [LoadedLayer]
  ) throws(Failure) -> ObjectID {
    let json: JSONValue
    do throws(JSONFlaw) { json = try JSONValue(parsing: configuration) } catch {
      throw Failure(.malformedInput, "an image's configuration: \(error)")
    }
    let steps = Self.steps(json, layers)
    var parent: ObjectID?
    for (index, step) in steps.enumerated() {
      let isLast = index == steps.count - 1
      parent = try add(
        step, on: parent, json, configuration: isLast ? configuration : nil)
    }
    guard let parent else {
      throw Failure(.malformedInput, "an image has neither layers nor a history")
    }
    return parent
  }

  /// The history's entries with their layers; where it tells of another number of layers, a step a layer.
  private static func steps(_ json: JSONValue, _ layers: [LoadedLayer]) -> [Step] {
    let history = json["history"]?.array ?? []
    let told = history.filter { $0["empty_layer"]?.bool != true }.count
    guard told == layers.count, !history.isEmpty else {
      return layers.isEmpty ? [Step(history: [:])] : layers.map { Step(history: [:], layer: $0) }
    }
    var rest = layers[...]
    return history.map {
      Step(history: $0, layer: $0["empty_layer"]?.bool == true ? nil : rest.popFirst())
    }
  }

  private mutating func add(
    _ step: Step, on parent: ObjectID?, _ image: JSONValue, configuration: [UInt8]?
  ) throws(Failure) -> ObjectID {
    let unpacked = Self.unpacked(step.layer)
    let created =
      step.history["created"]?.string ?? image["created"]?.string ?? "1970-01-01T00:00:00Z"
    var json = NewImage.json(
      parent: parent, created: created, createdBy: [step.history["created_by"]?.string ?? ""],
      config: configuration == nil ? nil : image["config"],
      comment: step.history["comment"]?.string ?? "",
      author: step.history["author"]?.string ?? "", size: unpacked?.layer.size ?? 0)
    for name in ["architecture", "os", "variant"] {
      if let value = image[name] { json[name] = value }
    }
    if step.layer == nil { json["throwaway"] = true }
    let content = configuration.map { Digest(of: $0).description } ?? ""
    json["id"] = nil
    var identity = json
    identity["unionfs-swift"] = .string(content)
    let id = try NewImage.id(parent: parent, diffID: unpacked?.layer.diffID, json: identity)
    json["id"] = .string(id.hex)
    try make(id, on: parent, json.bytes, unpacked, configuration)
    return id
  }

  private static func unpacked(
    _ layer: LoadedLayer?
  ) -> (place: String, layer: ExtractedLayer)? {
    if case .unpacked(let place, let layer)? = layer { return (place, layer) }
    return nil
  }

  // MARK: Docker up to 1.9

  private mutating func addChain(
    _ chain: [V1Layer], _ layers: [LoadedLayer]
  ) throws(Failure) -> ObjectID {
    var parent: ObjectID?
    for (index, entry) in chain.enumerated() {
      guard let id = ObjectID(entry.id) else {
        throw Failure(.malformedInput, "'\(Text.printable(Array(entry.id.utf8)))' is no image's id")
      }
      let layer = index < layers.count ? layers[index] : nil
      if case .present? = layer {
        try transaction.use(id)
      } else {
        try make(id, on: parent, entry.json, Self.unpacked(layer), nil)
      }
      parent = id
    }
    guard let parent else { throw Failure(.malformedInput, "an image has no layers") }
    return parent
  }

  // MARK: Both

  private mutating func make(
    _ id: ObjectID, on parent: ObjectID?, _ json: [UInt8],
    _ unpacked: (place: String, layer: ExtractedLayer)?, _ configuration: [UInt8]?
  ) throws(Failure) {
    guard made.insert(id).inserted else { return }
    let layer = try transaction.stageLayer(id, on: parent)
    let directory = try transaction.stageImage(
      id, parent: parent, json: json, layerSize: unpacked?.layer.size ?? 0)
    try NewImage.describe(
      directory, checksum: unpacked?.layer.diffID, configuration: configuration)
    guard let unpacked else { return }
    if let taken = places.taken[unpacked.place] {
      return try copy(taken, into: layer)
    }
    try transaction.move(unpacked.place, into: layer)
    try places.moveTarData(of: unpacked.place, to: directory)
    let moved = try Self.opened(layer.diff)
    places.taken[unpacked.place] = moved
  }

  /// The same layer once more, under other ones.
  private func copy(
    _ source: StoreDirectory, into layer: NewLayer
  ) throws(Failure) {
    var tree = TreeCopy()
    tree.watch = watch
    try tree.copyContents(of: [], source.descriptor, to: layer.diff.descriptor)
  }

  /// The directory that has taken the place of the one that was opened.
  private static func opened(_ old: StoreDirectory) throws(Failure) -> StoreDirectory {
    do throws(Errno) { return try StoreDirectory(opening: old.path) } catch {
      throw Disk.failure(error, "\(old.path)")
    }
  }
}
