internal import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// Reads images: docker archives (v1 and later) and OCI layouts, as a tar (compressed or not) or a directory.
///
/// Layers go to places of the caller's as they are met. Digests are checked: a blob's against its name, a
/// layer's against the configuration, a configuration's against its name. What is wrong is refused by name
/// and no image is handed over; what was unpacked by then is the caller's to remove.
public enum ImageReader {
  /// - Parameters:
  ///   - descriptor: of a file, which is read in any order if it can be, or of a pipe.
  ///   - name: what messages call it.
  public static func read(
    descriptor: CInt, name: String, into places: any LayerPlaces,
    options: ImageReadingOptions = ImageReadingOptions(), watch: Watch = Watch()
  ) throws(Failure) -> LoadedImages {
    if let size = try plainTarSize(descriptor, name) {
      let unpacker = MemberUnpacker(name: name, places, options, watch)
      let store = try TarStore(descriptor, size: size, name: name, watch: watch)
      return try images(of: StoredMembers(unpacker, store), unpacker)
    }
    let source = try DescriptorSource(descriptor, name: name, watch: watch)
    return try read(source, name: name, into: places, options: options, watch: watch)
  }

  /// A stream, which is read once.
  public static func read(
    _ source: any ByteSource, name: String, into places: any LayerPlaces,
    options: ImageReadingOptions = ImageReadingOptions(), watch: Watch = Watch()
  ) throws(Failure) -> LoadedImages {
    let unpacker = MemberUnpacker(name: name, places, options, watch)
    let members = StreamMembers(unpacker)
    try members.read(source)
    return try images(of: members, unpacker)
  }

  /// - Parameter directory: of a layout, readable; it stays the caller's.
  public static func read(
    directory: CInt, name: String, into places: any LayerPlaces,
    options: ImageReadingOptions = ImageReadingOptions(), watch: Watch = Watch()
  ) throws(Failure) -> LoadedImages {
    let unpacker = MemberUnpacker(name: name, places, options, watch)
    let store = DirectoryStore(directory, name: name, watch: watch)
    return try images(of: StoredMembers(unpacker, store), unpacker)
  }

  /// The size of a regular file that is read from its begin and is not compressed.
  private static func plainTarSize(_ descriptor: CInt, _ name: String) throws(Failure) -> Int64? {
    try system("\(name) cannot be read") { () throws(Errno) in
      let status = try FileSystemCall.status(of: descriptor)
      guard status.isRegular, try FileSystemCall.seek(descriptor, 0, whence: 1) == 0 else {
        return nil
      }
      var prefix = [UInt8](repeating: 0, count: Compression.prefixLength)
      let count = try prefix.withMutableBytes { (room) throws(Errno) in
        try FileSystemCall.read(descriptor, into: room, at: 0)
      }
      return Compression(prefix: Array(prefix[..<count])) == .none ? status.size : nil
    }
  }

  private static func images(
    of members: any ImageMembers, _ unpacker: MemberUnpacker
  ) throws(Failure) -> LoadedImages {
    let resolver = ImageResolver(members, unpacker)
    var loaded = LoadedImages()
    if let manifest = try resolver.document("manifest.json"), let list = manifest.array {
      loaded.images = try resolver.dockerImages(list)
    } else if let index = try resolver.document("index.json") {
      loaded.images = try resolver.layoutImages(index)
    } else if members.names.contains("repositories") || !resolver.v1IDs.isEmpty {
      loaded.images = try resolver.v1Images()
    } else {
      throw Failure(
        .malformedInput, "\(unpacker.name) is no image archive",
        advice:
          "it has neither manifest.json nor index.json nor repositories; 'import' takes the tar of a "
          + "root file system")
    }
    let used = Set(loaded.images.flatMap(\.layers).compactMap(place))
    loaded.unreferenced = members.unpacked.map(\.place).filter { !used.contains($0) }
    loaded.notes = resolver.notes + members.unpacked.flatMap(\.layer.notes)
    return loaded
  }

  private static func place(_ layer: LoadedLayer) -> String? {
    if case .unpacked(let place, _) = layer { return place }
    return nil
  }
}
