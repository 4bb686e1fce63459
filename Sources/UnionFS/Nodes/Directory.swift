internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What the server knows of one directory of the view: the branches that make it up, and, once it
/// has been worth it, all its names.
///
/// Lock order: `lock` of an ancestor before that of a descendant; two unrelated directories in the
/// order of their slots, under `Union.renameLock`. The node table's lock and the descriptors' lock
/// come after any of these. System calls on the directory's own names are made under `lock`; a copy
/// of a file's content never is.
final class Directory: @unchecked Sendable {
  let slot: UInt32
  let lock = ReadWriteLock()

  // Guarded by `lock`.
  /// The union's indexes of the branches that merge here, top first. Until `isResolved`, branches
  /// below an opaque directory may still be among them.
  var branches: [UInt16] {
    didSet { isMerged.store(branches.count > 1, ordering: .relaxed) }
  }
  var isResolved: Bool
  var index: NameIndex?
  /// Removed, or replaced by a rename: no name can be made here any more.
  var isRemoved = false

  /// What chattr(1) forbids here.
  var protection: Protection {
    get { Protection(rawValue: protectionBits.load(ordering: .relaxed)) }
    set { protectionBits.store(newValue.rawValue, ordering: .relaxed) }
  }
  private let protectionBits = Atomic<UInt8>(0)

  /// Whether more than one branch may be part of it; read without a lock.
  let isMerged: Atomic<Bool>

  /// System calls spent on looking names up without an index.
  let probes = Atomic<Int>(0)
  /// After so many the index is worth making; more than `leastProbes` once the size is known.
  let probesBeforeIndex = Atomic<Int>(leastProbes)
  static let leastProbes = 24
  /// Whether it has been found out how large it is.
  let wasMeasured = Atomic<Bool>(false)

  /// Whether its index is being made ahead, under `lock`.
  let isReadAhead = Atomic<Bool>(false)

  /// Locks it. Where its index is being made ahead, requests of others are not kept waiting.
  func lockPatientlyToRead() {
    if lock.tryLockToRead() { return }
    if isReadAhead.load(ordering: .acquiring) { Session.willBlock() }
    lock.lockToRead()
  }

  func lockPatientlyToWrite() {
    if lock.tryLockToWrite() { return }
    if isReadAhead.load(ordering: .acquiring) { Session.willBlock() }
    lock.lockToWrite()
  }

  // Guarded by the lock of `ReadAhead`.
  var walk = Walk()

  // Guarded by the lock of `DirectoryDescriptors`.
  var descriptors: [(branch: UInt16, descriptor: DirectoryDescriptor)] = []
  var ringIndex = -1
  var wasUsed = false

  // Guarded by the node table's lock.
  /// Dentries whose parent this is; the node stays while there are any.
  var children = 0

  /// Outlives its directories, also where a mount fails halfway.
  let cache: DirectoryDescriptors

  init(slot: UInt32, branches: [UInt16], isResolved: Bool, cache: DirectoryDescriptors) {
    self.slot = slot
    self.branches = branches
    isMerged = Atomic(branches.count > 1)
    self.isResolved = isResolved
    self.cache = cache
  }

  deinit {
    cache.drop(self)
    lock.destroy()
  }

  var isRoot: Bool { slot == NodeTable.rootSlot }

  /// Whether the writable branch, index 0, is part of it. Under `lock`.
  var isOnTop: Bool { branches.first == 0 }
}
