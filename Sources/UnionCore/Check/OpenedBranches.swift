internal import SystemCalls
internal import SystemPackage

/// The branches on disk, as the walk needs them.
final class OpenedBranches: CheckedBranches {
  private let branches: BranchSet
  let cursors: [BranchCursor]

  init(_ branches: BranchSet) {
    self.branches = branches
    cursors = branches.branches.map(BranchCursor.init)
  }

  func list(_ branch: Int) throws(Errno) -> DirectoryListing {
    try DirectoryListing(of: cursors[branch].descriptor, branches[branch])
  }

  func enter(_ name: [UInt8], in branch: Int) throws(Errno) { try cursors[branch].enter(name) }
  func leave(_ branch: Int) throws(Errno) { try cursors[branch].leave() }

  func apply(
    _ remedy: Finding.Remedy, to name: [UInt8], in branch: Int
  ) throws(Errno) -> String? {
    try Remedies.apply(remedy, to: name, in: cursors[branch].descriptor)
  }
}

/// What mends, relative to a directory's descriptor. The directory's times stay as they were: what
/// goes was never part of the view.
enum Remedies {
  static func apply(
    _ remedy: Finding.Remedy, to name: [UInt8], in directory: CInt
  ) throws(Errno) -> String? {
    let raw = name.map { CChar(bitPattern: $0) } + [0]
    return try keepingTimes(of: directory) { () throws(Errno) -> String? in
      switch remedy {
      case .removeMarker: return try removeMarker(raw, in: directory)
      case .removeLongWhiteout(let hidden):
        guard try DirectoryListing.content(of: name, in: directory) == hidden else {
          return "it has changed"
        }
        try FileSystemCall.unlink(at: directory, raw)
        return nil
      case .removeOpaqueAttribute:
        try OverlayMarks.removeOpaque(from: directory)
        return nil
      case .makeOpaque(let entry):
        let entry = entry.map { CChar(bitPattern: $0) } + [0]
        return try makeOpaque(entry, insteadOf: raw, in: directory)
      case .removeTree:
        try TreeRemoval.remove(raw, in: directory)
        return nil
      case .none, .cutInodeTable, .recordNumber: return "nothing here mends it"
      }
    }
  }

  private static func removeMarker(_ name: [CChar], in directory: CInt) throws(Errno) -> String? {
    let attributes = try FileSystemCall.status(at: directory, name)
    guard attributes.isRegular || attributes.isOverlayWhiteout else { return "it has changed" }
    guard attributes.size == 0 else { return "it holds \(attributes.size) bytes" }
    try FileSystemCall.unlink(at: directory, name)
    return nil
  }

  /// The marker comes first: at every step what is below stays hidden.
  private static func makeOpaque(
    _ entry: [CChar], insteadOf whiteout: [CChar], in directory: CInt
  ) throws(Errno) -> String? {
    let attributes = try FileSystemCall.status(at: directory, whiteout)
    let inside = try FileSystemCall.open(
      at: directory, entry, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
    defer { FileSystemCall.close(inside) }
    try keepingTimes(of: inside) { () throws(Errno) in
      do throws(Errno) {
        let marker = try FileSystemCall.open(
          at: inside, ReservedName.opaque,
          OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow,
          mode: 0o444)
        FileSystemCall.close(marker)
      } catch { if error != .fileExists { throw error } }
    }
    // A long whiteout holds the name that it hides.
    if attributes.size != 0, case .whiteout = diskName(whiteout) {
      return "the directory is opaque now, but the whiteout holds \(attributes.size) bytes"
    }
    try FileSystemCall.unlink(at: directory, whiteout)
    return nil
  }

  private static func diskName(_ name: [CChar]) -> DiskName {
    name.withUnsafeBufferPointer { DiskName(UnsafeBufferPointer(rebasing: $0.dropLast())) }
  }

  static func keepingTimes<Result>(
    of directory: CInt, _ body: () throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let before = try FileSystemCall.status(at: directory, ReservedName.here)
    let result = try body()
    try? FileSystemCall.changeTimes(
      at: directory, ReservedName.here, accessed: .to(before.accessed),
      modified: .to(before.modified))
    return result
  }
}
