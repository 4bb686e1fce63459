internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What is common to making images: ids, json, the files beside them.
enum NewImage {
  /// The name of a layer's tar-data in an image's directory, as Docker has it.
  static let tarData = "tar-data.json.gz"

  /// How layers are unpacked by whoever runs the command.
  static var extraction: ExtractionOptions {
    var options = ExtractionOptions()
    if Invocation.effectiveUser != 0 { options.ownership = .recorded }
    return options
  }

  /// An id that follows from what the image is: who loads the same has it already.
  static func id(parent: ObjectID?, diffID: Digest?, json: JSONValue) throws(Failure) -> ObjectID {
    let text = "\(parent?.hex ?? "")\n\(diffID?.description ?? "")\n"
    let digest = Digest(of: Array(text.utf8) + json.bytes)
    guard let id = ObjectID(digest.hex) else { throw Failure(.failed, "a digest is no id") }
    return id
  }

  /// The json of a new image: Docker's fields, without what is not known.
  static func json(
    parent: ObjectID?, created: String, createdBy: [String], config: JSONValue?,
    comment: String = "", author: String = "", size: Int64 = 0
  ) -> JSONValue {
    var containerConfig = config ?? [:]
    containerConfig["Cmd"] = .array(createdBy.map { .string($0) })
    var json: JSONValue = [
      "created": .string(created), "container_config": containerConfig,
      "architecture": .string(Self.architecture), "os": "linux", "Size": .integer(size),
    ]
    if let parent { json["parent"] = .string(parent.hex) }
    if let config { json["config"] = config }
    if !comment.isEmpty { json["comment"] = .string(comment) }
    if !author.isEmpty { json["author"] = .string(author) }
    return json
  }

  /// This machine's, as Go calls it.
  static var architecture: String {
    #if arch(arm64)
      "arm64"
    #else
      "amd64"
    #endif
  }

  /// Writes what is known of a layer's tar into its image's directory.
  static func describe(
    _ directory: StoreDirectory, checksum: Digest?, configuration: [UInt8]? = nil
  ) throws(Failure) {
    do throws(Errno) {
      if let checksum { try directory.write("checksum", Array(checksum.description.utf8)) }
      if let configuration {
        try directory.make("unionfs-swift").write("config", configuration)
      }
    } catch { throw Disk.failure(error, "\(directory.path)") }
  }

  /// Makes an image whose layer is filled by the caller, names it and writes its id.
  ///
  /// - Parameters:
  ///   - fill: unpacks into the layer; gets a descriptor for its tar-data.
  ///   - json: the image's, its size given; the id is put in.
  static func make(
    in store: LayerStore, on parent: ObjectID?, named reference: Reference?, _ work: LongWork,
    fill: (NewLayer, _ tarData: CInt) throws -> ExtractedLayer,
    json: (_ size: Int64) -> JSONValue
  ) throws {
    let id = try work.run {
      let transaction = try store.transaction()
      if let parent { try transaction.use(parent) }
      let layer = try transaction.makeLayer(on: parent?.layer)
      let files = try ImageFiles(transaction)
      let filled = try fill(layer, files.tarData)
      tell(filled.notes)
      var json = json(filled.size)
      json["id"] = .string(layer.id.hex)
      let image = try transaction.stageImage(
        layer.id, parent: parent, json: json.bytes, layerSize: filled.size)
      try describe(image, checksum: filled.diffID)
      try files.moveTarData(to: image)
      try work.checkpoint()
      try transaction.publish { _, _, changes throws(Failure) in
        if let reference { changes.tags.set(reference, to: layer.id) }
      }
      return layer.id
    }
    Text.writeOutput(Array("\(id)\n".utf8))
  }

  /// Says what could not be kept.
  static func tell(_ notes: [String]) {
    for note in notes { Text.writeError("warning: \(note)") }
  }
}

/// Files of an image that are written before its directory is there.
final class ImageFiles {
  private let directory: StoreDirectory
  let tarData: CInt

  init(_ transaction: Transaction) throws(Failure) {
    directory = try transaction.temporaryDirectory("files-\(ObjectID.random().short)")
    do throws(Errno) { tarData = try directory.create(NewImage.tarData) } catch {
      throw Disk.failure(error, "\(directory.path)")
    }
  }

  deinit { FileSystemCall.close(tarData) }

  func moveTarData(to image: StoreDirectory) throws(Failure) {
    let name = TreeCopy.cName(Array(NewImage.tarData.utf8))
    do throws(Errno) {
      guard try FileSystemCall.status(of: tarData).size > 0 else { return }
      try FileSystemCall.rename(at: directory.descriptor, name, to: image.descriptor, name)
    } catch { throw Disk.failure(error, "\(image.path)") }
  }
}
