internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// All nodes that the kernel knows, and the names by which they were found.
///
/// One lock over a few memory accesses each time; no system call is made under it. Slots are 32 bits
/// and a node id is slot and generation, so an id that is used again after a FORGET is told apart. The
/// id's highest bit is that of a split node's second id.
///
/// A file with one name takes 28 bytes, its name 4 or more (`NameArena`), and 5 to 7.5 in the table of
/// hashes. What is freed is used again, never given back: a slot keeps its generation.
///
/// A name is told by its record: the node itself for its first one, the last that was added.
final class NodeTable: @unchecked Sendable {
  static let rootSlot: UInt32 = 1
  private static let slabBits: UInt32 = 12

  let lock = Lock()
  // Below: guarded by `lock`.
  /// As many as there may ever be: 8 MiB, of which only what is used is in memory. A variable array would be
  /// checked at each access.
  private let slabs = UnsafeMutablePointer<UnsafeMutablePointer<Node>>.allocate(
    capacity: 1 << Int(UInt32(UInt32.bitWidth) - slabBits))
  /// One past the last record that was ever used.
  private(set) var slotCount: UInt32 = 2
  private var freeRecord: UInt32 = 0
  private var names = NameArena()
  /// Records by parent and name.
  private var slots = HashSlots(capacity: 1024)
  /// The second name of nodes that have several.
  private var furtherNames: [UInt32: UInt32] = [:]
  /// What directories and open files have beside their nodes; of a free place, `inode` is the next one.
  private var held: [Held] = []
  private var freeHeld = -1
  /// How often 2^32 replies have given a node to the kernel.
  private var lookupCarries: [UInt32: UInt64] = [:]
  private var byInode: [UInt64: UInt32] = [:]
  /// Attributes of files without a name and without an open descriptor.
  private var orphans: [UInt32: Attributes] = [:]
  /// What there is to know of split nodes of which the kernel has not forgotten the first id.
  var splits: [UInt32: Split] = [:]
  /// Inode numbers of the lower files that have been split, also once their nodes are gone.
  var splitNumbers: Set<UInt64> = []

  private struct Held {
    var inode: UInt64
    /// A directory's `Directory`, an open or changing file's `OpenFile`; retained.
    var object: UnsafeMutableRawPointer?
  }

  init(root: Directory, inode: UInt64, branch: UInt16) {
    addSlab(0)
    let node = self.node(Self.rootSlot)
    node.initialize(to: Node(lookups: 1, branch: branch, kind: .directory, flags: .used))
    node.pointee.word = inode
    setExtra(Self.rootSlot, Unmanaged.passRetained(root).toOpaque())
  }

  deinit {
    for place in held {
      if let object = place.object { Unmanaged<AnyObject>.fromOpaque(object).release() }
    }
    for slab in 0...(slotCount - 1) >> Self.slabBits { slabs[Int(slab)].deallocate() }
    slabs.deallocate()
    lock.destroy()
  }

  // MARK: Access under the lock

  func node(_ slot: UInt32) -> UnsafeMutablePointer<Node> {
    slabs[Int(slot >> Self.slabBits)] + Int(slot & (1 << Self.slabBits - 1))
  }

  /// Bytes of names, for tests.
  var nameStorage: Int { names.storage }

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
    guard slot > 0, slot < slotCount, node(slot).pointee.flags.contains(.used),
      currentID(slot) | Self.secondID == id | Self.secondID
    else { throw Errno.staleNFSFileHandle }
    return slot
  }

  func directory(at slot: UInt32) throws(Errno) -> Directory {
    guard node(slot).pointee.kind == .directory, let extra = extra(slot) else {
      throw Errno.notDirectory
    }
    return Unmanaged<Directory>.fromOpaque(extra).takeUnretainedValue()
  }

  /// The directory that holds a directory, and its name there (NUL-terminated). Takes the lock.
  func parent(of slot: UInt32) -> (Directory, [CChar])? {
    lock.lock()
    defer { lock.unlock() }
    guard hasName(slot), let parent = try? directory(at: node(slot).pointee.parent) else {
      return nil
    }
    return (parent, name(slot))
  }

  // MARK: Nodes

  /// A new node without a name.
  func makeNode(inode: UInt64, kind: FileKind, branch: UInt16, flags: Node.Flags = []) -> UInt32 {
    let slot = allocateRecord()
    let node = node(slot)
    node.pointee = Node(
      generation: node.pointee.generation, branch: branch, kind: kind, flags: flags.union(.used))
    node.pointee.word = inode
    return slot
  }

  private func allocateRecord() -> UInt32 {
    if freeRecord != 0 {
      let record = freeRecord
      freeRecord = node(record).pointee.parent
      return record
    }
    if slotCount & (1 << Self.slabBits - 1) == 0 {
      addSlab(slotCount >> Self.slabBits)
    }
    let record = slotCount
    slotCount += 1
    node(record).initialize(to: Node())
    return record
  }

  private func addSlab(_ number: UInt32) {
    (slabs + Int(number)).initialize(to: .allocate(capacity: 1 << Int(Self.slabBits)))
  }

  private func free(_ record: UInt32) {
    let node = node(record)
    node.pointee.flags = []
    node.pointee.name = 0
    node.pointee.parent = freeRecord
    freeRecord = record
  }

  /// Frees a node that nothing refers to; its directory or open file is returned, to be let go
  /// outside the lock.
  private func freeNode(_ slot: UInt32) -> AnyObject? {
    let extra = takeExtra(slot)
    let node = node(slot)
    if node.pointee.flags.contains(.linked), byInode[node.pointee.word] == slot {
      byInode[node.pointee.word] = nil
    }
    if !orphans.isEmpty { orphans[slot] = nil }
    if node.pointee.flags.contains(.split) { splits[slot] = nil }
    node.pointee.generation &+= 1
    free(slot)
    return extra.map { Unmanaged<AnyObject>.fromOpaque($0).takeRetainedValue() }
  }

  /// The inode number that the union shows.
  func inode(_ slot: UInt32) -> UInt64 {
    let node = node(slot)
    return node.pointee.flags.contains(.held)
      ? held[Int(node.pointee.word)].inode : node.pointee.word
  }

  /// A directory's `Directory`, an open or changing file's `OpenFile`.
  func extra(_ slot: UInt32) -> UnsafeMutableRawPointer? {
    let node = node(slot)
    return node.pointee.flags.contains(.held) ? held[Int(node.pointee.word)].object : nil
  }

  /// Gives it to a node that has none, retained.
  func setExtra(_ slot: UInt32, _ object: UnsafeMutableRawPointer) {
    let node = node(slot)
    let new = Held(inode: node.pointee.word, object: object)
    var place = freeHeld
    if place >= 0 {
      freeHeld = Int(truncatingIfNeeded: Int64(bitPattern: held[place].inode))
      held[place] = new
    } else {
      place = held.count
      held.append(new)
    }
    node.pointee.word = UInt64(place)
    node.pointee.flags.insert(.held)
  }

  /// Takes it away from a node; the caller has to release it.
  func takeExtra(_ slot: UInt32) -> UnsafeMutableRawPointer? {
    let node = node(slot)
    guard node.pointee.flags.remove(.held) != nil else { return nil }
    let place = Int(node.pointee.word)
    let old = held[place]
    node.pointee.word = old.inode
    held[place] = Held(inode: UInt64(bitPattern: Int64(freeHeld)), object: nil)
    freeHeld = place
    return old.object
  }

  // MARK: Lookup counts

  func lookups(_ slot: UInt32) -> UInt64 {
    let carry = lookupCarries.isEmpty ? 0 : lookupCarries[slot] ?? 0
    return carry << 32 | UInt64(node(slot).pointee.lookups)
  }

  /// A reply gives the node to the kernel.
  func countLookup(_ slot: UInt32) {
    let node = node(slot)
    node.pointee.lookups &+= 1
    if node.pointee.lookups == 0 { lookupCarries[slot, default: 0] += 1 }
  }

  private func dropLookups(_ slot: UInt32, _ count: UInt64) {
    let all = lookups(slot)
    let left = all - min(all, count)
    node(slot).pointee.lookups = UInt32(truncatingIfNeeded: left)
    if all >> 32 != left >> 32 { lookupCarries[slot] = left >> 32 == 0 ? nil : left >> 32 }
  }

  // MARK: Names

  func hasName(_ slot: UInt32) -> Bool { node(slot).pointee.name != 0 }

  /// The node of a name's record.
  func node(named record: UInt32) -> UInt32 {
    let node = node(record)
    return node.pointee.flags.contains(.used) ? record : node.pointee.pair.low
  }

  /// A copy of a record's name, NUL-terminated.
  func name(_ record: UInt32) -> [CChar] {
    let bytes = names.bytes(node(record).pointee.name)
    return Array(UnsafeBufferPointer(start: bytes.baseAddress, count: bytes.count + 1))
  }

  /// The records of a node's names, the last that was added first.
  func records(of slot: UInt32) -> [UInt32] {
    guard hasName(slot) else { return [] }
    var found = [slot]
    var record = furtherName(slot)
    while record != 0 {
      found.append(record)
      record = node(record).pointee.pair.high
    }
    return found
  }

  private func furtherName(_ slot: UInt32) -> UInt32 {
    node(slot).pointee.flags.contains(.severalNames) ? furtherNames[slot] ?? 0 : 0
  }

  private func setFurtherName(_ slot: UInt32, _ record: UInt32) {
    if record == 0 {
      furtherNames[slot] = nil
      node(slot).pointee.flags.remove(.severalNames)
    } else {
      furtherNames[slot] = record
      node(slot).pointee.flags.insert(.severalNames)
    }
  }

  private func hash(_ record: UInt32) -> UInt32 {
    HashSlots.hash(
      names.bytes(node(record).pointee.name).nameHash, in: node(record).pointee.parent)
  }

  /// The record of a name; 0 for none.
  func find(_ parent: UInt32, _ name: Name, hash: UInt32) -> UInt32 {
    let found = slots.find(HashSlots.hash(hash, in: parent)) { record in
      let node = node(record)
      return node.pointee.parent == parent
        && names.bytes(node.pointee.name).hasBytes(of: name.bytes)
    }
    return found ?? 0
  }

  /// Adds a name of a node: its first one from now on.
  func link(_ parent: UInt32, _ name: Name, hash: UInt32, to slot: UInt32) {
    // The one before may take the next record.
    if !slots.hasRoom(for: slotCount) { rehash() }
    if hasName(slot) { moveNameToRecord(slot) }
    let node = node(slot)
    node.pointee.parent = parent
    node.pointee.name = names.insert(name.bytes)
    node.pointee.flags.remove(.unlinked)
    slots.insert(slot, HashSlots.hash(hash, in: parent))
    (try? directory(at: parent))?.children += 1
  }

  /// Makes a node's first name its second.
  private func moveNameToRecord(_ slot: UInt32) {
    let hash = hash(slot)
    let record = allocateRecord()
    let (node, further) = (node(slot), self.node(record))
    further.pointee.parent = node.pointee.parent
    further.pointee.name = node.pointee.name
    further.pointee.kind = .unknown
    further.pointee.pair = (slot, furtherName(slot))
    setFurtherName(slot, record)
    slots.replace(slot, by: record, hash)
  }

  /// Makes a node's second name its first, which is gone.
  private func moveNameFromRecord(_ slot: UInt32) {
    let record = furtherName(slot)
    let (node, further) = (node(slot), self.node(record))
    slots.replace(record, by: slot, hash(record))
    node.pointee.parent = further.pointee.parent
    node.pointee.name = further.pointee.name
    setFurtherName(slot, further.pointee.pair.high)
    free(record)
  }

  /// A table that is filled half where every record has a name. In the records' order: hashes are told by
  /// the names, which lie in about the same.
  private func rehash() {
    slots = HashSlots(capacity: 0)
    slots = HashSlots(
      capacity: max(1024, Int(slotCount) / 8 * 15), numbersTo: Int(slotCount) - 1
    ) { record in node(record).pointee.name == 0 ? nil : hash(record) }
  }

  /// Takes a name away from its node. Another one's record may be another afterwards.
  func unlink(_ record: UInt32) {
    let node = node(record)
    let bytes = names.bytes(node.pointee.name)
    slots.remove(record, HashSlots.hash(bytes.nameHash, in: node.pointee.parent))
    names.remove(node.pointee.name, count: bytes.count)
    (try? directory(at: node.pointee.parent))?.children -= 1
    if !node.pointee.flags.contains(.used) {
      takeOut(record, of: node.pointee.pair.low)
    } else if node.pointee.flags.contains(.severalNames) {
      moveNameFromRecord(record)
    } else {
      node.pointee.name = 0
    }
  }

  /// Takes a further name's record out of its node's list.
  private func takeOut(_ record: UInt32, of slot: UInt32) {
    let next = node(record).pointee.pair.high
    var current = furtherName(slot)
    if current == record { setFurtherName(slot, next) }
    while current != 0 {
      let after = node(current).pointee.pair.high
      if after == record { node(current).pointee.pair.high = next }
      current = after
    }
    free(record)
  }

  // MARK: By inode

  func linkedNode(_ inode: UInt64) -> UInt32? { byInode.isEmpty ? nil : byInode[inode] }

  func setLinked(_ slot: UInt32) {
    node(slot).pointee.flags.insert(.linked)
    byInode[inode(slot)] = slot
  }

  /// No name is left: the inode number may come again for another file.
  func setUnlinked(_ slot: UInt32) {
    let node = node(slot)
    let number = inode(slot)
    if byInode[number] == slot { byInode[number] = nil }
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
      dropLookups(slot, count)
      if node(slot).pointee.flags.contains(.split) { forgetFirst(id, slot, count) }
      collect(slot, &freed)
    }
    lock.unlock()
    // Descriptors that close with the last reference are closed here, outside the lock.
    _ = consume freed
  }

  /// Frees a node that neither the kernel nor a child refers to, and then perhaps its parents.
  private func collect(_ first: UInt32, _ freed: inout [AnyObject]) {
    var slot = first
    // The other parents of a file with several names.
    var others: [UInt32] = []
    while mayBeFreed(slot) {
      let node = node(slot)
      var parent: UInt32 = 0
      while hasName(slot) {
        if parent != 0 { others.append(parent) }
        parent = node.pointee.parent
        unlink(slot)
      }
      if let extra = freeNode(slot) { freed.append(extra) }
      if parent == 0 { break }
      slot = parent
    }
    for other in others { collect(other, &freed) }
  }

  private func mayBeFreed(_ slot: UInt32) -> Bool {
    guard slot != Self.rootSlot, lookups(slot) == 0, node(slot).pointee.flags.contains(.used) else {
      return false
    }
    guard let directory = try? directory(at: slot) else { return true }
    return directory.children == 0
  }
}
