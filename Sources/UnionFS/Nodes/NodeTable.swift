internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// One logical file: what the kernel's node ids stand for. A plain struct in a slab, so that it has
/// no reference counts and its address stays; 48 bytes, and 32 for each name.
struct Node {
  var generation: UInt32
  /// The first of its names, 0 for none (removed, or the root).
  var dentry: UInt32
  /// How many replies have given the node to the kernel.
  var lookups: UInt64
  /// The inode number that the union shows.
  var inode: UInt64
  /// A directory's `Directory`, an open or changing file's `OpenFile`; retained.
  var extra: UnsafeMutableRawPointer?
  /// The union's index of the topmost branch that holds it.
  var branch: UInt16
  var kind: FileKind
  var flags: Flags

  struct Flags: OptionSet {
    let rawValue: UInt8
    static let used = Flags(rawValue: 1)
    /// Several names on disk share it: found by inode number too.
    static let linked = Flags(rawValue: 2)
    /// Its content lies under `.wh..wh.plnk`.
    static let pseudoLinked = Flags(rawValue: 4)
    /// No name is left.
    static let unlinked = Flags(rawValue: 8)
    /// The kernel has been given its content once.
    static let given = Flags(rawValue: 16)
    /// The kernel is given its second id from now on: see `Union+Split.swift`.
    static let split = Flags(rawValue: 32)
  }
}

/// One name of a node in a directory.
struct Dentry {
  var parent: UInt32
  var node: UInt32
  var hash: UInt32
  /// The node's next name; the next free dentry where this one is free.
  var next: UInt32
  /// NUL-terminated, allocated.
  var name: UnsafeMutablePointer<CChar>?
  var nameCount: UInt8
}

/// All nodes that the kernel knows, and the names by which they were found.
///
/// One lock over a few memory accesses each time; no system call is made under it. Slots are 32 bits
/// and a node id is slot and generation, so an id that is used again after a FORGET is told apart. The
/// id's highest bit is that of a split node's second id.
final class NodeTable: @unchecked Sendable {
  static let rootSlot: UInt32 = 1
  private static let slabBits: UInt32 = 12

  let lock = Lock()
  // Below: guarded by `lock`.
  private var nodeSlabs: [UnsafeMutablePointer<Node>] = []
  private var dentrySlabs: [UnsafeMutablePointer<Dentry>] = []
  private var nodeCount: UInt32 = 2
  private var dentryCount: UInt32 = 1
  private var freeNode: UInt32 = 0
  private var freeDentry: UInt32 = 0
  /// Open addressing: dentries by parent and name; 0 free, `tombstone` removed.
  private var slots: [UInt32]
  private var usedSlots = 0
  private var liveDentries = 0
  private var byInode: [UInt64: UInt32] = [:]
  /// Attributes of files without a name and without an open descriptor.
  private var orphans: [UInt32: Attributes] = [:]
  /// What there is to know of split nodes of which the kernel has not forgotten the first id.
  var splits: [UInt32: Split] = [:]
  /// Inode numbers of the lower files that have been split, also once their nodes are gone.
  var splitNumbers: Set<UInt64> = []
  private static let tombstone = UInt32.max

  init(root: Directory, inode: UInt64, branch: UInt16) {
    slots = [UInt32](repeating: 0, count: 1024)
    nodeSlabs.append(.allocate(capacity: 1 << Int(Self.slabBits)))
    dentrySlabs.append(.allocate(capacity: 1 << Int(Self.slabBits)))
    let node = Node(
      generation: 0, dentry: 0, lookups: 1, inode: inode,
      extra: Unmanaged.passRetained(root).toOpaque(), branch: branch, kind: .directory,
      flags: .used)
    (nodeSlabs[0] + 1).initialize(to: node)
  }

  deinit {
    for slot in 1..<nodeCount {
      let node = self.node(slot)
      if node.pointee.flags.contains(.used) { release(node) }
    }
    for index in 1..<max(dentryCount, 1) { dentry(index).pointee.name?.deallocate() }
    for slab in nodeSlabs { slab.deallocate() }
    for slab in dentrySlabs { slab.deallocate() }
    lock.destroy()
  }

  // MARK: Access under the lock

  /// One past the last slot that was ever used.
  var slotCount: UInt32 { nodeCount }

  func node(_ slot: UInt32) -> UnsafeMutablePointer<Node> {
    nodeSlabs[Int(slot >> Self.slabBits)] + Int(slot & (1 << Self.slabBits - 1))
  }

  func dentry(_ index: UInt32) -> UnsafeMutablePointer<Dentry> {
    dentrySlabs[Int(index >> Self.slabBits)] + Int(index & (1 << Self.slabBits - 1))
  }

  static let secondID: UInt64 = 1 << 63

  /// The id under which the kernel is given a node. Under the lock.
  func currentID(_ slot: UInt32) -> UInt64 {
    let node = node(slot)
    let first = UInt64(node.pointee.generation) << 32 & ~Self.secondID | UInt64(slot)
    return node.pointee.flags.contains(.split) ? first | Self.secondID : first
  }

  /// The slot of a node id; ESTALE for one that is not, or no longer, known.
  func slot(of id: UInt64) throws(Errno) -> UInt32 {
    let slot = UInt32(truncatingIfNeeded: id)
    guard slot > 0, slot < nodeCount, node(slot).pointee.flags.contains(.used),
      currentID(slot) | Self.secondID == id | Self.secondID
    else { throw Errno.staleNFSFileHandle }
    return slot
  }

  func directory(at slot: UInt32) throws(Errno) -> Directory {
    let node = node(slot)
    guard node.pointee.kind == .directory, let extra = node.pointee.extra else {
      throw Errno.notDirectory
    }
    return Unmanaged<Directory>.fromOpaque(extra).takeUnretainedValue()
  }

  /// The directory that holds a directory, and its name there (NUL-terminated). Takes the lock.
  func parent(of slot: UInt32) -> (Directory, [CChar])? {
    lock.lock()
    defer { lock.unlock() }
    let index = node(slot).pointee.dentry
    guard index != 0, let name = dentry(index).pointee.name,
      let parent = try? directory(at: dentry(index).pointee.parent)
    else { return nil }
    let count = Int(dentry(index).pointee.nameCount) + 1
    return (parent, Array(UnsafeBufferPointer(start: name, count: count)))
  }

  // MARK: Nodes

  func allocateNode() -> UInt32 {
    if freeNode != 0 {
      let slot = freeNode
      freeNode = node(slot).pointee.dentry
      return slot
    }
    if nodeCount & (1 << Self.slabBits - 1) == 0 {
      nodeSlabs.append(.allocate(capacity: 1 << Int(Self.slabBits)))
    }
    let slot = nodeCount
    nodeCount += 1
    node(slot).initialize(
      to: Node(
        generation: 0, dentry: 0, lookups: 0, inode: 0, extra: nil, branch: 0, kind: .unknown,
        flags: []))
    return slot
  }

  private func release(_ node: UnsafeMutablePointer<Node>) {
    guard let extra = node.pointee.extra else { return }
    node.pointee.extra = nil
    Unmanaged<AnyObject>.fromOpaque(extra).release()
  }

  /// Frees a node that nothing refers to; its directory or open file is returned, to be let go
  /// outside the lock.
  private func freeNodeSlot(_ slot: UInt32) -> AnyObject? {
    let node = node(slot)
    let extra = node.pointee.extra.map {
      Unmanaged<AnyObject>.fromOpaque($0).takeRetainedValue()
    }
    if byInode[node.pointee.inode] == slot { byInode[node.pointee.inode] = nil }
    orphans[slot] = nil
    if node.pointee.flags.contains(.split) { splits[slot] = nil }
    node.pointee.extra = nil
    node.pointee.flags = []
    node.pointee.generation &+= 1
    node.pointee.dentry = freeNode
    freeNode = slot
    return extra
  }

  // MARK: Names

  private func allocateDentry() -> UInt32 {
    if freeDentry != 0 {
      let index = freeDentry
      freeDentry = dentry(index).pointee.next
      return index
    }
    if dentryCount & (1 << Self.slabBits - 1) == 0 {
      dentrySlabs.append(.allocate(capacity: 1 << Int(Self.slabBits)))
    }
    let index = dentryCount
    dentryCount += 1
    dentry(index).initialize(
      to: Dentry(parent: 0, node: 0, hash: 0, next: 0, name: nil, nameCount: 0))
    return index
  }

  private static func place(_ parent: UInt32, _ hash: UInt32) -> Int {
    Int((hash ^ (parent &* 0x9E37_79B1)) & 0x7FFF_FFFF)
  }

  /// The dentry of a name; 0 for none.
  func find(_ parent: UInt32, _ name: Name, hash: UInt32) -> UInt32 {
    let mask = slots.count - 1
    var slot = Self.place(parent, hash) & mask
    while slots[slot] != 0 {
      let index = slots[slot]
      if index != Self.tombstone {
        let entry = dentry(index)
        if entry.pointee.parent == parent, entry.pointee.hash == hash,
          isNamed(entry, name)
        {
          return index
        }
      }
      slot = (slot + 1) & mask
    }
    return 0
  }

  private func isNamed(_ entry: UnsafeMutablePointer<Dentry>, _ name: Name) -> Bool {
    guard Int(entry.pointee.nameCount) == name.count, let own = entry.pointee.name else {
      return false
    }
    for index in 0..<name.count where own[index] != name.pointer[index] { return false }
    return true
  }

  /// Adds a name of a node.
  func link(_ parent: UInt32, _ name: Name, hash: UInt32, to slot: UInt32) {
    if (usedSlots + 1) * 8 > slots.count * 5 { rehash() }
    let index = allocateDentry()
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: name.count + 1)
    for at in 0..<name.count { copy[at] = name.pointer[at] }
    copy[name.count] = 0
    dentry(index).pointee = Dentry(
      parent: parent, node: slot, hash: hash, next: node(slot).pointee.dentry, name: copy,
      nameCount: UInt8(truncatingIfNeeded: name.count))
    node(slot).pointee.dentry = index
    node(slot).pointee.flags.remove(.unlinked)
    place(index)
    liveDentries += 1
    (try? directory(at: parent))?.children += 1
  }

  private func place(_ index: UInt32) {
    let mask = slots.count - 1
    var slot = Self.place(dentry(index).pointee.parent, dentry(index).pointee.hash) & mask
    while slots[slot] != 0 && slots[slot] != Self.tombstone { slot = (slot + 1) & mask }
    if slots[slot] == 0 { usedSlots += 1 }
    slots[slot] = index
  }

  private func rehash() {
    var capacity = 1024
    while capacity < liveDentries * 3 { capacity *= 2 }
    let old = slots
    slots = [UInt32](repeating: 0, count: capacity)
    usedSlots = 0
    for index in old where index != 0 && index != Self.tombstone { place(index) }
  }

  /// Takes a name away from its node.
  func unlink(_ index: UInt32) {
    let entry = dentry(index)
    let mask = slots.count - 1
    var slot = Self.place(entry.pointee.parent, entry.pointee.hash) & mask
    while slots[slot] != index {
      if slots[slot] == 0 { return }
      slot = (slot + 1) & mask
    }
    slots[slot] = Self.tombstone
    liveDentries -= 1
    removeFromNode(index)
    (try? directory(at: entry.pointee.parent))?.children -= 1
    entry.pointee.name?.deallocate()
    entry.pointee.name = nil
    entry.pointee.next = freeDentry
    freeDentry = index
  }

  private func removeFromNode(_ index: UInt32) {
    let node = node(dentry(index).pointee.node)
    if node.pointee.dentry == index {
      node.pointee.dentry = dentry(index).pointee.next
      return
    }
    var current = node.pointee.dentry
    while current != 0 {
      if dentry(current).pointee.next == index {
        dentry(current).pointee.next = dentry(index).pointee.next
        return
      }
      current = dentry(current).pointee.next
    }
  }

  // MARK: By inode

  func linkedNode(_ inode: UInt64) -> UInt32? { byInode.isEmpty ? nil : byInode[inode] }

  func setLinked(_ slot: UInt32) {
    node(slot).pointee.flags.insert(.linked)
    byInode[node(slot).pointee.inode] = slot
  }

  /// No name is left: the inode number may come again for another file.
  func setUnlinked(_ slot: UInt32) {
    let node = node(slot)
    if byInode[node.pointee.inode] == slot { byInode[node.pointee.inode] = nil }
    node.pointee.flags.remove([.linked, .pseudoLinked])
    node.pointee.flags.insert(.unlinked)
  }

  // MARK: Forgetting

  func setOrphan(_ slot: UInt32, _ attributes: Attributes) { orphans[slot] = attributes }
  func orphan(_ slot: UInt32) -> Attributes? { orphans[slot] }

  /// FORGET. Takes the lock.
  func forget(_ id: UInt64, count: UInt64) {
    var freed: [AnyObject] = []
    lock.lock()
    if let slot = try? slot(of: id) {
      let node = node(slot)
      node.pointee.lookups -= min(node.pointee.lookups, count)
      if node.pointee.flags.contains(.split) { forgetFirst(id, slot, count) }
      collect(slot, &freed)
    }
    lock.unlock()
    // Descriptors that close with the last reference are closed here, outside the lock.
    _ = consume freed
  }

  /// Frees a node that neither the kernel nor a child refers to, and then perhaps its parent.
  private func collect(_ first: UInt32, _ freed: inout [AnyObject]) {
    var slot = first
    while slot != Self.rootSlot, node(slot).pointee.lookups == 0 {
      let node = node(slot)
      if node.pointee.kind == .directory, let directory = try? directory(at: slot),
        directory.children > 0
      {
        return
      }
      var parent: UInt32 = 0
      while node.pointee.dentry != 0 {
        parent = dentry(node.pointee.dentry).pointee.parent
        unlink(node.pointee.dentry)
      }
      if let extra = freeNodeSlot(slot) { freed.append(extra) }
      if parent == 0 { return }
      slot = parent
    }
  }
}
