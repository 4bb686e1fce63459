public import SystemPackage

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
  /// What is this program's alone.
  public var own: FilePath { root.appending("unionfs-swift") }
}
