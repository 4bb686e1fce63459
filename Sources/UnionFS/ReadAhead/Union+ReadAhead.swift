internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  /// Below so many parts a directory's index is made when it is asked for.
  private static let leastParts = 4

  /// Starts the thread that reads ahead. Where there is one core it would only take the client's time, and
  /// where descriptors are few, those that a client needs: a directory takes one in each branch.
  func startReadingAhead() {
    guard Scheduling.coreCount > 1, branches.count >= Self.leastParts,
      descriptors.limit >= 8 * branches.count
    else { return }
    let trail = Trail(nodes)
    try? readAhead.start { [unowned self] directory, position in
      let child = makeReady(position, of: directory, trail)
      // What this thread has come to hold.
      descriptors.settle()
      return child
    } atEnd: {
      trail.drop()
    }
  }

  /// A client has begun to list a directory.
  func didList(_ directory: Directory) {
    guard branches.count >= Self.leastParts,
      let (parent, name) = nodes.parent(of: directory.slot)
    else { return }
    parent.lock.lockToRead()
    let position = name.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.flatMap {
        parent.index?.find(Name(unchecked: $0, count: buffer.count - 1))
      }
    }
    let parentHasDeep = hasDeepChildren(parent)
    parent.lock.unlock()
    guard let position else { return }
    directory.lock.lockToRead()
    let hasDeep = hasDeepChildren(directory)
    directory.lock.unlock()
    readAhead.didList(
      directory, in: parent, at: position, hasDeep: hasDeep, parentHasDeep: parentHasDeep)
  }

  /// Whether a directory has some that many branches may hold. It is locked.
  private func hasDeepChildren(_ directory: Directory) -> Bool {
    directory.branches.count >= Self.leastParts && directory.index?.directoryCount ?? 0 > 0
  }

  /// On the thread that reads ahead.
  private func makeReady(_ position: Int, of parent: Directory, _ trail: Trail) -> Directory? {
    guard let name = nameOfDeepDirectory(at: position, of: parent),
      let child = child(name, of: parent, trail)
    else { return nil }
    // Before it is locked, so that who waits for the lock knows.
    child.isReadAhead.store(true, ordering: .releasing)
    defer { child.isReadAhead.store(false, ordering: .releasing) }
    // One that is busy is at it.
    guard child.lock.tryLockToWrite() else { return nil }
    defer { child.lock.unlock() }
    guard (try? makeIndex(child)) != nil else { return nil }
    return hasDeepChildren(child) ? child : nil
  }

  /// The name, NUL-terminated, of an entry that is a directory in many branches.
  private func nameOfDeepDirectory(at position: Int, of parent: Directory) -> [CChar]? {
    parent.lock.lockToRead()
    defer { parent.lock.unlock() }
    guard let index = parent.index, position < index.entries.count,
      index.entries[position].isVisible, index.entries[position].type == .directory,
      index.branches(of: position).count >= Self.leastParts
    else { return nil }
    return index.withName(of: position) { Array($0) + [0] }
  }

  /// A directory by its name: looked up as by a client, where none has.
  private func child(_ name: [CChar], of parent: Directory, _ trail: Trail) -> Directory? {
    let nobody = Caller(user: 0, group: 0, process: 0, mask: 0)
    return name.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return nil }
      let name = Name(unchecked: base, count: buffer.count - 1)
      if let known = nodes.knownDirectory(name, of: parent) { return known }
      guard let id = nodes.id(of: parent),
        let entry = try? lookUp(parent: id, name: base, caller: nobody), entry.node != 0
      else { return nil }
      trail.add(entry.node)
      return nodes.knownDirectory(name, of: parent)
    }
  }
}

/// Nodes that the thread that reads ahead has looked up, the oldest of which are forgotten again. Used by that
/// thread alone.
private final class Trail: @unchecked Sendable {
  private let nodes: NodeTable
  private var ids: [UInt64] = []
  private var oldest = 0
  private static let limit = 256

  init(_ nodes: NodeTable) { self.nodes = nodes }

  func add(_ id: UInt64) {
    if ids.count < Self.limit { return ids.append(id) }
    nodes.forget(ids[oldest], count: 1)
    ids[oldest] = id
    oldest = (oldest + 1) % Self.limit
  }

  func drop() {
    for id in ids { nodes.forget(id, count: 1) }
    ids = []
  }
}

extension NodeTable {
  /// The directory of a name, where it is known. Takes the lock.
  fileprivate func knownDirectory(_ name: Name, of parent: Directory) -> Directory? {
    lock.lock()
    defer { lock.unlock() }
    guard isCurrent(parent) else { return nil }
    let record = find(parent.slot, name, hash: name.hash)
    return record == 0 ? nil : try? directory(at: node(named: record))
  }

  /// nil for one that is gone. Takes the lock.
  fileprivate func id(of directory: Directory) -> UInt64? {
    lock.whileLocked { isCurrent(directory) ? currentID(directory.slot) : nil }
  }

  /// A directory that is gone may have left its slot to another node. Under the lock.
  private func isCurrent(_ directory: Directory) -> Bool {
    (try? self.directory(at: directory.slot)) === directory
  }
}
