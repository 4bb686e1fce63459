internal import JSONValue
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Where the files of an OCI layout go.
protocol LayoutOutput: AnyObject {
  func file(_ name: String, _ bytes: [UInt8]) throws(Failure)
  /// A blob whose digest and size are known when it is written; what `body` answers tells them.
  func blob(
    _ body: (any ByteSink) throws(Failure) -> Void
  ) throws(Failure) -> (Digest, Int64)
}

/// An OCI layout: every blob once, an entry of the index a tag.
final class LayoutWriter {
  private let output: any LayoutOutput
  private let compression: Compression
  private let watch: Watch
  /// What manifests say of each layer, by its diffID.
  private var layers: [Digest: JSONValue] = [:]
  private var written: Set<Digest> = []

  init(_ output: any LayoutOutput, _ compression: Compression, _ watch: Watch) {
    self.output = output
    self.compression = compression
    self.watch = watch
  }

  func write(_ images: [SavedImage]) throws(Failure) {
    try output.file("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    var manifests: [JSONValue] = []
    for image in images {
      let manifest = try write(image)
      if image.tags.isEmpty { manifests.append(manifest) }
      for tag in image.tags {
        var tagged = manifest
        tagged["annotations"] = ["org.opencontainers.image.ref.name": .string(tag)]
        manifests.append(tagged)
      }
    }
    let index: JSONValue = [
      "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
      "manifests": .array(manifests),
    ]
    try output.file("index.json", index.bytes)
  }

  private func write(_ image: SavedImage) throws(Failure) -> JSONValue {
    var layers: [JSONValue] = []
    for layer in image.layers { layers.append(try write(layer)) }
    let config = try write(
      image.configuration, type: "application/vnd.oci.image.config.v1+json")
    let manifest: JSONValue = [
      "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "config": config, "layers": .array(layers),
    ]
    return try write(manifest.bytes, type: "application/vnd.oci.image.manifest.v1+json")
  }

  private func write(_ bytes: [UInt8], type: String) throws(Failure) -> JSONValue {
    let digest = Digest(of: bytes)
    if written.insert(digest).inserted { try output.file(MemberName.blob(digest), bytes) }
    return Self.descriptor(type, digest, Int64(bytes.count))
  }

  private func write(_ layer: any LayerContent) throws(Failure) -> JSONValue {
    if let known = layers[layer.diffID] { return known }
    let suffix = compression == .none ? "" : "+\(compression)"
    let (digest, size) = try output.blob { (sink) throws(Failure) in
      try compress(layer, to: sink)
    }
    written.insert(digest)
    let descriptor = Self.descriptor(
      "application/vnd.oci.image.layer.v1.tar\(suffix)", digest, size)
    layers[layer.diffID] = descriptor
    return descriptor
  }

  private func compress(_ layer: any LayerContent, to sink: any ByteSink) throws(Failure) {
    if compression == .none { return try writeChecked(layer, to: sink) }
    let compressor = try CompressingSink(sink, compression)
    let threaded = try ThreadedSink(compressor) { () throws(Failure) in try compressor.close() }
    do throws(Failure) { try writeChecked(layer, to: threaded) } catch {
      threaded.abandon()
      throw error
    }
    try threaded.close()
  }

  private static func descriptor(_ type: String, _ digest: Digest, _ size: Int64) -> JSONValue {
    ["mediaType": .string(type), "digest": .string(digest.description), "size": .integer(size)]
  }
}

/// A layout in a tar: a layer is compressed into a file without a name first.
final class TarLayoutOutput: LayoutOutput {
  let members: MemberWriter
  private let spool: CInt
  private let watch: Watch

  init(_ members: MemberWriter, spool: CInt, _ watch: Watch) {
    self.members = members
    self.spool = spool
    self.watch = watch
  }

  func file(_ name: String, _ bytes: [UInt8]) throws(Failure) {
    try makeFolders(name)
    try members.file(name, bytes)
  }

  private func makeFolders(_ name: String) throws(Failure) {
    guard name.hasPrefix("blobs/") else { return }
    try members.folder("blobs")
    try members.folder("blobs/sha256")
  }

  func blob(
    _ body: (any ByteSink) throws(Failure) -> Void
  ) throws(Failure) -> (Digest, Int64) {
    let file = try SpoolFile.open(in: spool)
    defer { FileSystemCall.close(file) }
    // What is counted is what goes into the tar.
    let sink = HashingSink(DescriptorSink(file, name: "the compressed layer"))
    try body(sink)
    let (digest, size) = (sink.digest, sink.count)
    let name = MemberName.blob(digest)
    try makeFolders(name)
    let source = SectionSource(file, 0..<size, name: "the compressed layer")
    try members.file(name, size: size) { (sink) throws(Failure) in try copy(source, to: sink) }
    return (digest, size)
  }

  private func copy(_ source: any ByteSource, to sink: any ByteSink) throws(Failure) {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
    defer { room.deallocate() }
    while true {
      let count = try source.read(into: room)
      if count == 0 { return }
      try sink.write(UnsafeRawBufferPointer(rebasing: room[..<count]))
    }
  }
}

/// A layout in a directory; blobs get their names when they are whole.
final class DirectoryLayoutOutput: LayoutOutput {
  private let root: CInt
  private let blobs: CInt
  private let watch: Watch

  init(_ directory: CInt, _ watch: Watch) throws(Failure) {
    root = directory
    self.watch = watch
    blobs = try system("the layout's directories cannot be made") { () throws(Errno) in
      try FileSystemCall.makeDirectory(at: directory, "blobs", mode: 0o755)
      try FileSystemCall.makeDirectory(at: directory, "blobs/sha256", mode: 0o755)
      return try FileSystemCall.open(
        at: directory, "blobs/sha256", OpenFlag.readOnly | OpenFlag.directory)
    }
  }

  deinit { FileSystemCall.close(blobs) }

  func file(_ name: String, _ bytes: [UInt8]) throws(Failure) {
    try watch.pause()
    let file = try create(at: root, name)
    defer { FileSystemCall.close(file) }
    try DescriptorSink(file, name: name, watch: watch).write(bytes)
  }

  private func create(at directory: CInt, _ name: String) throws(Failure) -> CInt {
    try system("\(name) cannot be made") { () throws(Errno) in
      try FileSystemCall.open(
        at: directory, name,
        OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o644)
    }
  }

  func blob(
    _ body: (any ByteSink) throws(Failure) -> Void
  ) throws(Failure) -> (Digest, Int64) {
    try watch.pause()
    let file = try create(at: blobs, "partial")
    defer { FileSystemCall.close(file) }
    let sink = HashingSink(DescriptorSink(file, name: "a layer", watch: watch))
    try body(sink)
    try system("a layer cannot be named") { () throws(Errno) in
      try FileSystemCall.rename(at: blobs, "partial", to: blobs, sink.digest.hex)
    }
    return (sink.digest, sink.count)
  }
}
