internal import FUSE
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// After a crash between a name's coming or going and the record of it, the count of a hard-linked
// lower file is found out anew: the names that its branch holds and the view shows from there, and the
// links of its copy.

extension Union {
  /// Counts what the table is uncertain of. Before the mount, so nothing else happens meanwhile.
  func recountLinks() throws(Errno) {
    guard let top else { return }
    let uncertain = top.area.inodes.uncertain
    if uncertain.isEmpty { return }
    var counts: [UInt64: UInt64] = [:]
    for number in uncertain {
      counts[number] = 0
      // One of the copy's links is the one under `.wh..wh.plnk`.
      if top.pseudoLinks.contains(number) {
        counts[number] = try pseudoAttributes(number).linkCount - 1
      }
    }
    for branch in branches.branches.dropFirst() { try countNames(of: branch, &counts) }
    for (number, count) in counts {
      if count == 0 { try top.pseudoLinks.remove(number) }
      try top.area.inodes.setLinkCount(of: number, to: count)
    }
  }

  /// Adds the names that a lower branch holds and the view shows from there.
  private func countNames(of branch: Branch, _ counts: inout [UInt64: UInt64]) throws(Errno) {
    var pending: [[[CChar]]] = [[]]
    while let path = pending.popLast() {
      var found: [([CChar], UInt64)] = []
      let directory = try open(path, in: branch)
      defer { FileSystemCall.close(directory) }
      try forEachEntry(of: directory) { bytes, kind, inode in
        guard case .ordinary = DiskName(bytes) else { return true }
        if kind == .directory { pending.append(path + [Array(bytes) + [0]]) }
        let number = numbers.number(branch: branch.index, listed: inode)
        if kind != .directory && counts[number] != nil {
          found.append((Array(bytes) + [0], number))
        }
        return true
      }
      for (name, number) in found {
        if try shows(path, name, from: branch) { counts[number, default: 0] += 1 }
        descriptors.settle()
      }
    }
  }

  private func open(_ path: [[CChar]], in branch: Branch) throws(Errno) -> CInt {
    var current = try FileSystemCall.open(
      at: branch.root, ReservedName.here, OpenFlag.path | OpenFlag.directory)
    for name in path {
      let above = current
      defer { FileSystemCall.close(above) }
      current = try FileSystemCall.open(
        at: above, name, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
    }
    return current
  }

  /// Whether the view shows a name, and from that branch.
  private func shows(
    _ path: [[CChar]], _ name: [CChar], from branch: Branch
  ) throws(Errno) -> Bool {
    let nobody = Caller(user: 0, group: 0, process: 0, mask: 0)
    var held: [UInt64] = []
    defer { for node in held.reversed() { forget(node: node, count: 1) } }
    var parent: UInt64 = 1
    for part in path {
      let entry = try lookUp(parent: parent, name: part, caller: nobody)
      if entry.node == 0 { return false }
      held.append(entry.node)
      guard entry.attributes.isDirectory else { return false }
      parent = entry.node
    }
    let directory = try directory(parent)
    try lockToRead(directory)
    defer { directory.lock.unlock() }
    return try name.withUnsafeBufferPointer { buffer throws(Errno) in
      guard let base = buffer.baseAddress else { return false }
      let state = try resolveName(directory, Name(unchecked: base, count: name.count - 1))
      guard state?.branch == UInt16(branch.index) else { return false }
      return try FileSystemCall.type(
        at: descriptor(directory, UInt16(branch.index)).raw, base) != nil
    }
  }
}
