internal import Dockerfile
internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Where a stage of a build stands: its last image, and the configuration of the next.
struct BuildStage {
  /// nil on scratch.
  var image: Image?
  var settings: ConfigChange
  /// `--build-arg`s that ARG has declared here, in order.
  var arguments: [(name: String, value: String)] = []
  let name: String?
  let number: Int

  init(_ image: Image?, name: String?, number: Int) {
    self.image = image
    self.name = name
    self.number = number
    settings = ConfigChange(image?.config)
  }

  /// What RUN sees beside the environment.
  var variables: [String] {
    arguments.filter { argument in
      !settings.environment.contains { $0.hasPrefix("\(argument.name)=") }
    }.map { "\($0.name)=\($0.value)" }
  }
}

/// A layer that a step fills: mounted where something lies below it.
final class StepLayer {
  let new: NewLayer
  /// Its root directory, what lies below in it.
  let root: CInt
  let point: FilePath?
  private let union: MountedUnion?
  private var isOver = false

  /// - Parameters:
  ///   - below: layers, topmost first.
  init(_ transaction: Transaction, on parent: ObjectID?, below: [LayerID]) throws {
    new = try transaction.makeLayer(on: parent?.layer)
    let layout = transaction.store.layout
    guard !below.isEmpty else {
      (union, point, root) = (nil, nil, new.diff.descriptor)
      return
    }
    var branches = [(layout.diff(of: new.id.layer), "rw")]
    branches += below.map { (layout.diff(of: $0), "ro+wh") }
    let place = layout.mountPoint(of: new.id.layer)
    // Nothing of it is seen before the step is published, which flushes.
    let mounted = try MountedUnion(branches, at: place, options: ["sync=volatile"])
    (union, point) = (mounted, place)
    do throws(Errno) {
      root = try FileSystemCall.open(path: place, OpenFlag.readOnly | OpenFlag.directory)
    } catch {
      mounted.abandon()
      throw Disk.failure(error, "\(place)")
    }
  }

  /// The layer is full: takes the mount and what the union kept for itself away.
  func finish() throws(Failure) {
    isOver = true
    if let union {
      FileSystemCall.close(root)
      do throws(Failure) { try union.unmount() } catch {
        union.abandon()
        throw error
      }
    }
    for name in [".wh..wh.unionfs", ".wh..wh.plnk", ".wh..wh.orph", ".wh..wh.aufs"] {
      do throws(Errno) {
        try TreeRemoval.remove(TreeCopy.cName(Array(name.utf8)), in: new.diff.descriptor)
      } catch {
        if error != .noSuchFileOrDirectory { throw Disk.failure(error, "\(new.diff.path)/\(name)") }
      }
    }
  }

  deinit {
    guard !isOver, let union else { return }
    FileSystemCall.close(root)
    union.abandon()
  }
}
