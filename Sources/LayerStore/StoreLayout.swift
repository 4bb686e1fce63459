public import SystemPackage
public import UnionCore

/// Where a store keeps things under its root; see docs/layer-store.md.
public struct StoreLayout: Sendable, Equatable {
  public let root: FilePath
  public init(root: FilePath) { self.root = root }

  public var diff: FilePath { root.appending("aufs/diff") }
  public var layers: FilePath { root.appending("aufs/layers") }
  public var mnt: FilePath { root.appending("aufs/mnt") }
  public var graph: FilePath { root.appending("graph") }
  public var containers: FilePath { root.appending("containers") }
  public var repositories: FilePath { root.appending("repositories-aufs") }
  public func diff(of layer: LayerID) -> FilePath { Self.entry(layer, in: diff) }
  public func layersFile(of layer: LayerID) -> FilePath { Self.entry(layer, in: layers) }
  public func mountPoint(of layer: LayerID) -> FilePath { Self.entry(layer, in: mnt) }

  private static func entry(_ layer: LayerID, in place: FilePath) -> FilePath {
    place.appending(FilePath(bytes: layer.bytes).components)
  }

  /// What is this program's alone.
  public var own: FilePath { root.appending("unionfs-swift") }
}
