internal import FUSE
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Where a name comes from: virtual extended attributes of files, and the ioctl behind
// `unionfs-swift which`. For people and scripts; nothing the server does depends on it.

/// The virtual attributes: readable, never listed.
enum OriginQuestion: String, CaseIterable {
  /// The directory of the topmost branch that holds the file.
  case branch = "user.unionfs.branch"
  /// The file's path there.
  case path = "user.unionfs.path"
  /// The paths of all directories that merge, top first, a line each.
  case allPaths = "user.unionfs.allpaths"

  init?(_ key: CName) {
    guard Self.isReserved(key) else { return nil }
    self.init(rawValue: String(cString: key))
  }

  /// Whether a key begins with `user.unionfs.`.
  static func isReserved(_ key: CName) -> Bool {
    var index = 0
    for byte in "user.unionfs.".utf8 {
      if UInt8(bitPattern: key[index]) != byte { return false }
      index += 1
    }
    return true
  }
}

extension Union {
  func answer(
    _ question: OriginQuestion, about slot: UInt32, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let text = try text(question, about: slot)
    if buffer.isEmpty { return text.count }
    guard text.count <= buffer.count else { throw Errno.outOfRange }
    buffer.copyBytes(from: text)
    return text.count
  }

  private func text(_ question: OriginQuestion, about slot: UInt32) throws(Errno) -> [UInt8] {
    var list = try origins(of: slot)
    guard let first = list.first else { throw Errno.noData }
    switch question {
    case .branch: return branch(first).specification.path.pathBytes
    case .path: list = [first]
    case .allPaths: break
    }
    var lines: [[UInt8]] = []
    for index in list {
      let path = try relativePath(slot)
      lines.append(branch(index).specification.path.appending(path.components).pathBytes)
    }
    return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
  }

  /// The branches of a file, top first.
  private func origins(of slot: UInt32) throws(Errno) -> [UInt16] {
    guard kind(slot) == .directory else {
      return [nodes.lock.whileLocked { nodes.node(slot).pointee.branch }]
    }
    let directory = try nodes.lock.whileLocked { () throws(Errno) in
      try nodes.directory(at: slot)
    }
    try lockToRead(directory)
    defer { directory.lock.unlock() }
    return directory.branches
  }

  /// A file's path in the view, without a leading slash.
  private func relativePath(_ slot: UInt32) throws(Errno) -> FilePath {
    var parts: [[UInt8]] = []
    var current = slot
    while current != NodeTable.rootSlot {
      guard let (parent, name) = nodes.parent(of: current) else { throw Errno.noData }
      parts.append(name.dropLast().map { UInt8(bitPattern: $0) })
      current = parent.slot
    }
    return FilePath(bytes: Array(parts.reversed().joined(separator: [UInt8(ascii: "/")])))
  }

  // MARK: The ioctl

  func control(
    _ node: UInt64, handle: UInt64, isDirectory: Bool, command: UInt32,
    input: UnsafeRawBufferPointer, output: UnsafeMutableRawBufferPointer, caller: Caller
  ) throws(Errno) -> Int {
    if command == FaultProtocol.command, Faults.areAllowed {
      return try controlFaults(input, output, caller)
    }
    if let request = FlagRequest(rawValue: command) {
      return try controlFlags(request, of: node, input: input, output: output)
    }
    guard isDirectory, command == WhichProtocol.command else {
      throw Errno.inappropriateIOCTLForDevice
    }
    guard let end = input.firstIndex(of: 0) else { throw Errno.invalidArgument }
    var directory = try directory(node)
    var name = input[..<end].map { CChar(bitPattern: $0) } + [0]
    if end == 0, let (parent, own) = nodes.parent(of: directory.slot) {
      directory = parent
      name = own
    }
    let text = WhichProtocol.format(try whichEntries(directory, name))
    guard text.count <= output.count else { throw Errno.outOfRange }
    output.copyBytes(from: text)
    return text.count
  }

  private func controlFaults(
    _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer, _ caller: Caller
  ) throws(Errno) -> Int {
    guard caller.user == ProcessCall.effectiveUser else { throw Errno.notPermitted }
    guard input.count == FaultProtocol.size, output.count >= FaultProtocol.size else {
      throw Errno.invalidArgument
    }
    let asked = UInt32(littleEndian: input.loadUnaligned(as: UInt32.self))
    if asked == FaultProtocol.roundTrips {
      output.copyMemory(from: input)
      output.storeBytes(of: Session.roundTrips.littleEndian, toByteOffset: 8, as: UInt64.self)
      return FaultProtocol.size
    }
    guard let mode = Faults.Mode(rawValue: asked) else { throw Errno.invalidArgument }
    let code = Int32(littleEndian: input.loadUnaligned(fromByteOffset: 4, as: Int32.self))
    let target = UInt64(littleEndian: input.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    output.copyMemory(from: input)
    // What requests have left to do is theirs.
    top?.area.background.drain()
    output.storeBytes(of: Faults.count.littleEndian, toByteOffset: 8, as: UInt64.self)
    Faults.arm(mode, target: target, code: code)
    return FaultProtocol.size
  }

  /// What each branch has to say of a name, top first.
  private func whichEntries(
    _ directory: Directory, _ raw: [CChar]
  ) throws(Errno) -> [WhichProtocol.Entry] {
    let parent = try relativePath(directory.slot)
    try lockToRead(directory)
    defer { directory.lock.unlock() }
    var entries: [WhichProtocol.Entry] = []
    var visible: [UInt16] = directory.isRoot && raw.count == 1 ? directory.branches : []
    let name = try raw.withUnsafeBufferPointer { buffer throws(Errno) -> Name? in
      guard let base = buffer.baseAddress, raw.count > 1 else { return nil }
      let name = try Name(base)
      visible = try resolveName(directory, name)?.branches ?? []
      return Name(unchecked: base, count: raw.count - 1)
    }
    for branch in branches.branches {
      let index = UInt16(branch.index)
      guard let place = try openPath(parent, in: branch) else { continue }
      defer { FileSystemCall.close(place) }
      if name == nil {
        entries.append(entry(index == visible.first ? .visible : .merged, branch, parent))
        continue
      }
      let found = try state(raw, in: place, branch, visible: visible)
      let own = FilePath(bytes: raw.dropLast().map { UInt8(bitPattern: $0) })
      if let found { entries.append(entry(found, branch, parent.appending(own.components))) }
      guard branch.honoursWhiteouts else { continue }
      if let marker = try whiteoutName(raw, in: place) {
        entries.append(entry(.whiteout, branch, parent.appending(marker.components)))
      }
      if directory.branches.last == index && branch.index + 1 < branches.count,
        try isOpaque(place)
      {
        let hasMarker = try FileSystemCall.type(at: place, ReservedName.opaque) != nil
        entries.append(
          entry(.opaque, branch, hasMarker ? parent.appending(".wh..wh..opq") : parent))
      }
    }
    return entries
  }

  private func entry(
    _ state: WhichProtocol.State, _ branch: Branch, _ path: FilePath
  ) -> WhichProtocol.Entry {
    WhichProtocol.Entry(
      state: state, permission: branch.specification.permissionSpelling,
      branch: branch.specification.path, path: path)
  }

  private func state(
    _ name: [CChar], in place: CInt, _ branch: Branch, visible: [UInt16]
  ) throws(Errno) -> WhichProtocol.State? {
    let marks = branch.holdsMarkedWhiteouts ? try branch.marks(of: place) : OverlayMarks()
    let type = try entryType(
      at: place, name, honoursWhiteouts: branch.honoursWhiteouts, marks: marks)
    guard let type else { return nil }
    if type == .whiteout { return .whiteout }
    let index = UInt16(branch.index)
    if index == visible.first { return .visible }
    return visible.contains(index) ? .merged : .hidden
  }

  private func whiteoutName(_ raw: [CChar], in place: CInt) throws(Errno) -> FilePath? {
    try raw.withUnsafeBufferPointer { buffer throws(Errno) -> FilePath? in
      guard let base = buffer.baseAddress else { return nil }
      let name = Name(unchecked: base, count: raw.count - 1)
      return try name.withWhiteoutName { whiteout throws(Errno) -> FilePath? in
        guard try FileSystemCall.type(at: place, whiteout) != nil else { return nil }
        return FilePath(platformString: whiteout)
      }
    }
  }

  /// A directory of a branch by its path, never following a symbolic link; nil where there is none.
  private func openPath(_ path: FilePath, in branch: Branch) throws(Errno) -> CInt? {
    var current = try FileSystemCall.open(
      at: branch.root, ReservedName.here, OpenFlag.path | OpenFlag.directory)
    for component in path.components {
      let next = openComponent(component, in: current)
      FileSystemCall.close(current)
      switch next {
      case .success(let opened): current = opened
      case .failure(.noSuchFileOrDirectory), .failure(.notDirectory): return nil
      case .failure(let error): throw error
      }
    }
    return current
  }

  private func openComponent(
    _ component: FilePath.Component, in directory: CInt
  ) -> Result<CInt, Errno> {
    component.withPlatformString { name in
      do throws(Errno) {
        return .success(
          try FileSystemCall.open(
            at: directory, name, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow))
      } catch { return .failure(error) }
    }
  }
}
