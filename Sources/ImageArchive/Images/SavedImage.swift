public import UnionCore

/// A layer that is to be written: the same bytes each time.
public protocol LayerContent: Sendable {
  /// Of the uncompressed tar.
  var diffID: Digest { get }
  /// Bytes of the uncompressed tar.
  var tarBytes: Int64 { get }
  /// Writes the uncompressed tar.
  func write(to sink: any ByteSink) throws(Failure)
}

/// An image that is to be written.
public struct SavedImage: Sendable {
  /// An image of the chain that Docker up to 1.9 knows.
  public struct V1Image: Sendable {
    public var id: String
    public var json: [UInt8]
    /// Its layer's place among the image's, nil for one without files.
    public var layer: Int?

    public init(id: String, json: [UInt8], layer: Int?) {
      self.id = id
      self.json = json
      self.layer = layer
    }
  }

  /// `name:tag`.
  public var tags: [String]
  /// The configuration's bytes; its diffIDs are the layers'.
  public var configuration: [UInt8]
  /// The base first.
  public var layers: [any LayerContent]
  /// The base first. Where there is none it is made up of the configuration.
  public var chain: [V1Image]

  public init(
    tags: [String], configuration: [UInt8], layers: [any LayerContent], chain: [V1Image] = []
  ) {
    self.tags = tags
    self.configuration = configuration
    self.layers = layers
    self.chain = chain
  }
}

/// A layer as a directory has it: its tar is made anew for each pass.
public struct DirectoryContent: LayerContent {
  public let diffID: Digest
  public let tarBytes: Int64
  private let directory: CInt
  private let name: String
  private let options: PackingOptions
  private let watch: Watch

  /// Goes through the directory once, for the digest.
  ///
  /// - Parameters:
  ///   - directory: a readable descriptor; it stays the caller's, and open as long as this lives.
  ///   - name: what messages call it.
  public init(
    _ directory: CInt, name: String, options: PackingOptions = PackingOptions(),
    watch: Watch = Watch()
  ) throws(Failure) {
    self.directory = directory
    self.name = name
    self.options = options
    self.watch = watch
    let packed = try Layer.pack(
      directory, name: name, to: DroppingSink(), options: options, watch: watch)
    diffID = packed.diffID
    tarBytes = packed.tarBytes
  }

  public func write(to sink: any ByteSink) throws(Failure) {
    _ = try Layer.pack(directory, name: name, to: sink, options: options, watch: watch)
  }
}
