public import SystemPackage

/// Where a layer store keeps things, found from the path of one `layers/<id>`:
///
/// ```
/// ROOT/layers/<id>   the layer's parents
/// ROOT/diff/<id>     the layer's own files (a directory, or a link to one)
/// ROOT/mnt/<id>      the layer's mount point
/// ```
public struct LayerStoreLayout: Sendable, Equatable {
  public let layersFile: FilePath
  public let id: LayerID
  /// The directory of the layers' own files.
  public let diff: FilePath
  /// nil where the layers file does not lie in a directory `layers`, which `--diff-dir` allows.
  public let defaultMountPoint: FilePath?

  /// - Parameters:
  ///   - layersFile: absolute, without `.` and `..`.
  ///   - diff: where the layers lie instead of `ROOT/diff`; absolute.
  public init(layersFile: FilePath, diff: FilePath? = nil) throws(Failure) {
    guard let name = layersFile.lastComponent, layersFile.isAbsolute else {
      throw Self.notInLayers(layersFile)
    }
    do {
      id = try LayerID(name.withPlatformString { bytes(of: $0) })
    } catch {
      throw Failure(
        .usage, "'\(name)' is not a layer's name: \(error.explanation)",
        advice: "name ROOT/layers/ID")
    }
    let directory = layersFile.removingLastComponent()
    let root = directory.lastComponent == "layers" ? directory.removingLastComponent() : nil
    guard let diff = diff ?? root?.appending("diff") else { throw Self.notInLayers(layersFile) }
    self.layersFile = layersFile
    self.diff = diff
    defaultMountPoint = root.map { $0.appending("mnt").appending(name) }
  }

  /// `diff/<id>` of a layer.
  public func content(of layer: LayerID) -> FilePath {
    diff.appending(FilePath(bytes: layer.bytes).components)
  }

  /// `layers/<id>` of another layer.
  public func layersFile(of layer: LayerID) -> FilePath {
    layersFile.removingLastComponent().appending(FilePath(bytes: layer.bytes).components)
  }

  static func notInLayers(_ path: FilePath) -> Failure {
    Failure(
      .usage, "\(path) does not lie in a directory 'layers'",
      advice: "name ROOT/layers/ID, or say with --diff-dir where the layers are")
  }
}

extension FilePath {
  /// A path of bytes, which need not be UTF-8; ends before a NUL.
  public init(bytes: some Collection<UInt8>) {
    var terminated = bytes.map { CChar(bitPattern: $0) }
    terminated.append(0)
    self.init(platformString: terminated)
  }

  /// The path's bytes.
  public var pathBytes: [UInt8] { withPlatformString { bytes(of: $0) } }
}

/// The bytes of a C string without its NUL.
func bytes(of string: UnsafePointer<CChar>) -> [UInt8] {
  var bytes: [UInt8] = []
  var next = string
  while next.pointee != 0 {
    bytes.append(UInt8(bitPattern: next.pointee))
    next += 1
  }
  return bytes
}
