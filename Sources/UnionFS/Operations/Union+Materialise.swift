internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Renaming a directory that has visible lower content: its whole subtree is brought to the top branch
// first, which changes no view, and then it is one directory to rename.

extension Union {
  /// Brings all that a directory shows to the top branch. Nothing is locked by the caller.
  func materialise(_ directory: Directory) throws(Errno) {
    Session.willBlock()
    try ensureOnTop(directory)
    try Materialisation(self).bring(directory)
  }

  /// Brings one entry to the top branch: of a directory only itself, which is returned for what is in it.
  func bringEntry(
    _ name: [CChar], in parent: Directory, hold: (UInt64) -> Void
  ) throws(Errno) -> Directory? {
    let nobody = Caller(user: 0, group: 0, process: 0, mask: 0)
    let entry = try lookUp(parent: nodeID(parent), name: name, caller: nobody)
    if entry.node == 0 { return nil }
    if entry.attributes.isDirectory {
      hold(entry.node)
      let directory = try self.directory(entry.node)
      try ensureOnTop(directory)
      return directory
    }
    defer { forget(node: entry.node, count: 1) }
    let slot = UInt32(truncatingIfNeeded: entry.node)
    try copyUp(slot)
    try name.withUnsafeBufferPointer { buffer throws(Errno) in
      guard let base = buffer.baseAddress else { return }
      try ensureName(parent, Name(unchecked: base, count: name.count - 1), slot)
    }
    return nil
  }

  private func nodeID(_ directory: Directory) -> UInt64 {
    nodes.id(directory.slot)
  }

  /// A name of a hard-linked file whose copy is on top, but not under this name, becomes a link to the
  /// copy.
  func ensureName(_ directory: Directory, _ name: Name, _ slot: UInt32) throws(Errno) {
    let top = try changing()
    let (number, isLinked) = nodes.lock.whileLocked {
      (nodes.inode(slot), nodes.node(slot).pointee.flags.contains(.linked))
    }
    guard isLinked else { return }
    try ensureOnTop(directory)
    try lockToWrite(directory)
    defer { directory.lock.unlock() }
    let state = try nameState(directory, name)
    guard state.isVisible, !state.isOnTop else { return }
    let target = try topDescriptor(directory)
    let links = try top.pseudoLinks.directory()
    try keepingTimes(of: target.raw) { () throws(Errno) in
      try top.pseudoLinks.withName(of: number) { link throws(Errno) in
        try FileSystemCall.link(at: links, link, to: target.raw, name.pointer)
      }
    }
    directory.index?.setTop(name, type: state.kind, inode: number, branches: [0])
  }

  /// After a directory has moved: neither it nor what is below it has anything under its new name on
  /// a lower branch. The directory is locked to write.
  ///
  /// - Parameters:
  ///   - old: what stood at its old name.
  ///   - new: what stood at its new name.
  func settle(_ directory: Directory, wasOver old: NameState, isOver new: NameState) {
    let keepsOpaque = new.lowerKind == .directory
    if directory.branches.count > 1 {
      detachFromLower(directory)
      cleanMarkers(directory, keepsOpaque: keepsOpaque)
    } else if old.lowerKind == .directory && !keepsOpaque, let own = try? topDescriptor(directory) {
      try? removeMarkers(in: own.raw)
    }
  }

  private func detachFromLower(_ directory: Directory) {
    detach(directory)
    for slot in nodes.directories() {
      guard let current = try? directoryIfThere(slot), isAncestor(directory, of: current) else {
        continue
      }
      current.lockPatientlyToWrite()
      detach(current)
      current.lock.unlock()
    }
  }

  /// A directory that is not on top holds nothing of the view (it was removed meanwhile).
  private func detach(_ directory: Directory) {
    guard directory.isOnTop, directory.branches.count > 1 else { return }
    directory.branches = [0]
    directory.isResolved = true
    directory.index?.detachFromLower()
    descriptors.drop(directory) { $0 == 0 }
  }

  private func directoryIfThere(_ slot: UInt32) throws(Errno) -> Directory {
    try nodes.lock.whileLocked { () throws(Errno) in try nodes.directory(at: slot) }
  }

  // MARK: Whiteouts that hide nothing any more

  /// Removes the whiteouts and opaque markers below a directory that has moved. Its own marker stays
  /// where a lower directory stands at the new name. A failure leaves needless ones, which change no
  /// view.
  private func cleanMarkers(_ directory: Directory, keepsOpaque: Bool) {
    guard let own = try? topDescriptor(directory) else { return }
    try? removeMarkersBelow(own.raw, keepsOpaque: keepsOpaque, depth: 0)
  }

  /// As deep as descriptors and this thread's stack allow; needless ones further down do no harm.
  private func removeMarkersBelow(
    _ directory: CInt, keepsOpaque: Bool, depth: Int
  ) throws(Errno) {
    guard depth < 256 else { return }
    var inside: [[CChar]] = []
    try removeMarkers(in: directory, keepsOpaque: keepsOpaque) { inside.append($0) }
    for name in inside {
      let next = try FileSystemCall.open(
        at: directory, name, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
      defer { FileSystemCall.close(next) }
      try removeMarkersBelow(next, keepsOpaque: false, depth: depth + 1)
    }
  }

  /// Removes the whiteouts of either form, other `.wh.` names and marks of a directory of the top branch;
  /// its times stay.
  ///
  /// - Parameters:
  ///   - keepsOpaque: what makes it opaque stays.
  ///   - keepsMark: overlayfs's attribute does.
  func removeMarkers(
    in directory: CInt, keepsOpaque: Bool = false, keepsMark: Bool = false,
    subdirectory: ([CChar]) -> Void = { _ in }
  ) throws(Errno) {
    var markers: [[CChar]] = []
    let keepsAttribute = keepsOpaque || keepsMark
    let isMarked = keepsAttribute ? false : try branches[0].marks(of: directory).isOpaque
    try forEachEntry(of: directory) { bytes, kind, _ throws(Errno) in
      if !bytes.hasWhiteoutPrefix {
        if kind == .directory {
          subdirectory(Array(bytes) + [0])
        } else if kind == .characterDevice || kind == .unknown, let base = bytes.baseAddress,
          try entryType(at: directory, base, honoursWhiteouts: true) == .whiteout
        {
          markers.append(Array(bytes) + [0])
        }
        return true
      }
      if case .opaque = DiskName(bytes), keepsOpaque { return true }
      markers.append(Array(bytes) + [0])
      return true
    }
    if markers.isEmpty && !isMarked { return }
    try keepingTimes(of: directory) { () throws(Errno) in
      if isMarked { try OverlayMarks.removeOpaque(from: directory) }
      for marker in markers { try FileSystemCall.unlink(at: directory, marker) }
    }
  }
}

extension NodeTable {
  /// The slots of all directories. Takes the lock.
  func directories() -> [UInt32] {
    lock.lock()
    defer { lock.unlock() }
    var list: [UInt32] = []
    for slot in 1..<slotCount {
      let node = node(slot)
      if node.pointee.kind == .directory && node.pointee.flags.contains(.used) { list.append(slot) }
    }
    return list
  }
}
