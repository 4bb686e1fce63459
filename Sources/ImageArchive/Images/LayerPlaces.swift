public import UnionCore

/// Where the layers of images go as they are read. The caller owns what it hands out and removes what comes
/// to nothing, whatever the reader throws.
public protocol LayerPlaces: AnyObject {
  /// Whether a layer is there already. Asked only where the archive can be read in any order; what is there
  /// is then not unpacked again.
  func has(_ layer: LayerIdentity) -> Bool
  /// A fresh place for a layer that is about to be unpacked. One that is never ended came to nothing.
  func begin() throws(Failure) -> LayerPlace
  /// The layer is unpacked whole. Its descriptors are not used any more.
  func end(_ place: LayerPlace, _ layer: ExtractedLayer) throws(Failure)
}

/// What names a layer before it is read.
public enum LayerIdentity: Sendable, Hashable {
  case diffID(Digest)
  /// A layer of an image of Docker up to 1.9: its 64 hexadecimal digits.
  case v1(String)
}

/// Where one layer goes. Descriptors stay the caller's.
public struct LayerPlace: Sendable {
  /// What the caller calls it.
  public var id: String
  /// Of an empty directory, readable.
  public var directory: CInt
  /// Of an empty file, writable: what of the tar is not file content. nil where it is not wanted.
  public var tarData: CInt?

  public init(id: String, directory: CInt, tarData: CInt?) {
    self.id = id
    self.directory = directory
    self.tarData = tarData
  }
}

/// What an archive held.
public struct LoadedImages: Sendable {
  public var images: [LoadedImage] = []
  /// Places of layers that were unpacked and that no image refers to.
  public var unreferenced: [String] = []
  /// What could not be kept, for a person.
  public var notes: [String] = []
}

public struct LoadedImage: Sendable {
  public enum Description: Sendable {
    /// The configuration, byte for byte, and its digest: the image's id to Docker from 1.10 on.
    case configuration([UInt8], Digest)
    /// The json of each layer, the base first, as Docker up to 1.9 has it.
    case chain([V1Layer])
  }

  /// As the archive has them: `name:tag`, or what an OCI layout's annotation says, which may be a tag alone.
  public var tags: [String]
  public var description: Description
  /// The base first. Several may lie in one place.
  public var layers: [LoadedLayer]
}

public struct V1Layer: Sendable, Equatable {
  public var id: String
  public var json: [UInt8]
}

public enum LoadedLayer: Sendable, Equatable {
  case unpacked(place: String, ExtractedLayer)
  /// One that `LayerPlaces.has` said is there.
  case present(LayerIdentity)
}

/// What an image is built for.
public struct Platform: Sendable, Equatable, CustomStringConvertible {
  public var os: String
  public var architecture: String
  /// nil for any.
  public var variant: String?

  public init(os: String = "linux", architecture: String = "amd64", variant: String? = nil) {
    self.os = os
    self.architecture = architecture
    self.variant = variant
  }

  public var description: String {
    "\(os)/\(architecture)" + (variant.map { "/\($0)" } ?? "")
  }

  func accepts(_ other: Platform) -> Bool {
    os == other.os && architecture == other.architecture
      && (variant == nil || variant == other.variant)
  }
}

/// How images are read.
public struct ImageReadingOptions: Sendable {
  /// Which image of several for different machines.
  public var platform = Platform()
  /// `needsEnd` is not looked at: digests tell.
  public var layers = ExtractionOptions()
  /// The most bytes of a JSON member.
  public var jsonLimit = 16 << 20

  public init() {}
}
