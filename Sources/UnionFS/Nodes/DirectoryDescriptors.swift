internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// An open descriptor of one branch's part of a directory, mostly of O_PATH; closed with its last user.
final class DirectoryDescriptor: Sendable {
  let raw: CInt
  /// Names can be read from it, and none have been.
  private let isUnread: Atomic<Bool>

  init(_ raw: CInt, isReadable: Bool = false) {
    self.raw = raw
    isUnread = Atomic(isReadable)
  }

  deinit { FileSystemCall.close(raw) }

  /// Whether the caller may read names from it: the first who asks, of one that can be read.
  func takeUnread() -> Bool { isUnread.exchange(false, ordering: .relaxed) }
}

/// Keeps the number of open directory descriptors bounded: past the limit, those of directories that
/// were not used lately are closed, and opened again when they are needed. One that was asked for stays
/// open until the request is answered: its number is used when the last reference may be gone.
///
/// Lock order: `lock` is the innermost; no system call is made under it.
final class DirectoryDescriptors: @unchecked Sendable {
  private let lock = Lock()
  let limit: Int
  // Below, and the `descriptors`, `ringIndex` and `wasUsed` of every directory: guarded by `lock`.
  private var ring: [Unmanaged<Directory>] = []
  private var hand = 0
  private var open = 0
  private var early: [DirectoryDescriptor] = []

  init(limit: Int) { self.limit = limit }

  deinit { lock.destroy() }

  func get(_ directory: Directory, branch: UInt16) -> DirectoryDescriptor? {
    guard let found = find(directory, branch) else { return nil }
    hold(found)
    return found
  }

  private func find(_ directory: Directory, _ branch: UInt16) -> DirectoryDescriptor? {
    lock.lock()
    defer { lock.unlock() }
    directory.wasUsed = true
    for entry in directory.descriptors where entry.branch == branch { return entry.descriptor }
    return nil
  }

  /// Before the mount there is no request: all stays open until `settle`.
  private func hold(_ descriptor: DirectoryDescriptor) {
    if Session.hold(descriptor) { return }
    lock.whileLocked { early.append(descriptor) }
  }

  /// What was opened before the mount may be closed.
  func settle() {
    let all = lock.whileLocked { () -> [DirectoryDescriptor] in
      defer { early = [] }
      return early
    }
    _ = consume all
  }

  /// Keeps a descriptor; another thread's that was first is returned instead.
  func put(
    _ directory: Directory, branch: UInt16, _ descriptor: DirectoryDescriptor
  ) -> DirectoryDescriptor {
    let kept = keep(directory, branch, descriptor)
    hold(kept)
    return kept
  }

  private func keep(
    _ directory: Directory, _ branch: UInt16, _ descriptor: DirectoryDescriptor
  ) -> DirectoryDescriptor {
    lock.lock()
    for entry in directory.descriptors where entry.branch == branch {
      lock.unlock()
      return entry.descriptor
    }
    directory.descriptors.append((branch, descriptor))
    directory.wasUsed = true
    open += 1
    if directory.ringIndex < 0, !directory.isRoot {
      directory.ringIndex = ring.count
      ring.append(Unmanaged.passUnretained(directory))
    }
    let closed = open > limit ? evict() : []
    lock.unlock()
    // The last references go here, outside the lock.
    _ = consume closed
    return descriptor
  }

  /// Takes the descriptors of one directory away, for branches that `keep` does not want.
  func drop(_ directory: Directory, keep: (UInt16) -> Bool = { _ in false }) {
    lock.lock()
    let all = directory.descriptors
    directory.descriptors = all.filter { keep($0.branch) }
    open -= all.count - directory.descriptors.count
    if directory.descriptors.isEmpty { removeFromRing(directory) }
    lock.unlock()
    _ = consume all
  }

  /// Closes all that no request uses: where the process has no descriptor left.
  func closeUnused() {
    lock.lock()
    var closed: [DirectoryDescriptor] = []
    for directory in ring {
      let directory = directory.takeUnretainedValue()
      closed += directory.descriptors.map(\.descriptor)
      directory.descriptors = []
      directory.ringIndex = -1
    }
    open -= closed.count
    ring = []
    hand = 0
    lock.unlock()
    _ = consume closed
  }

  private func removeFromRing(_ directory: Directory) {
    let index = directory.ringIndex
    guard index >= 0 else { return }
    directory.ringIndex = -1
    let last = ring.removeLast()
    if index < ring.count {
      ring[index] = last
      last.takeUnretainedValue().ringIndex = index
    }
  }

  /// Second chance, until an eighth of the limit is free.
  private func evict() -> [DirectoryDescriptor] {
    var closed: [DirectoryDescriptor] = []
    var steps = 2 * ring.count
    while open > limit - limit / 8, steps > 0, !ring.isEmpty {
      steps -= 1
      if hand >= ring.count { hand = 0 }
      let directory = ring[hand].takeUnretainedValue()
      if directory.wasUsed {
        directory.wasUsed = false
        hand += 1
      } else {
        closed += directory.descriptors.map(\.descriptor)
        open -= directory.descriptors.count
        directory.descriptors = []
        removeFromRing(directory)
      }
    }
    return closed
  }
}
