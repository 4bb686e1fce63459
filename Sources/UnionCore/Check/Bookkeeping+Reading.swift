internal import SystemCalls
internal import SystemPackage

extension Bookkeeping {
  /// Reads what is at a branch's root.
  ///
  /// - Parameter numbers: nil where no pseudo-link is asked for.
  init(_ branch: Branch, numbers: InodeNumbers?) {
    self.init(branch: branch.index)
    isInUse = BranchSet.isInUse(branch)
    workArea = Self.part(Self.workArea, in: branch.root)
    orphans = Self.part(Self.orphans, in: branch.root)
    pseudoLinks = Self.part(Self.pseudoLinks, in: branch.root)
    whiteoutBase =
      (try? FileSystemCall.type(at: branch.root, ReservedName.whiteoutBase)).flatMap { $0 }
    if case .holds = workArea { table = Self.readTable(in: branch.root) }
    if case .holds(let names) = pseudoLinks, branch.index == 0, let numbers {
      files = names.compactMap { readPseudoLink($0, branch, numbers) }
    }
  }

  /// Opens a reserved directory of a branch, never through a link.
  static func open(_ name: [UInt8], in root: CInt) throws(Errno) -> CInt {
    try FileSystemCall.open(
      at: root, name.map { CChar(bitPattern: $0) } + [0],
      OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
  }

  private static func part(_ name: [UInt8], in root: CInt) -> Part {
    do throws(Errno) {
      let directory = try open(name, in: root)
      defer { FileSystemCall.close(directory) }
      var names: [[UInt8]] = []
      try UnionCore.forEachEntry(of: directory) { bytes, _, _ in
        names.append(bytes.map { UInt8(bitPattern: $0) })
        return true
      }
      return .holds(names.sorted { $0.lexicographicallyPrecedes($1) })
    } catch {
      switch error {
      case .noSuchFileOrDirectory: return .absent
      case .notDirectory, .tooManySymbolicLinkLevels: return .notDirectory
      default: return .unreadable(error.rawValue)
      }
    }
  }

  private static func readTable(in root: CInt) -> Table {
    do throws(Errno) {
      let area = try open(workArea, in: root)
      defer { FileSystemCall.close(area) }
      guard let found = try FileSystemCall.statusIfThere(at: area, ReservedName.inodeTable) else {
        return .absent
      }
      guard found.isRegular else { return .notRegular }
      // One that was about to be made.
      if found.size == 0 { return .absent }
      let file = try FileSystemCall.open(
        at: area, ReservedName.inodeTable,
        OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
      defer { FileSystemCall.close(file) }
      let size = try FileSystemCall.status(of: file).size
      return .read(
        try InodeTableSurvey(size: size) { room, offset throws(Errno) in
          try FileSystemCall.read(file, into: room, at: offset)
        })
    } catch { return .unreadable(error.rawValue) }
  }

  private func readPseudoLink(
    _ name: [UInt8], _ branch: Branch, _ numbers: InodeNumbers
  ) -> PseudoLink? {
    guard let directory = try? Self.open(Self.pseudoLinks, in: branch.root) else { return nil }
    defer { FileSystemCall.close(directory) }
    let raw = name.map { CChar(bitPattern: $0) } + [0]
    guard let found = try? FileSystemCall.status(at: directory, raw) else { return nil }
    var number = numbers.number(branch: 0, device: found.device, inode: found.inode)
    if case .read(let survey) = table, let origin = survey.origins[found.inode],
      origin.birth == 0 || found.birth == origin.birth
    {
      number = origin.number
    }
    return PseudoLink(name: name, links: found.linkCount, number: number)
  }

  /// Mends a finding of these.
  static func apply(_ found: ReservedFinding, on branch: Branch) throws(Errno) -> String? {
    let name = found.finding.name
    let directory = try open(found.directory.isEmpty ? [0x2E] : found.directory, in: branch.root)
    defer { FileSystemCall.close(directory) }
    switch found.finding.remedy {
    case .removeTree:
      try TreeRemoval.remove(name.map { CChar(bitPattern: $0) } + [0], in: directory)
    // The table that a mount opens is one that it has mended.
    case .cutInodeTable: _ = try InodeTable(in: directory)
    case .recordNumber(let number):
      do throws(Errno) {
        try FileSystemCall.makeDirectory(at: branch.root, ReservedName.workArea, mode: 0o700)
      } catch { if error != .fileExists { throw error } }
      let area = try open(workArea, in: branch.root)
      defer { FileSystemCall.close(area) }
      let raw = name.map { CChar(bitPattern: $0) } + [0]
      let file = try FileSystemCall.status(at: directory, raw)
      try InodeTable(in: area).record(top: file.inode, birth: file.birth, number: number)
    case .none, .removeMarker, .removeLongWhiteout, .makeOpaque, .removeOpaqueAttribute:
      return "nothing here mends it"
    }
    return nil
  }
}
