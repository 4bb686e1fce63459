internal import JSONValue
internal import UnionCore

/// The names of the images: `repositories-aufs`, of a newer Docker `repositories.json`.
public struct Tags: Sendable, Equatable {
  /// The whole file, with what this program does not know.
  private(set) var json: JSONValue = ["Repositories": [:]]
  private var ids: [String: [String: ObjectID]] = [:]

  public init() {}

  /// Reads the file of a store that Docker up to 1.9, or this program, keeps.
  init(parsing bytes: [UInt8]) throws(JSONFlaw) {
    json = try JSONValue(parsing: bytes)
    guard let repositories = json["Repositories"]?.object else {
      throw JSONFlaw("it has no object 'Repositories'")
    }
    for (name, tags) in repositories {
      // Docker leaves a null where the last tag of a name has gone.
      if tags == .null { continue }
      guard let tags = tags.object else { throw JSONFlaw("'\(name)' is no object") }
      for (tag, value) in tags {
        guard let id = value.string.flatMap({ ObjectID($0) }) else {
          throw JSONFlaw("'\(name):\(tag)' names no image's id")
        }
        ids[name, default: [:]][tag] = id
      }
    }
  }

  /// Reads the file of Docker from 1.10 on: `{"Repositories": {NAME: {"NAME:TAG": "sha256:ID"}}}`.
  init(parsingDigests bytes: [UInt8]) throws(JSONFlaw) {
    json = try JSONValue(parsing: bytes)
    guard let repositories = json["Repositories"]?.object else {
      throw JSONFlaw("it has no object 'Repositories'")
    }
    for (name, references) in repositories {
      for (reference, value) in references.object ?? [:] {
        guard let digest = value.string, digest.hasPrefix("sha256:"),
          let id = ObjectID(digest.dropFirst(7)), reference.hasPrefix(name),
          let separator = reference.dropFirst(name.count).first, ":@".contains(separator)
        else { throw JSONFlaw("'\(reference)' names no image's digest") }
        ids[name, default: [:]][String(reference.dropFirst(name.count + 1))] = id
      }
    }
  }

  var bytes: [UInt8] { json.bytes }

  /// Sorted.
  public var all: [Tag] {
    ids.flatMap { name, tags in tags.map { Tag(name: name, tag: $0.key, image: $0.value) } }
      .sorted()
  }

  public func image(_ reference: Reference) -> ObjectID? {
    ids[reference.name]?[reference.tagOrDefault]
  }

  public func tags(of image: ObjectID) -> [Tag] { all.filter { $0.image == image } }

  /// Names of images by their ids, for many questions.
  public var byImage: [ObjectID: [Tag]] { Dictionary(grouping: all, by: \.image) }

  /// A tag that was another image's is taken from that.
  public mutating func set(_ reference: Reference, to image: ObjectID) {
    set(reference.name, reference.tagOrDefault, image)
  }

  public mutating func remove(_ tag: Tag) { set(tag.name, tag.tag, nil) }

  private mutating func set(_ name: String, _ tag: String, _ image: ObjectID?) {
    ids[name, default: [:]][tag] = image
    var repositories = json["Repositories"] ?? [:]
    var tags = repositories[name] ?? [:]
    tags[tag] = image.map { .string($0.hex) }
    if ids[name]?.isEmpty ?? true {
      ids[name] = nil
      repositories[name] = nil
    } else {
      repositories[name] = tags
    }
    json["Repositories"] = repositories
  }
}
