import Foundation
import ImageArchive
import JSONValue
import TestSupport
import Testing
import UnionCore

@Suite struct ImageReadingTests {
  /// The layers of `makeLayout`, as they were before they were packed.
  private func check(
    _ image: LoadedImage, _ places: FolderPlaces, _ scratch: Scratch,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try #require(image.layers.count == 2, sourceLocation: sourceLocation)
    for (layer, source) in zip(image.layers, [scratch / "lower", scratch / "upper"]) {
      let place = try #require(places[layer], sourceLocation: sourceLocation)
      let (expected, found) = (try fingerprint(source), try fingerprint(place))
      #expect(
        expected == found, "\(difference(expected, found))", sourceLocation: sourceLocation)
    }
    guard case .configuration(let bytes, let digest) = image.description else {
      Issue.record("no configuration", sourceLocation: sourceLocation)
      return
    }
    #expect(Digest(of: bytes) == digest, sourceLocation: sourceLocation)
    let command = try JSONValue(parsing: bytes)["config"]?["Cmd"]?.strings
    #expect(command == ["/bin/app"], sourceLocation: sourceLocation)
  }

  @Test func aLayoutOfUmocisIsReadFromItsDirectory() throws {
    let scratch = try Scratch()
    let layout = try makeLayout(in: scratch)
    let places = FolderPlaces(try scratch.directory("places"))
    let loaded = try readImages(layout, into: places)
    #expect(loaded.images.map(\.tags) == [["app:1"]] && loaded.unreferenced == [])
    try check(loaded.images[0], places, scratch)
    // As umoci itself unpacks it.
    try shell("umoci", "unpack", "--image", "\(layout):app:1", "\(scratch / "bundle")")
    let theirs = try fingerprint(scratch / "bundle/rootfs")
    try shell("tar", "-C", "\(scratch / "lower")", "-cf", "\(scratch / "x")", ".")
    #expect(
      theirs.contains { $0.hasPrefix("folder/new=new") }
        && !theirs.contains { $0.hasPrefix("large#") })
  }

  @Test(arguments: ["", "gzip", "zstd", "xz", "bzip2"])
  func aLayoutInATarIsReadFromAFileAndFromAStream(_ program: String) throws {
    let scratch = try Scratch()
    let layout = try makeLayout(in: scratch)
    let tar = scratch / "image.tar"
    try shell("tar", "-C", "\(layout)", "-cf", "\(tar)", ".")
    if !program.isEmpty {
      try shell("bash", "-c", "\(program) -c < \(tar) > \(tar).z && mv \(tar).z \(tar)")
    }
    let places = FolderPlaces(try scratch.directory("places"))
    let loaded = try readImages(tar, into: places)
    #expect(loaded.images.map(\.tags) == [["app:1"]] && loaded.unreferenced == [])
    try check(loaded.images[0], places, scratch)
    let streamed = FolderPlaces(try scratch.directory("streamed"))
    let again = try readStream(tar, into: streamed)
    try check(again.images[0], streamed, scratch)
    #expect(again.images[0].layers.count == 2 && again.unreferenced == [])
  }

  @Test(arguments: ["docker-archive", "oci-archive", "oci"])
  func whatSkopeoWritesIsRead(_ transport: String) throws {
    let scratch = try Scratch()
    let layout = try makeLayout(in: scratch)
    let target = scratch / "skopeo"
    try shell(
      "skopeo", "--insecure-policy", "copy", "-q", "oci:\(layout):app:1",
      "\(transport):\(target):example.org/app:1")
    for (name, read) in [("lazily", readImages), ("streamed", readStream)] {
      if transport == "oci" && name == "streamed" { continue }
      let places = FolderPlaces(try scratch.directory(Path(name)))
      let loaded = try read(target, places, ImageReadingOptions())
      #expect(loaded.images.map(\.tags) == [["example.org/app:1"]])
      try check(loaded.images[0], places, scratch)
      #expect(loaded.unreferenced == [])
    }
  }

  @Test func aDirectoryOfADockerArchiveIsReadWithItsLinks() throws {
    let scratch = try Scratch()
    let layout = try makeLayout(in: scratch)
    try shell(
      "skopeo", "--insecure-policy", "copy", "-q", "oci:\(layout):app:1",
      "docker-archive:\(scratch / "tar"):app:1")
    let folder = try scratch.directory("unpacked")
    try shell("tar", "-C", "\(folder)", "-xf", "\(scratch / "tar")")
    let places = FolderPlaces(try scratch.directory("places"))
    try check(try readImages(folder, into: places).images[0], places, scratch)
  }

  @Test func layersThatAreThereAreNotUnpackedAgain() throws {
    let scratch = try Scratch()
    let layout = try makeLayout(in: scratch)
    let first = FolderPlaces(try scratch.directory("first"))
    _ = try readImages(layout, into: first)
    let places = FolderPlaces(try scratch.directory("places"))
    let known = try #require(first.ended["place1"]).diffID
    places.known = [.diffID(known)]
    let loaded = try readImages(layout, into: places)
    #expect(loaded.images[0].layers[0] == .present(.diffID(known)))
    #expect(places.ended.count == 1)
  }

  // MARK: Docker up to 1.9

  private static let base = String(repeating: "a", count: 64)
  private static let top = String(repeating: "b", count: 64)

  private static func v1(_ order: [Int] = [0, 1, 2, 3, 4]) -> [UInt8] {
    let layer = RawTar().adding("file", "0", "base").ended
    let members: [(RawTar) -> RawTar] = [
      { $0.adding("repositories", "0", #"{"app":{"1":"\#(top)","latest":"\#(top)"}}"#) },
      { $0.adding("\(base)/json", "0", #"{"id":"\#(base)"}"#) },
      { $0.adding(name: Array("\(base)/layer.tar".utf8), "0", layer) },
      { $0.adding("\(top)/json", "0", #"{"id":"\#(top)","parent":"\#(base)"}"#) },
      { $0.adding("\(top)/layer.tar", "2", link: "../\(base)/layer.tar") },
    ]
    return order.reduce(RawTar()) { members[$1]($0) }.ended
  }

  @Test(arguments: [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]])
  func aChainOfV1ImagesIsReadInAnyOrder(_ order: [Int]) throws {
    let scratch = try Scratch()
    try (scratch / "tar").write(bytes: Self.v1(order))
    for (name, read) in [("lazily", readImages), ("streamed", readStream)] {
      let places = FolderPlaces(try scratch.directory(Path(name)))
      let loaded = try read(scratch / "tar", places, ImageReadingOptions())
      #expect(loaded.images.count == 1 && loaded.images[0].tags == ["app:1", "app:latest"])
      guard case .chain(let chain) = loaded.images[0].description else {
        Issue.record("no chain")
        return
      }
      #expect(chain.map(\.id) == [Self.base, Self.top])
      #expect(chain[0].json == Array(#"{"id":"\#(Self.base)"}"#.utf8))
      // Both layers are one file.
      #expect(loaded.images[0].layers.count == 2 && places.ended.count == 1)
      #expect(loaded.images[0].layers[0] == loaded.images[0].layers[1])
    }
  }

  @Test func withoutRepositoriesTheTopsAreTheImages() throws {
    let scratch = try Scratch()
    try (scratch / "tar").write(bytes: Self.v1([1, 2, 3, 4]))
    let places = FolderPlaces(try scratch.directory("places"))
    let loaded = try readImages(scratch / "tar", into: places)
    #expect(loaded.images.count == 1 && loaded.images[0].tags == [])
  }

  @Test func compressedLayersInsideAreUnpacked() throws {
    let scratch = try Scratch()
    let layer = RawTar().adding("file", "0", "x").ended
    try (scratch / "layer").write(bytes: layer)
    try shell("gzip", "-n", "\(scratch / "layer")")
    let compressed = try (scratch / "layer.gz").bytesOfFile()
    let tar = RawTar().adding("\(Self.base)/json", "0", #"{"id":"\#(Self.base)"}"#)
      .adding(name: Array("\(Self.base)/layer.tar".utf8), "0", compressed).ended
    try (scratch / "tar").write(bytes: tar)
    let places = FolderPlaces(try scratch.directory("places"))
    _ = try readStream(scratch / "tar", into: places)
    #expect(places.ended["place1"]?.diffID == Digest(of: layer))
    #expect(places.ended["place1"]?.compression == .gzip)
  }

  @Test func anImageWithoutLayersIsAnImage() throws {
    let scratch = try Scratch()
    let config = #"{"config":{"Cmd":["/x"]},"rootfs":{"type":"layers","diff_ids":null}}"#
    let tar = RawTar().adding("c.json", "0", config)
      .adding("manifest.json", "0", #"[{"Config":"c.json","RepoTags":null,"Layers":null}]"#).ended
    try (scratch / "tar").write(bytes: tar)
    let places = FolderPlaces(try scratch.directory("places"))
    let loaded = try readImages(scratch / "tar", into: places)
    #expect(loaded.images.map(\.layers) == [[]] && loaded.images[0].tags == [])
  }

  @Test func aBlobThatIsNoLayerHarmsNothingUntilAnImageNamesIt() throws {
    let scratch = try Scratch()
    try (scratch / "x").write("no tar at all")
    try shell("gzip", "-n", "\(scratch / "x")")
    let (tar, digest) = Self.blob(RawTar(), try (scratch / "x.gz").bytesOfFile())
    let config = #"{"rootfs":{"diff_ids":["\#(digest)"]}}"#
    for (layers, reason) in [("[]", ""), (#"["blobs/sha256/\#(digest.hex)"]"#, "no tar archive")] {
      let text = layers == "[]" ? #"{"rootfs":{}}"# : config
      let whole = tar.adding("c.json", "0", text)
        .adding("manifest.json", "0", #"[{"Config":"c.json","Layers":\#(layers)}]"#).ended
      try (scratch / "tar").write(bytes: whole)
      let places = FolderPlaces(try scratch.directory(Path("places \(reason)")))
      if reason.isEmpty {
        #expect(try readStream(scratch / "tar", into: places).images.count == 1)
      } else {
        let message = refusal { _ = try readStream(scratch / "tar", into: places) }
        #expect(message.contains(reason), "\(message)")
      }
      #expect(places.ended.isEmpty)
    }
  }

  // MARK: Several

  private static func blob(_ tar: RawTar, _ bytes: [UInt8]) -> (RawTar, Digest) {
    let digest = Digest(of: bytes)
    return (tar.adding(name: Array("blobs/sha256/\(digest.hex)".utf8), "0", bytes), digest)
  }

  /// An index in an index, for two machines, with a proof beside them.
  private static func manyPlatforms() -> [UInt8] {
    var tar = RawTar()
    var entries: [String] = []
    for architecture in ["arm64", "amd64"] {
      let layer: Digest
      (tar, layer) = blob(tar, RawTar().adding("file", "0", architecture).ended)
      let config: Digest
      let text = #"{"architecture":"\#(architecture)","rootfs":{"diff_ids":["\#(layer)"]}}"#
      (tar, config) = blob(tar, Array(text.utf8))
      let manifest: Digest
      (tar, manifest) = blob(
        tar,
        Array(
          #"{"schemaVersion":2,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"\#(config)"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"\#(layer)"}]}"#
            .utf8))
      entries.append(
        #"{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"\#(manifest)","platform":{"os":"linux","architecture":"\#(architecture)"}}"#
      )
    }
    entries.append(
      #"{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:\#(base)","platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}}"#
    )
    let inner: Digest
    (tar, inner) = blob(tar, Array(#"{"manifests":[\#(entries.joined(separator: ","))]}"#.utf8))
    let index =
      #"{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"\#(inner)","annotations":{"io.containerd.image.name":"docker.io/library/app:2","org.opencontainers.image.ref.name":"2"}}]}"#
    return tar.adding("index.json", "0", index).ended
  }

  @Test func theImageOfThePlatformIsChosen() throws {
    let scratch = try Scratch()
    try (scratch / "tar").write(bytes: Self.manyPlatforms())
    for architecture in ["amd64", "arm64"] {
      var options = ImageReadingOptions()
      options.platform = Platform(architecture: architecture)
      let places = FolderPlaces(try scratch.directory(Path(architecture)))
      let loaded = try readStream(scratch / "tar", into: places, options: options)
      #expect(loaded.images.map(\.tags) == [["docker.io/library/app:2"]])
      let place = try #require(places[loaded.images[0].layers[0]])
      #expect(try (place / "file").text() == architecture)
      #expect(loaded.unreferenced.count == 1)
      let lazy = FolderPlaces(try scratch.directory(Path("lazy " + architecture)))
      #expect(try readImages(scratch / "tar", into: lazy, options: options).unreferenced == [])
      #expect(lazy.ended.count == 1)
    }
    var options = ImageReadingOptions()
    options.platform = Platform(architecture: "riscv64")
    let places = FolderPlaces(try scratch.directory("none"))
    do {
      _ = try readImages(scratch / "tar", into: places, options: options)
      Issue.record("nothing was refused")
    } catch let failure as Failure {
      #expect(failure.message.contains("no image for linux/riscv64"))
      #expect(failure.advice == "there are: linux/arm64, linux/amd64")
    }
  }
}

@Suite struct WrongImageTests {
  private struct Parts {
    var layer = RawTar().adding("file", "0", "x").ended
    var diffID: Digest { Digest(of: layer) }
    var config: String { #"{"rootfs":{"diff_ids":["\#(diffID)"]}}"# }
  }

  private func messages(of tar: [UInt8]) throws -> [String] {
    let scratch = try Scratch()
    try (scratch / "tar").write(bytes: tar)
    return try [("lazily", readImages), ("streamed", readStream)].map { name, read in
      let places = FolderPlaces(try scratch.directory(Path(name)))
      return refusal { _ = try read(scratch / "tar", places, ImageReadingOptions()) }
    }
  }

  private func docker(config: String, name: String? = nil, layer: [UInt8]) -> [UInt8] {
    let name = name ?? Digest(of: config.utf8).hex + ".json"
    return RawTar().adding(name: Array("l/layer.tar".utf8), "0", layer).adding(name, "0", config)
      .adding("manifest.json", "0", #"[{"Config":"\#(name)","Layers":["l/layer.tar"]}]"#).ended
  }

  @Test func aLayerThatIsNotTheConfigurationsIsRefused() throws {
    let parts = Parts()
    let other = RawTar().adding("file", "0", "y").ended
    for message in try messages(of: docker(config: parts.config, layer: other)) {
      #expect(message.contains("l/layer.tar is not what") && message.contains("\(parts.diffID)"))
    }
  }

  @Test func aConfigurationThatIsNotItsNamesIsRefused() throws {
    let parts = Parts()
    let name = String(repeating: "0", count: 64) + ".json"
    for message in try messages(of: docker(config: parts.config, name: name, layer: parts.layer)) {
      #expect(message.contains("\(name) is damaged"))
    }
  }

  @Test func anotherNumberOfLayersIsRefused() throws {
    let parts = Parts()
    let config = #"{"rootfs":{"diff_ids":["\#(parts.diffID)","\#(parts.diffID)"]}}"#
    for message in try messages(of: docker(config: config, layer: parts.layer)) {
      #expect(message.contains("has 2 layers, but its manifest 1"))
    }
  }

  @Test func aBlobThatIsNotItsDigestsIsRefused() throws {
    let parts = Parts()
    let wrong = String(repeating: "c", count: 64)
    for bytes in [parts.layer, Array("{}".utf8), Array("something".utf8)] {
      let tar = RawTar().adding(name: Array("blobs/sha256/\(wrong)".utf8), "0", bytes)
        .adding("index.json", "0", #"{"manifests":[]}"#).ended
      let streamed = try messages(of: tar)[1]
      #expect(streamed.contains("blobs/sha256/\(wrong) is damaged"), "\(streamed)")
    }
  }

  @Test(arguments: [
    ("manifest.json", "[{", "it is no JSON"), ("manifest.json", "[{}]", "without Config or Layers"),
    ("manifest.json", #"[{"Config":"x","Layers":[]}]"#, "x is missing"),
    ("manifest.json", #"[{"Config":"../x","Layers":[]}]"#, "without Config"),
    ("manifest.json", "[]", "names no image"), ("index.json", "{}", "it has no manifests"),
    ("index.json", #"{"manifests":[{"digest":"sha512:00"}]}"#, "without a sha256 digest"),
    ("index.json", #"{"manifests":[]}"#, "names no image"),
    ("repositories", #"{"a":{"1":"../../etc"}}"#, "names no layer"),
    ("other", "x", "no image archive"),
  ])
  func aWrongManifestIsRefused(_ name: String, _ text: String, _ reason: String) throws {
    for message in try messages(of: RawTar().adding(name, "0", text).ended) {
      #expect(message.contains(reason) || message.contains("no image for"), "\(message)")
    }
  }

  @Test func aChainThatIsACircleIsRefused() throws {
    let id = String(repeating: "a", count: 64)
    let tar = RawTar().adding("repositories", "0", #"{"a":{"1":"\#(id)"}}"#)
      .adding("\(id)/json", "0", #"{"id":"\#(id)","parent":"\#(id)"}"#).ended
    for message in try messages(of: tar) { #expect(message.contains("its own ancestor")) }
  }

  @Test func aHostileLayerIsRefusedAndNothingIsHandedOver() throws {
    let layer = RawTar().adding("../../x").ended
    let config = #"{"rootfs":{"diff_ids":["\#(Digest(of: layer))"]}}"#
    for message in try messages(of: docker(config: config, layer: layer)) {
      #expect(message.contains("l/layer.tar: ../../x: its name leaves the layer"), "\(message)")
    }
  }

  @Test func anArchiveThatIsCutOffIsRefused() throws {
    let parts = Parts()
    let whole = docker(config: parts.config, layer: parts.layer)
    for count in [700, 1200, 2500] {
      for message in try messages(of: Array(whole[..<count])) {
        #expect(
          ["cut off", "damaged", "missing", "no image archive", "shorter"].contains {
            message.contains($0)
          }, "\(message)")
      }
    }
  }

  @Test func tooLongJSONIsRefused() throws {
    let scratch = try Scratch()
    var options = ImageReadingOptions()
    options.jsonLimit = 10
    try (scratch / "tar").write(
      bytes: RawTar().adding("manifest.json", "0", "[            ]").ended)
    for (name, read) in [("lazily", readImages), ("streamed", readStream)] {
      let places = FolderPlaces(try scratch.directory(Path(name)))
      let message = refusal { _ = try read(scratch / "tar", places, options) }
      #expect(message.contains("manifest.json is longer than 10 bytes"), "\(message)")
    }
  }
}
