internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a name is in a directory, with what a change of it must know.
struct NameState {
  /// The branch of the topmost entry; nil where the name is not visible.
  var branch: UInt16?
  var kind = FileKind.unknown
  /// For a directory: the branches that may merge, top first.
  var branches: [UInt16] = []
  /// The type of what the branches below the top would show, `unknown` for nothing.
  var lowerKind = FileKind.unknown
  /// How the top branch says that the name is gone.
  var topWhiteouts: WhiteoutForms = []

  var hasTopWhiteout: Bool { !topWhiteouts.isEmpty }
  var isVisible: Bool { branch != nil }
  var isOnTop: Bool { branch == 0 }
  var lowerShows: Bool { lowerKind != .unknown }
}

extension Union {
  /// Where a lookup finds a name; nil for nowhere. The directory is locked.
  func resolveName(_ directory: Directory, _ name: Name) throws(Errno) -> NameState? {
    if let index = directory.index {
      guard let position = index.find(name) else { return nil }
      let entry = index.entries[position]
      if entry.isBroken { throw Errno.ioError }
      guard entry.isVisible else { return nil }
      var state = NameState(branch: entry.branch, kind: entry.type)
      state.branches =
        entry.type == .directory ? index.branches(of: position) : [entry.branch]
      return state
    }
    if directory.branches.count == 1 {
      // One system call; the caller makes it for the attributes.
      return NameState(branch: directory.branches[0], kind: .unknown, branches: directory.branches)
    }
    return try withProbe(directory, name) { probe throws(Errno) in
      let found = try resolve(probe)
      countProbes(directory, 2 * directory.branches.count)
      return found.map { state(of: $0, in: directory) }
    }
  }

  private func state(of found: Resolution, in directory: Directory) -> NameState {
    NameState(
      branch: directory.branches[found.position], kind: found.type,
      branches: found.type == .directory
        ? found.merged.map { directory.branches[$0] } : [directory.branches[found.position]])
  }

  /// All that a change of a name must know. The directory is locked.
  func nameState(_ directory: Directory, _ name: Name) throws(Errno) -> NameState {
    if let index = directory.index {
      guard let position = index.find(name) else { return NameState() }
      let entry = index.entries[position]
      if entry.isBroken { throw Errno.ioError }
      var state = NameState(lowerKind: entry.lowerType, topWhiteouts: entry.topWhiteouts)
      if entry.isVisible {
        state.branch = entry.branch
        state.kind = entry.type
        state.branches = entry.type == .directory ? index.branches(of: position) : [entry.branch]
      }
      return state
    }
    return try withProbe(directory, name) { probe throws(Errno) in
      countProbes(directory, 4 * directory.branches.count)
      let first = try probe.entry(at: 0)
      let found = try resolve(ProbeBelow(probe, top: first))
      var result = found.map { state(of: $0, in: directory) } ?? NameState()
      guard top != nil, directory.isOnTop else {
        result.lowerKind = result.kind
        return result
      }
      if first == .whiteout { result.topWhiteouts.insert(.overlay) }
      if directory.branches.count > 1, try probe.hidesBelow(at: 0) {
        result.topWhiteouts.insert(.aufs)
      }
      result.lowerKind = try resolve(probe, from: 1)?.type ?? .unknown
      return result
    }
  }

  private func withProbe<Result>(
    _ directory: Directory, _ name: Name, _ body: (DirectoryProbe) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    var places: [(descriptor: CInt, honoursWhiteouts: Bool)] = []
    var held: [DirectoryDescriptor] = []
    places.reserveCapacity(directory.branches.count)
    held.reserveCapacity(directory.branches.count)
    for index in directory.branches {
      let opened = try descriptor(directory, index)
      held.append(opened)
      places.append((opened.raw, branch(index).honoursWhiteouts))
    }
    let result = try body(DirectoryProbe(name, in: places))
    _ = consume held
    return result
  }
}
