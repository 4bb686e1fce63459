public import SystemCalls
public import SystemPackage
internal import Synchronization

/// The directory `.wh..wh.unionfs` at the root of the writable branch, or in its work directory:
/// everything that is not yet, or no longer, part of the view lies here, on the same file system, so that
/// one rename or link publishes it. What a crash leaves here is removed at the next mount.
public final class WorkArea: Sendable {
  public let descriptor: CInt
  public let inodes: InodeTable
  /// Does what no caller waits for, once it has been started: deletes what has left the view, and starts the
  /// threads that help with a large request.
  public let background = WorkQueue(limit: 16)
  /// Begins with the time, so that no leftover's name comes again.
  private let counter = Atomic<UInt64>(ProcessCall.nanoseconds)
  /// Whether the file system has O_TMPFILE: 1 yes, 2 no.
  private let unnamedFiles = Atomic<UInt8>(0)

  /// Opens the work area, makes it where there is none, and empties it.
  public init(on branch: Branch) throws(Errno) {
    let place = branch.bookkeeping
    do throws(Errno) {
      try FileSystemCall.makeDirectory(at: place, ReservedName.workArea, mode: 0o700)
    } catch { if error != .fileExists { throw error } }
    descriptor = try FileSystemCall.open(
      at: place, ReservedName.workArea,
      OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    do throws(Errno) {
      if branch.keepsBooksElsewhere { try branch.claimWorkDirectory(area: descriptor) }
      inodes = try InodeTable(in: descriptor)
    } catch {
      FileSystemCall.close(descriptor)
      throw error
    }
    try removeLeftovers()
  }

  deinit { FileSystemCall.close(descriptor) }

  private func removeLeftovers() throws(Errno) {
    var names: [[CChar]] = []
    try forEachEntry(of: descriptor) { bytes, _, _ in
      if bytes.first == CChar(bitPattern: UInt8(ascii: "t")) { names.append(Array(bytes) + [0]) }
      return true
    }
    // One that cannot be removed stays, and is told by no name that is used again.
    for name in names { try? removeTree(name) }
  }

  /// Deletes a file or a whole directory tree of the work area, never following a symbolic link. A
  /// directory inside is moved to the work area and deleted from there, so depth has no limit.
  private func removeTree(_ first: [CChar]) throws(Errno) {
    var pending = [first]
    while let name = pending.last {
      do throws(Errno) {
        try removeOne(at: descriptor, name)
        pending.removeLast()
      } catch {
        guard error == .directoryNotEmpty || error == .fileExists else { throw error }
        pending += try empty(name)
      }
    }
  }

  /// Deletes what is in a directory of the work area; the names of the directories that it moved out.
  private func empty(_ name: [CChar]) throws(Errno) -> [[CChar]] {
    try? FileSystemCall.changeMode(at: descriptor, name, 0o700)
    let inside = try FileSystemCall.open(
      at: descriptor, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    defer { FileSystemCall.close(inside) }
    var names: [[CChar]] = []
    try forEachEntry(of: inside) { bytes, _, _ in
      names.append(Array(bytes) + [0])
      return true
    }
    var moved: [[CChar]] = []
    for name in names {
      do throws(Errno) { try removeOne(at: inside, name) } catch {
        guard error == .directoryNotEmpty || error == .fileExists else { throw error }
        // Moving a directory changes its `..`, which needs the right to write to it.
        try? FileSystemCall.changeMode(at: inside, name, 0o700)
        moved.append(
          try withFreshName { fresh throws(Errno) in
            try FileSystemCall.rename(at: inside, name, to: descriptor, fresh)
            return Array(cString: fresh)
          })
      }
    }
    return moved
  }

  /// Calls `body` with a fresh name in the work area.
  public func withFreshName<Result>(
    _ body: (CName) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try Self.withName(counter.add(1, ordering: .relaxed).newValue, body)
  }

  /// The same in another directory: of a file system that is mounted inside the branch, where nothing can
  /// be moved from here, or to be made there under that directory's rules.
  public func withFreshName<Result>(
    in place: CInt, _ body: (CName) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try Self.withName(
      counter.add(1, ordering: .relaxed).newValue, isHere: place == descriptor, body)
  }

  /// - Parameter isHere: the name is for the work area, where none needs to be hidden.
  static func withName<Result>(
    _ number: UInt64, isHere: Bool = true, _ body: (CName) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let name = isHere ? "t\(number)" : ".wh..wh.unionfs.t\(number)"
    let outcome: Swift.Result<Result, Errno> = name.withCString { name in
      do throws(Errno) { return .success(try body(name)) } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  /// A new empty file that only its descriptor knows, or that lies in the work area.
  ///
  /// - Parameter place: another directory to stage it in; its descriptor outlives the staged file.
  public func stageFile(in place: CInt? = nil) throws(Errno) -> StagedFile {
    let place = place ?? descriptor
    if unnamedFiles.load(ordering: .relaxed) != 2 {
      do throws(Errno) {
        let file = try FileSystemCall.open(
          at: place, ReservedName.here, OpenFlag.temporary | OpenFlag.readWrite, mode: 0o600)
        return StagedFile(
          descriptor: file, number: 0, place: place, area: .passUnretained(self))
      } catch {
        guard
          error == .notSupported || error == .isDirectory || error == .invalidArgument
            || error == .notSupportedOnSocket
        else { throw error }
        if place == descriptor { unnamedFiles.store(2, ordering: .relaxed) }
      }
    }
    let number = counter.add(1, ordering: .relaxed).newValue
    let file = try Self.withName(number, isHere: place == descriptor) { name throws(Errno) in
      try FileSystemCall.open(
        at: place, name,
        OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o600)
    }
    return StagedFile(
      descriptor: file, number: number, place: place, area: .passUnretained(self))
  }

  /// Moves a directory out of the view in one step. It is deleted then, or a little later.
  /// EXDEV where it lies on another file system.
  public func discardDirectory(at directory: CInt, _ name: CName) throws(Errno) {
    let discarded = try withFreshName { fresh throws(Errno) in
      try FileSystemCall.rename(at: directory, name, to: descriptor, fresh)
      return Array(cString: fresh)
    }
    // What cannot be deleted now is at the next mount.
    let delete = { @Sendable [self] () -> Void in try? removeTree(discarded) }
    if !background.add(delete) { delete() }
  }
}

/// A file that is being filled and is not part of the view. Published or, when dropped, gone.
public struct StagedFile: ~Copyable {
  public let descriptor: CInt
  /// The number of its name, 0 where it has none (O_TMPFILE).
  let number: UInt64
  /// The directory that it is staged in: the work area's, or another.
  let place: CInt
  /// Unretained: the work area lives as long as the mount. (A type that is discarded holds no
  /// references.)
  let area: Unmanaged<WorkArea>

  /// While the file is still there, so that no other one has its inode yet.
  deinit {
    if let own = try? FileSystemCall.status(of: descriptor) {
      area.takeUnretainedValue().inodes.forget(top: own)
    }
    removeName()
    FileSystemCall.close(descriptor)
  }

  private borrowing func withName(_ body: (CInt, CName) throws(Errno) -> Void) throws(Errno) {
    let place = place
    let isHere = place == area.takeUnretainedValue().descriptor
    try WorkArea.withName(number, isHere: isHere) { name throws(Errno) in try body(place, name) }
  }

  private borrowing func removeName() {
    guard number != 0 else { return }
    try? withName { directory, name throws(Errno) in
      try FileSystemCall.unlink(at: directory, name)
    }
  }

  /// Gives the file its name in one step; EEXIST where that is taken. The descriptor stays open: it
  /// is returned, and the caller's.
  public consuming func publish(at directory: CInt, _ target: CName) throws(Errno) -> CInt {
    do throws(Errno) { try move(to: directory, target) } catch {
      _ = consume self
      throw error
    }
    let result = descriptor
    discard self
    return result
  }

  private borrowing func move(to directory: CInt, _ target: CName) throws(Errno) {
    guard number != 0 else {
      return try FileSystemCall.link(descriptor: descriptor, to: directory, target)
    }
    try withName { from, name throws(Errno) in
      try FileSystemCall.rename(
        at: from, name, to: directory, target, flags: FileSystemCall.RenameFlag.noReplace)
    }
  }

  /// Gives up the name; the file lives as long as the returned descriptor.
  public consuming func keepUnnamed() -> CInt {
    removeName()
    let result = descriptor
    discard self
    return result
  }

  /// Adds a second name elsewhere before the file is published.
  public borrowing func link(at target: CInt, _ newName: CName) throws(Errno) {
    if number != 0 {
      try withName { from, name throws(Errno) in
        try FileSystemCall.link(at: from, name, to: target, newName)
      }
    } else {
      try FileSystemCall.link(descriptor: descriptor, to: target, newName)
    }
  }
}

extension [CChar] {
  /// A copy of a C string, its NUL included.
  public init(cString: CName) {
    self = []
    var index = 0
    while cString[index] != 0 {
      append(cString[index])
      index += 1
    }
    append(0)
  }
}
