internal import JSONValue
internal import UnionCore

// OCI layouts, and what Docker's media types say in them.

/// What an index or manifest says of another blob.
private struct Descriptor {
  var digest: Digest
  var size: Int64?
  var mediaType: String
  var platform: Platform?
  var tags: [String]
  var isAttestation: Bool

  static let indexTypes: Set = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
  ]
  static let configTypes: Set = [
    "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json",
  ]
  static let layerTypes: Set = [
    "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ]

  /// nil where it has no digest that is known here.
  init?(_ json: JSONValue) {
    guard let digest = json["digest"]?.string.flatMap({ Digest($0) }) else { return nil }
    self.digest = digest
    size = json["size"]?.integer
    mediaType = json["mediaType"]?.string ?? ""
    let annotations = json["annotations"]
    isAttestation = annotations?["vnd.docker.reference.type"]?.string == "attestation-manifest"
    tags = []
    for key in ["io.containerd.image.name", "org.opencontainers.image.ref.name"] {
      // The first is whole; the second is often the same one's tag alone.
      if tags.isEmpty, let tag = annotations?[key]?.string, !tag.isEmpty { tags = [tag] }
    }
    if let os = json["platform"]?["os"]?.string,
      let architecture = json["platform"]?["architecture"]?.string
    {
      platform = Platform(
        os: os, architecture: architecture, variant: json["platform"]?["variant"]?.string)
    }
  }

  var isIndex: Bool { Self.indexTypes.contains(mediaType) }
}

extension ImageResolver {
  func layoutImages(_ index: JSONValue) throws(Failure) -> [LoadedImage] {
    let all = try descriptors(of: index, "index.json")
    let fitting = all.filter { $0.platform.map(options.platform.accepts) ?? true }
    guard !fitting.isEmpty else { throw otherPlatforms(all, "index.json") }
    var images: [LoadedImage] = []
    var places: [Digest: Int] = [:]
    for descriptor in fitting {
      let manifest = try manifest(descriptor, depth: 0)
      if let known = places[manifest] {
        // The same image under another tag.
        images[known].tags += descriptor.tags.filter { !images[known].tags.contains($0) }
      } else if let image = try image(manifest, tags: descriptor.tags) {
        places[manifest] = images.count
        images.append(image)
      }
    }
    if images.isEmpty { throw malformed("index.json names no image") }
    return images
  }

  private func descriptors(of index: JSONValue, _ name: String) throws(Failure) -> [Descriptor] {
    guard let list = index["manifests"]?.array else {
      throw malformed("\(name) is no index: it has no manifests")
    }
    var found: [Descriptor] = []
    for item in list {
      guard let descriptor = Descriptor(item) else {
        throw malformed("\(name) names a manifest without a sha256 digest")
      }
      if !descriptor.isAttestation { found.append(descriptor) }
    }
    return found
  }

  private func otherPlatforms(_ all: [Descriptor], _ name: String) -> Failure {
    let others = all.compactMap { $0.platform?.description }.joined(separator: ", ")
    return Failure(
      .malformedInput, "\(self.name): \(name) has no image for \(options.platform)",
      advice: others.isEmpty ? "" : "there are: \(others)")
  }

  /// The manifest that a descriptor leads to, through indexes of several platforms.
  private func manifest(_ descriptor: Descriptor, depth: Int) throws(Failure) -> Digest {
    let name = MemberName.blob(descriptor.digest)
    let json = try parsed(try blob(descriptor, by: "an index"), name)
    guard descriptor.isIndex || json["manifests"]?.array != nil else { return descriptor.digest }
    if depth > 4 { throw malformed("\(name): indexes lie too deep in each other") }
    let all = try descriptors(of: json, name)
    let fitting =
      all.first { $0.platform.map(options.platform.accepts) ?? false }
      ?? all.first { $0.platform == nil }
    guard let fitting else { throw otherPlatforms(all, name) }
    return try manifest(fitting, depth: depth + 1)
  }

  /// A blob's bytes; that they have their digest was checked when they were read.
  private func blob(_ descriptor: Descriptor, by whom: String) throws(Failure) -> [UInt8] {
    let name = MemberName.blob(descriptor.digest)
    let bytes = try required(name, by: whom)
    if let size = descriptor.size, size != Int64(bytes.count) {
      throw malformed("\(name) has \(bytes.count) bytes, but \(whom) says \(size)")
    }
    return bytes
  }

  /// nil for what is no image but something else that registries keep.
  private func image(_ digest: Digest, tags: [String]) throws(Failure) -> LoadedImage? {
    let name = MemberName.blob(digest)
    let manifest = try parsed(try required(name, by: "an index"), name)
    guard let config = manifest["config"].flatMap({ Descriptor($0) }),
      let layers = Self.list(manifest["layers"])?.array
    else { throw malformed("\(name) is no manifest: it has no config or no layers") }
    guard Descriptor.configTypes.contains(config.mediaType) else {
      note("\(name) is no image (\(shown(config.mediaType.utf8))) and was left out")
      return nil
    }
    let bytes = try blob(config, by: name)
    return LoadedImage(
      tags: tags, description: .configuration(bytes, config.digest),
      layers: try self.layers(layers, config, bytes))
  }

  private func layers(
    _ list: [JSONValue], _ config: Descriptor, _ bytes: [UInt8]
  ) throws(Failure) -> [LoadedLayer] {
    let name = MemberName.blob(config.digest)
    let diffIDs = try diffIDs(of: bytes, name)
    guard list.count == diffIDs.count else {
      throw malformed("\(name) has \(diffIDs.count) layers, but its manifest \(list.count)")
    }
    var layers: [LoadedLayer] = []
    for (item, diffID) in zip(list, diffIDs) {
      guard let descriptor = Descriptor(item) else {
        throw malformed("the manifest of \(name) names a layer without a sha256 digest")
      }
      guard Descriptor.layerTypes.contains(descriptor.mediaType) else {
        throw malformed(
          "the layer \(descriptor.digest) is of a kind that is not known: "
            + shown(descriptor.mediaType.utf8))
      }
      let layer = try layer(MemberName.blob(descriptor.digest), diffID, by: name)
      layers.append(layer)
      if let size = descriptor.size, case .unpacked(_, let found) = layer,
        found.compressedBytes > size
      {
        throw malformed("the layer \(descriptor.digest) is longer than its manifest says")
      }
    }
    return layers
  }
}
