public import UnionCore

/// How a directory becomes a tar.
public struct PackingOptions: Sendable {
  public enum View: Sendable {
    /// A layer's own files: whiteouts go in, aufs's bookkeeping does not.
    case layer
    /// What a mount shows: every name is a name.
    case flat
  }
  public var view: View
  public init(view: View = .layer) { self.view = view }
}

/// What a tar has become.
public struct PackedLayer: Sendable, Equatable {
  /// Of the tar, which is not compressed.
  public var diffID: Digest
  /// Bytes of the regular files, each once however many names it has.
  public var size: Int64
  public var tarBytes: Int64
  public var entries: Int64
  /// What could not go in, for a person; at most a few.
  public var notes: [String]
}

extension Layer {
  /// Writes the tar of a directory's content, without the directory itself. The same files give the same
  /// bytes: names are sorted, only times of modification are in it, owners are numbers.
  ///
  /// A file that changes meanwhile is an error. For its digest and size alone give a `DroppingSink`.
  ///
  /// - Parameters:
  ///   - directory: a readable descriptor; it stays the caller's.
  ///   - name: what messages call it.
  ///   - sink: gets the tar, uncompressed.
  public static func pack(
    _ directory: CInt, name: String, to sink: any ByteSink,
    options: PackingOptions = PackingOptions(), watch: Watch = Watch()
  ) throws(Failure) -> PackedLayer {
    let hashed = HashingSink(sink)
    let packer = LayerPacker(try TarWriter(hashed), name: name, options, watch)
    try packer.run(directory)
    return PackedLayer(
      diffID: hashed.digest, size: packer.size, tarBytes: hashed.count, entries: packer.entries,
      notes: packer.notes)
  }
}
