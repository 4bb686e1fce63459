import Foundation
import ImageArchive
import JSONValue
import TestSupport
import Testing
import UnionCore

@Suite struct ImageWritingTests {
  /// Two images that share their base.
  private func images(_ scratch: Scratch) throws -> [SavedImage] {
    let lower = try scratch.directory("lower")
    try makeEverything(in: lower)
    try addAttributes(in: lower)
    let base = try pack(lower).tar
    let upper = RawTar().adding("folder/.wh.plain", mode: 0o444).adding("new", "0", "new").ended
    return [
      savedImage([base], tags: ["base:1"]),
      savedImage([base, upper, upper], tags: ["app:1", "app:2"]),
    ]
  }

  private func write(
    _ path: Path, _ body: (any ByteSink) throws -> Void
  ) throws {
    let file = try path.open(O_WRONLY | O_CREAT | O_TRUNC)
    defer { file.close() }
    try body(DescriptorSink(file.descriptor, name: "\(path)"))
  }

  private func layout(
    _ images: [SavedImage], _ path: Path, _ compression: Compression = .gzip
  ) throws {
    let spool = try path.parent.open(O_RDONLY | O_DIRECTORY)
    defer { spool.close() }
    try write(path) {
      try ImageWriter.writeLayout(
        images, to: $0, compression: compression, spool: spool.descriptor)
    }
  }

  private func checkReadBack(
    _ images: [SavedImage], _ path: Path, _ scratch: Scratch,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let places = FolderPlaces(try scratch.directory("places \(UUID().uuidString)"))
    let loaded = try readImages(path, into: places)
    #expect(loaded.images.map(\.tags) == images.map(\.tags), sourceLocation: sourceLocation)
    for (image, original) in zip(loaded.images, images) {
      guard case .configuration(let bytes, _) = image.description else {
        Issue.record("no configuration", sourceLocation: sourceLocation)
        return
      }
      #expect(bytes == original.configuration, sourceLocation: sourceLocation)
      let diffIDs = image.layers.compactMap { layer -> Digest? in
        if case .unpacked(_, let found) = layer { return found.diffID }
        return nil
      }
      #expect(diffIDs == original.layers.map(\.diffID), sourceLocation: sourceLocation)
    }
    #expect(loaded.unreferenced == [] && places.ended.count == 2, sourceLocation: sourceLocation)
  }

  @Test func aDockerArchiveIsReadBackAndBySkopeo() throws {
    let scratch = try Scratch()
    let images = try images(scratch)
    let path = scratch / "archive.tar"
    try write(path) { try ImageWriter.writeDockerArchive(images, to: $0) }
    try checkReadBack(images, path, scratch)
    let listing = try shell("tar", "-tf", "\(path)").split(separator: "\n")
    // A shared layer is there once; the others are links to it.
    let sizes = try shell("tar", "-tvf", "\(path)").split(separator: "\n")
      .filter { $0.hasPrefix("-") && $0.hasSuffix("/layer.tar") }
    #expect(
      sizes.count == 2 && listing.contains("manifest.json") && listing.contains("repositories"))

    for tag in ["base:1", "app:2"] {
      try shell(
        "skopeo", "--insecure-policy", "copy", "-q", "docker-archive:\(path):\(tag)",
        "oci:\(scratch / "skopeo"):\(tag)")
    }
    try shell(
      "umoci", "unpack", "--image", "\(scratch / "skopeo"):base:1", "\(scratch / "bundle")")
    let (expected, found) = (
      try fingerprint(scratch / "lower"), try fingerprint(scratch / "bundle/rootfs")
    )
    #expect(
      withoutUmocisLosses(expected) == withoutUmocisLosses(found), "\(difference(expected, found))")
  }

  @Test func dockersBefore1_10FindTheirChain() throws {
    let scratch = try Scratch()
    let images = try images(scratch)
    let path = scratch / "archive.tar"
    try write(path) { try ImageWriter.writeDockerArchive(images, to: $0) }
    let old = try scratch.directory("old")
    try shell("tar", "-C", "\(old)", "-xf", "\(path)")
    try (old / "manifest.json").unlink()
    let places = FolderPlaces(try scratch.directory("places"))
    let loaded = try readImages(old, into: places)
    #expect(loaded.images.map(\.tags) == [["app:1", "app:2"], ["base:1"]])
    #expect(loaded.images.map(\.layers.count) == [3, 1])
    guard case .chain(let chain) = loaded.images[0].description else {
      Issue.record("no chain")
      return
    }
    let top = try JSONValue(parsing: try #require(chain.last).json)
    #expect(top["config"]?["Cmd"]?.strings == ["/bin/app"] && top["parent"]?.string == chain[1].id)
  }

  @Test(arguments: [Compression.gzip, .zstd, .none])
  func aLayoutIsReadBackAndBySkopeoAndUmoci(_ compression: Compression) throws {
    let scratch = try Scratch()
    let images = try images(scratch)
    let tar = scratch / "layout.tar"
    try layout(images, tar, compression)
    try checkReadBack(images, tar, scratch)
    let parent = try scratch.path.open(O_RDONLY | O_DIRECTORY)
    let staged = try OutputDirectory(in: parent.descriptor, name: "layout")
    try ImageWriter.writeLayout(images, directory: staged.descriptor, compression: compression)
    try staged.publish()
    try checkReadBack(images, scratch / "layout", scratch)
    #expect(try (scratch / "layout/blobs/sha256").names().count == 6)

    try shell(
      "skopeo", "--insecure-policy", "copy", "-q", "oci-archive:\(tar):base:1",
      "oci:\(scratch / "copy"):base:1")
    // Docker's archives and this umoci know no zstd.
    if compression != .zstd {
      try shell(
        "skopeo", "--insecure-policy", "copy", "-q", "oci:\(scratch / "layout"):app:1",
        "docker-archive:\(scratch / "again"):app:1")
      try shell(
        "umoci", "unpack", "--image", "\(scratch / "layout"):base:1", "\(scratch / "bundle")")
      let (expected, found) = (
        try fingerprint(scratch / "lower"), try fingerprint(scratch / "bundle/rootfs")
      )
      #expect(
        withoutUmocisLosses(expected) == withoutUmocisLosses(found),
        "\(difference(expected, found))")
    }
  }

  /// umoci fills holes, and Go's tar takes an attribute without a value for none.
  private func withoutUmocisLosses(_ lines: [String]) -> [String] {
    lines.map { line in
      let line = line.replacing(" user.empty=", with: "")
      return line.range(of: " data ").map { String(line[..<$0.lowerBound]) } ?? line
    }
  }

  @Test func theSameImagesGiveTheSameBytes() throws {
    let scratch = try Scratch()
    let images = try images(scratch)
    for name in ["a", "b"] as [Path] {
      try layout(images, scratch / name)
      try write(Path("\(scratch / name).docker")) {
        try ImageWriter.writeDockerArchive(images, to: $0)
      }
    }
    #expect(try (scratch / "a").bytesOfFile() == (scratch / "b").bytesOfFile())
    #expect(try (scratch / "a.docker").bytesOfFile() == (scratch / "b.docker").bytesOfFile())
  }

  @Test func aLayerThatChangesIsAnErrorAndLeavesNothing() throws {
    let scratch = try Scratch()
    struct Other: LayerContent {
      var diffID: Digest { Digest(of: [1]) }
      var tarBytes: Int64 { 5 }
      func write(to sink: any ByteSink) throws(Failure) {
        try sink.write([UInt8](repeating: 1, count: 5))
      }
    }
    let config = #"{"rootfs":{"diff_ids":["\#(Digest(of: [1]))"]}}"#
    let image = SavedImage(tags: [], configuration: Array(config.utf8), layers: [Other()])
    let parent = try scratch.path.open(O_RDONLY | O_DIRECTORY)
    for compression in [Compression.none, .gzip] {
      let error = #expect(throws: Failure.self) {
        let staged = try OutputFile(in: parent.descriptor, name: "image.tar")
        try ImageWriter.writeLayout(
          [image], to: DescriptorSink(staged.descriptor, name: "image.tar"),
          compression: compression, spool: parent.descriptor)
        try staged.publish()
      }
      #expect(error?.message.contains("changed while it was written") == true)
      #expect(throws: Failure.self) {
        let staged = try OutputDirectory(in: parent.descriptor, name: "layout")
        try ImageWriter.writeLayout(
          [image], directory: staged.descriptor, compression: compression)
        try staged.publish()
      }
    }
    #expect(throws: Failure.self) {
      try ImageWriter.writeDockerArchive([image], to: DroppingSink())
    }
    #expect(try scratch.path.names() == [])
  }

  @Test func aConfigurationOfOtherLayersIsRefused() throws {
    var image = savedImage([RawTar().ended], tags: [])
    image.layers = []
    let message = refusal { try ImageWriter.writeDockerArchive([image], to: DroppingSink()) }
    #expect(message.contains("names other layers"))
  }

  @Test func aStagedFileReplacesTheOldOneOnlyWhenItIsWhole() throws {
    let scratch = try Scratch()
    try (scratch / "image").write("old")
    let parent = try scratch.path.open(O_RDONLY | O_DIRECTORY)
    do {
      let staged = try OutputFile(in: parent.descriptor, name: "image")
      try DescriptorSink(staged.descriptor, name: "image").write([1, 2])
      #expect(try (scratch / "image").text() == "old")
    }
    #expect(try scratch.path.names() == ["image"])
    let staged = try OutputFile(in: parent.descriptor, name: "image")
    try staged.publish()
    #expect(try (scratch / "image").text() == "" && scratch.path.names() == ["image"])
  }
}
