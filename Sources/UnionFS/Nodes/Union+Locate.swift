internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Where a file is on disk: a name in a directory, or, without any name, a descriptor.
struct Place {
  /// The directory; for an unnamed file the file's own descriptor.
  var directory: CInt
  /// Empty for an unnamed file and for the root.
  var name: CName
  var branch: UInt16
  /// Keeps `directory` open.
  var held: DirectoryDescriptor?

  var isUnnamed: Bool { name[0] == 0 }
  /// The name as the extended attributes' calls take it: they take no descriptor that was opened with
  /// O_PATH, as directories' are.
  var attributeName: CName? {
    if !isUnnamed { return name }
    return held == nil ? nil : ReservedName.here
  }
}

extension Union {
  func slot(_ id: UInt64) throws(Errno) -> UInt32 {
    try nodes.lock.whileLocked { () throws(Errno) in try nodes.slot(of: id) }
  }

  func kind(_ slot: UInt32) -> FileKind {
    nodes.lock.whileLocked { nodes.node(slot).pointee.kind }
  }

  /// Calls `body` with a file's place. Its parent is locked to read meanwhile, so the name stays.
  func withPlace<Result>(
    _ slot: UInt32, _ body: (Place) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    if slot == NodeTable.rootSlot {
      let held = try descriptor(root, root.branches[0])
      return try body(
        Place(
          directory: held.raw, name: ReservedName.itself, branch: root.branches[0], held: held))
    }
    while true {
      switch nodes.whereabouts(slot) {
      case .unnamed: return try withUnnamed(slot, body)
      case .pseudoLinked(let number): return try withPseudoLink(number, body)
      case .named(let parent):
        parent.lockPatientlyToRead()
        defer { parent.lock.unlock() }
        // A rename may have been first.
        guard let (name, branch) = nodes.name(of: slot, in: parent.slot) else { continue }
        let held = try descriptor(parent, branch)
        return try name.withUnsafeBufferPointer { buffer throws(Errno) in
          guard let base = buffer.baseAddress else { throw Errno.notThere }
          return try body(Place(directory: held.raw, name: base, branch: branch, held: held))
        }
      }
    }
  }

  private func withPseudoLink<Result>(
    _ number: UInt64, _ body: (Place) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let links = try changing().pseudoLinks
    let directory = try links.directory()
    return try links.withName(of: number) { name throws(Errno) in
      try body(Place(directory: directory, name: name, branch: 0, held: nil))
    }
  }

  /// A removed file: by its open descriptor, a removed directory by one that is still open.
  private func withUnnamed<Result>(
    _ slot: UInt32, _ body: (Place) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    if kind(slot) == .directory {
      let directory = try nodes.lock.whileLocked { () throws(Errno) in
        try nodes.directory(at: slot)
      }
      guard let index = directory.branches.first,
        let held = descriptors.get(directory, branch: index)
      else { throw Errno.staleNFSFileHandle }
      return try body(
        Place(directory: held.raw, name: ReservedName.itself, branch: index, held: held))
    }
    let file = openFile(slot)
    defer { letGo(file, slot) }
    let descriptor = file.descriptor.load(ordering: .acquiring)
    if descriptor < 0, let former = nodes.lock.whileLocked({ file.former }) {
      return try former.name.withUnsafeBufferPointer { buffer throws(Errno) in
        guard let base = buffer.baseAddress else { throw Errno.notThere }
        return try body(
          Place(
            directory: former.directory.raw, name: base, branch: former.branch,
            held: former.directory))
      }
    }
    guard descriptor >= 0 else { throw Errno.staleNFSFileHandle }
    let below = nodes.lock.whileLocked { nodes.node(slot).pointee.branch }
    let branch = file.isOnTop.load(ordering: .acquiring) ? 0 : below
    return try body(
      Place(directory: descriptor, name: ReservedName.itself, branch: branch, held: nil))
  }
}

extension NodeTable {
  enum Whereabouts {
    case named(Directory)
    case pseudoLinked(UInt64)
    case unnamed
  }

  /// How to get at a node's file. Takes the lock.
  func whereabouts(_ slot: UInt32) -> Whereabouts {
    lock.lock()
    defer { lock.unlock() }
    let node = node(slot)
    if node.pointee.flags.contains(.pseudoLinked) && !node.pointee.flags.contains(.unlinked) {
      return .pseudoLinked(inode(slot))
    }
    guard hasName(slot), let parent = try? directory(at: node.pointee.parent) else {
      return .unnamed
    }
    return .named(parent)
  }

  /// A copy of a node's first name, NUL-terminated, if that is in the directory still. Takes the lock.
  func name(of slot: UInt32, in parent: UInt32) -> ([CChar], UInt16)? {
    lock.lock()
    defer { lock.unlock() }
    guard hasName(slot), node(slot).pointee.parent == parent else { return nil }
    return (name(slot), node(slot).pointee.branch)
  }
}
