public import UnionCore

/// How a layer's tar becomes files.
public struct ExtractionOptions: Sendable {
  public enum Ownership: Sendable {
    /// Owner, mode and devices are made as the tar has them; needs root's rights.
    case set
    /// They are written to `user.containers.override_stat`; a device or FIFO is an empty file. A symbolic
    /// link's owner is lost: it has no attributes of a user.
    case recorded
  }
  public enum Devices: Sendable { case keep, refuse }

  public var ownership = Ownership.set
  public var devices = Devices.keep
  public var limits = ArchiveLimits()
  /// Whether a tar without the mark of its end is refused as cut off. Not needed where its digest is
  /// checked; some programs write none.
  public var needsEnd = true

  public init() {}
}

/// What a layer's tar was.
public struct ExtractedLayer: Sendable, Equatable {
  /// Of the uncompressed tar, whatever follows its end included.
  public var diffID: Digest
  /// Bytes of the regular files, each once however many names it has.
  public var size: Int64
  public var entries: Int64
  public var compression: Compression
  /// Of the uncompressed tar.
  public var tarBytes: Int64
  /// As it was read.
  public var compressedBytes: Int64
  /// What could not be kept, for a person; at most a few.
  public var notes: [String]
}

public enum Layer {
  /// Unpacks a layer's tar, compressed or not, into an empty directory. Whiteouts stay as aufs has them,
  /// those of the kernel's overlayfs become such. Decompression and hashing run on another thread.
  ///
  /// The tar is hostile until proved otherwise: what it must not have is refused by name
  /// (`malformedInput`), and nothing outside the directory is touched. What is there then is the caller's
  /// to remove.
  ///
  /// - Parameters:
  ///   - name: what messages call the tar.
  ///   - directory: a readable descriptor; it stays the caller's.
  ///   - tarData: where to write what of the tar is not file content (tar-split, compressed); see
  ///     `TarSplit`.
  public static func extract(
    _ source: any ByteSource, name: String, into directory: CInt, tarData: CInt? = nil,
    options: ExtractionOptions = ExtractionOptions(), watch: Watch = Watch()
  ) throws(Failure) -> ExtractedLayer {
    let stream = try DecodedStream(source, name: name, limits: options.limits, watch: watch)
    defer { stream.close() }
    let reader = try TarReader(stream, name: name)
    let extractor = LayerExtractor(reader, name: name, directory, options, watch)
    let recorder = try ArchiveRecorder(
      reader, tarData: tarData.map { DescriptorSink($0, name: "\(name)'s tar-data") })
    reader.recorder = recorder
    defer { reader.recorder = nil }
    try reader.open()
    try extractor.run()
    while true {
      let block = try stream.next()
      if block.isEmpty { break }
      try recorder.read(block)
    }
    try recorder.finish()
    let summary = try stream.finish()
    try extractor.checkEnd(of: summary.count)
    return extractor.result(summary)
  }
}
