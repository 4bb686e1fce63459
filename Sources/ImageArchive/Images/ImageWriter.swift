internal import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// Writes images as archives that other programs load. What the images say is checked on the way: a layer
/// that is not what its digest says is an error.
public enum ImageWriter {
  /// A docker archive, for Docker of any version, podman and skopeo.
  public static func writeDockerArchive(
    _ images: [SavedImage], to sink: any ByteSink, watch: Watch = Watch()
  ) throws(Failure) {
    let writer = DockerArchiveWriter(try MemberWriter(sink, watch))
    for image in images { try check(image) }
    try writer.write(images)
  }

  /// An OCI layout as a tar.
  ///
  /// - Parameters:
  ///   - compression: of the layers: none, gzip or zstd.
  ///   - spool: a directory for a compressed layer while its size is not known yet.
  public static func writeLayout(
    _ images: [SavedImage], to sink: any ByteSink, compression: Compression = .gzip, spool: CInt,
    watch: Watch = Watch()
  ) throws(Failure) {
    let output = TarLayoutOutput(try MemberWriter(sink, watch), spool: spool, watch)
    try write(images, to: output, compression, watch)
    try output.members.close()
  }

  /// An OCI layout as a directory.
  ///
  /// - Parameter directory: of an empty directory, readable. What is in it when something fails is the
  ///   caller's to remove; see `OutputDirectory`.
  public static func writeLayout(
    _ images: [SavedImage], directory: CInt, compression: Compression = .gzip,
    watch: Watch = Watch()
  ) throws(Failure) {
    let output = try DirectoryLayoutOutput(directory, watch)
    try write(images, to: output, compression, watch)
  }

  private static func write(
    _ images: [SavedImage], to output: any LayoutOutput, _ compression: Compression,
    _ watch: Watch
  ) throws(Failure) {
    guard [.none, .gzip, .zstd].contains(compression) else {
      throw Failure(.usage, "layers of an OCI layout are compressed by gzip, zstd or not at all")
    }
    for image in images { try check(image) }
    try LayoutWriter(output, compression, watch).write(images)
  }

  private static func check(_ image: SavedImage) throws(Failure) {
    let json: JSONValue
    do throws(JSONFlaw) { json = try JSONValue(parsing: image.configuration) } catch {
      throw .malformed("the image's configuration: \(error)")
    }
    let diffIDs = json["rootfs"]?["diff_ids"]?.strings ?? []
    guard diffIDs == image.layers.map(\.diffID.description) else {
      throw .malformed("the image's configuration names other layers than the image has")
    }
  }
}

/// Writes a layer once, and sees that it is what it says.
func writeChecked(_ layer: any LayerContent, to sink: any ByteSink) throws(Failure) {
  let hashed = HashingSink(sink)
  try layer.write(to: hashed)
  guard hashed.digest == layer.diffID, hashed.count == layer.tarBytes else {
    throw Failure(
      .failed, "the layer \(layer.diffID) changed while it was written",
      advice: "stop what changes it and try again")
  }
}

/// The members of an archive that is written: root's, of no time, so that the same images give the same
/// bytes.
final class MemberWriter {
  private let tar: TarWriter
  private let watch: Watch
  private var folders: Set<String> = []

  init(_ sink: any ByteSink, _ watch: Watch) throws(Failure) {
    tar = try TarWriter(sink)
    self.watch = watch
  }

  func folder(_ name: String) throws(Failure) {
    guard folders.insert(name).inserted else { return }
    try tar.begin(TarHeader(path: Array(name.utf8), kind: .directory, permissions: 0o755))
    try tar.endEntry()
  }

  func file(_ name: String, _ bytes: [UInt8]) throws(Failure) {
    try file(name, size: Int64(bytes.count)) { (sink) throws(Failure) in try sink.write(bytes) }
  }

  /// A file whose size is known.
  func file(
    _ name: String, size: Int64, _ body: (any ByteSink) throws(Failure) -> Void
  ) throws(Failure) {
    try watch.pause()
    watch.countEntry()
    var header = TarHeader(path: Array(name.utf8), kind: .regular, permissions: 0o644)
    header.size = size
    try tar.begin(header)
    let data = Data(tar, size, watch)
    try body(data)
    guard data.rest == 0 else {
      throw Failure(.failed, "\(name) became shorter while it was written")
    }
    try tar.endEntry()
  }

  func link(_ name: String, to target: String) throws(Failure) {
    var header = TarHeader(path: Array(name.utf8), kind: .symbolicLink, permissions: 0o777)
    header.link = .symbolic(Array(target.utf8))
    try tar.begin(header)
    try tar.endEntry()
  }

  func close() throws(Failure) { try tar.close() }

  private final class Data: ByteSink {
    private let tar: TarWriter
    private let watch: Watch
    var rest: Int64

    init(_ tar: TarWriter, _ size: Int64, _ watch: Watch) {
      self.tar = tar
      self.watch = watch
      rest = size
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
      try watch.pause()
      rest -= Int64(bytes.count)
      guard rest >= 0 else { throw Failure(.failed, "a layer became longer while it was written") }
      try tar.write(bytes)
    }
  }
}
