public import Logging
internal import Synchronization
internal import SystemCalls
public import SystemPackage
public import UnionCore

/// Snapshots in a folder: the database decides, the directories hold the layers.
///
/// Every call may wait for the disk, so none belongs on a thread of Swift's own pool. All may be made at
/// once; changes of the database wait for one another, measuring and deleting do not.
public final class SnapshotStore: Sendable {
  let metadata: Metadata
  let directories: SnapshotDirectories
  let plan: MountPlan
  let log: Logger
  private let lock: CInt
  private let lastNumber: Atomic<Int64>

  /// Opens a store, or makes one, and brings it in order after a crash.
  ///
  /// - Parameters:
  ///   - root: a folder of the store's own, made where it is missing, mode 0700.
  ///   - program: what mounts a union, as containerd finds it: a name on its PATH or an absolute path.
  public init(root: FilePath, program: String, log: Logger) throws(Failure) {
    let folder = try StoreFolder(root)
    lock = folder.lock
    metadata = try Metadata(folder.path.appending("metadata.db"))
    directories = SnapshotDirectories(descriptor: folder.snapshots)
    plan = MountPlan(folder: folder.path.appending("snapshots").string, program: program)
    self.log = log
    do throws(SnapshotError) {
      lastNumber = Atomic(try Self.highestNumber(metadata, directories))
      try bringInOrder()
    } catch {
      throw Failure(.failed, "the snapshots in \(folder.path) cannot be brought in order: \(error)")
    }
  }

  deinit { FileSystemCall.close(lock) }

  /// Closes the database; the lock goes with the store itself.
  public func close() { metadata.close() }

  private static func highestNumber(
    _ metadata: Metadata, _ directories: SnapshotDirectories
  ) throws(SnapshotError) -> Int64 {
    var highest = try metadata.highestNumber()
    for name in try about("the folder of the snapshots", directories.names) {
      if case .snapshot(let id) = SnapshotDirectories.entry(name) {
        highest = max(highest, id.number)
      }
    }
    return highest
  }

  /// A number that no snapshot has and no directory: also one whose transaction was taken back keeps its
  /// number, so that nobody's directory is taken for somebody's.
  func nextID() throws(SnapshotError) -> SnapshotID {
    let (_, number) = lastNumber.add(1, ordering: .relaxed)
    guard number > 0 else { throw SnapshotError(.resourceExhausted, "there are no numbers left") }
    return SnapshotID(number)
  }
}
