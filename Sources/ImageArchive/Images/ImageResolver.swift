internal import JSONValue
internal import UnionCore

/// What the JSON of an archive says its layers are.
final class ImageResolver {
  let members: any ImageMembers
  let places: any LayerPlaces
  let options: ImageReadingOptions
  let name: String
  private(set) var notes: [String] = []

  init(_ members: any ImageMembers, _ unpacker: MemberUnpacker) {
    self.members = members
    places = unpacker.places
    options = unpacker.options
    name = unpacker.name
  }

  func malformed(_ what: String) -> Failure { .malformed("\(name): \(what)") }
  func note(_ what: String) { notes.append(what) }

  /// A member as JSON; nil where there is none.
  func document(_ member: String) throws(Failure) -> JSONValue? {
    guard let bytes = try members.json(member) else { return nil }
    return try parsed(bytes, member)
  }

  func parsed(_ bytes: [UInt8], _ member: String) throws(Failure) -> JSONValue {
    do throws(JSONFlaw) { return try JSONValue(parsing: bytes) } catch {
      throw malformed("\(shown(member.utf8)): \(error)")
    }
  }

  /// The text of a member, which must be there.
  func required(_ member: String, by whom: String) throws(Failure) -> [UInt8] {
    guard let bytes = try members.json(member) else {
      throw malformed("\(shown(member.utf8)) is missing, which \(whom) names")
    }
    return bytes
  }

  // MARK: Docker's archives from 1.10 on

  func dockerImages(_ list: [JSONValue]) throws(Failure) -> [LoadedImage] {
    var images: [LoadedImage] = []
    for item in list {
      guard let config = item["Config"]?.string.flatMap({ MemberName.normal($0) }),
        let layers = Self.list(item["Layers"])?.strings
      else { throw malformed("manifest.json has an image without Config or Layers") }
      let bytes = try required(config, by: "manifest.json")
      let digest = Digest(of: bytes)
      try checkName(of: config, digest)
      images.append(
        LoadedImage(
          tags: item["RepoTags"]?.strings ?? [], description: .configuration(bytes, digest),
          layers: try self.layers(layers, config: config, bytes)))
    }
    if images.isEmpty { throw malformed("manifest.json names no image") }
    return images
  }

  /// A configuration is called by its digest; other names say nothing.
  private func checkName(of config: String, _ digest: Digest) throws(Failure) {
    var stem = MemberName.last(of: config)
    if stem.hasSuffix(".json") { stem.removeLast(5) }
    if MemberName.isID(stem), stem != digest.hex {
      throw malformed("\(config) is damaged: its digest is \(digest)")
    }
  }

  /// The layers that members hold, in the order of a configuration's diffIDs.
  private func layers(
    _ names: [String], config: String, _ bytes: [UInt8]
  ) throws(Failure) -> [LoadedLayer] {
    let diffIDs = try diffIDs(of: bytes, config)
    guard names.count == diffIDs.count else {
      throw malformed("\(config) has \(diffIDs.count) layers, but its manifest \(names.count)")
    }
    var layers: [LoadedLayer] = []
    for (text, diffID) in zip(names, diffIDs) {
      guard let member = MemberName.normal(text) else {
        throw malformed("the layer \(shown(text.utf8)) lies outside the archive")
      }
      layers.append(try layer(member, diffID, by: config))
    }
    return layers
  }

  /// What is empty is written as null, or not at all.
  static func list(_ json: JSONValue?) -> JSONValue? { json == nil || json == .null ? [] : json }

  func diffIDs(of bytes: [UInt8], _ config: String) throws(Failure) -> [Digest] {
    guard let root = try parsed(bytes, config)["rootfs"],
      let texts = Self.list(root["diff_ids"])?.strings
    else {
      throw malformed("\(config) is no image's configuration: it has no diff_ids")
    }
    let digests = texts.compactMap { Digest($0) }
    guard digests.count == texts.count else {
      throw malformed("\(config) has a diffID that is no sha256 digest")
    }
    return digests
  }

  func layer(_ member: String, _ diffID: Digest, by config: String) throws(Failure) -> LoadedLayer {
    if members.isLazy && places.has(.diffID(diffID)) { return .present(.diffID(diffID)) }
    guard let found = try members.layer(member) else {
      throw malformed("the layer \(shown(member.utf8)) of \(config) is missing")
    }
    guard found.layer.diffID == diffID else {
      throw malformed(
        "the layer \(shown(member.utf8)) is not what \(config) names: its diffID is "
          + "\(found.layer.diffID), not \(diffID)")
    }
    return .unpacked(place: found.place, found.layer)
  }
}
