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

  /// Says what could not be kept.
  static func tell(_ notes: [String]) {
    for note in notes { Text.writeError("warning: \(note)") }
  }
}
