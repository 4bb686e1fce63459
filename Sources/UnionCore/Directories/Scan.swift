public import SystemCalls
public import SystemPackage

/// Calls `body` with each entry of a directory but `.` and `..`: its name (NUL-terminated), type as
/// the directory knows it, and inode. Stops where `body` answers false.
///
/// - Parameter directory: any descriptor of it; it is opened anew, so offsets are not shared.
public func forEachEntry(
  of directory: CInt,
  _ body: (UnsafeBufferPointer<CChar>, FileKind, UInt64) throws(Errno) -> Bool
) throws(Errno) {
  let descriptor = try openToList(directory)
  defer { FileSystemCall.close(descriptor) }
  try forEachEntry(read: descriptor, isLarge: {}, body)
}

/// The same by a descriptor that is read from where it is, to the end.
///
/// - Parameter isLarge: called where there is more than one read's worth of entries.
private func forEachEntry(
  read descriptor: CInt, isLarge: () -> Void,
  _ body: (UnsafeBufferPointer<CChar>, FileKind, UInt64) throws(Errno) -> Bool
) throws(Errno) {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
  defer { buffer.deallocate() }
  while true {
    let count = try FileSystemCall.entries(of: descriptor, into: buffer)
    if count == 0 { return }
    if count > buffer.count / 2 { isLarge() }
    var offset = 0
    // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name.
    while offset + 19 < count {
      let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
      guard length > 19, offset + length <= count else { throw Errno.ioError }
      let name = UnsafeRawBufferPointer(rebasing: buffer[offset + 19..<offset + length])
        .assumingMemoryBound(to: CChar.self)
      let end = name.firstIndex(of: 0) ?? name.count
      let bytes = UnsafeBufferPointer(rebasing: name[..<end])
      if !isDotOrDotDot(bytes) {
        let inode = buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let kind = FileKind(listed: buffer[offset + 18])
        if try !body(bytes, kind, inode) { return }
      }
      offset += length
    }
  }
}

private func isDotOrDotDot(_ bytes: UnsafeBufferPointer<CChar>) -> Bool {
  bytes.count > 0 && bytes[0] == 0x2E
    && (bytes.count == 1 || (bytes.count == 2 && bytes[1] == 0x2E))
}

/// A readable descriptor of a directory. Its access time stays as it is where that may be asked for
/// (the owner, or a privilege): reading through the union changes no branch.
private func openToList(_ directory: CInt) throws(Errno) -> CInt {
  let flags = OpenFlag.readOnly | OpenFlag.directory
  do throws(Errno) {
    return try FileSystemCall.open(
      at: directory, ReservedName.here, flags | OpenFlag.noAccessTime)
  } catch {
    switch error {
    case .notPermitted:
      return try FileSystemCall.open(at: directory, ReservedName.here, flags)
    case .permissionDenied:
      // `.` needs search permission, which reading a directory does not.
      return try FileSystemCall.open(path: "/proc/self/fd/\(directory)", flags)
    default: throw error
    }
  }
}

extension Merge {
  /// Adds all that a branch's directory holds.
  ///
  /// - Parameters:
  ///   - directory: a descriptor of it.
  ///   - isLast: whether no branch is below it, so that whiteouts hide nothing.
  ///   - marks: what overlayfs's attributes say of it.
  ///   - isFresh: whether it can be read and has not been read from yet.
  ///   - isLarge: called where reading takes long.
  ///   - inode: the number that the union shows for an entry's inode.
  public mutating func addAll(
    of directory: CInt, isFresh: Bool = false, branch: UInt16, isTop: Bool, isLast: Bool = false,
    honoursWhiteouts: Bool, marks: OverlayMarks = OverlayMarks(), isLarge: () -> Void = {},
    inode number: (UInt64) -> UInt64
  ) throws(Errno) {
    begin(branch: branch, isTop: isTop, honoursWhiteouts: honoursWhiteouts)
    if marks.isOpaque { addOpaque() }
    var longNames: [[CChar]] = []
    var brokenNames: [[CChar]] = []
    let listed = isFresh ? directory : try openToList(directory)
    defer { if !isFresh { FileSystemCall.close(listed) } }
    try forEachEntry(read: listed, isLarge: isLarge) { bytes, kind, inode throws(Errno) in
      switch DiskName(bytes) {
      case .ordinary:
        var kind = kind
        if kind.mayBeWhiteout(honoursWhiteouts, marks), let base = bytes.baseAddress {
          guard
            let told = try entryType(
              at: directory, base, honoursWhiteouts: honoursWhiteouts, marks: marks)
          else { return true }
          kind = told
        }
        if kind == .whiteout {
          addWhiteout(of: bytes, isInPlace: true)
        } else {
          add(bytes, type: kind, inode: number(inode))
        }
      case .whiteout(let offset):
        if showsWhiteouts { add(bytes, type: .regular, inode: number(inode)) }
        let hidden = UnsafeBufferPointer(rebasing: bytes[offset...])
        if try isRegular(bytes, kind, in: directory) {
          addWhiteout(of: hidden)
        } else if !isLast {
          brokenNames.append(Array(hidden))
        }
      case .longWhiteout:
        // Only what is one is opened: a FIFO's writer or a device would notice.
        if try isRegular(bytes, kind, in: directory) { longNames.append(Array(bytes) + [0]) }
      case .opaque: addOpaque()
      case .reserved: break
      }
      return true
    }
    for name in longNames {
      let hidden = try contentOfLongWhiteout(name, in: directory)
      hidden.withUnsafeBufferPointer { if !$0.isEmpty { addWhiteout(of: $0) } }
    }
    for name in brokenNames { name.withUnsafeBufferPointer { addBroken($0) } }
    endBranch()
  }

  private func isRegular(
    _ bytes: UnsafeBufferPointer<CChar>, _ kind: FileKind, in directory: CInt
  ) throws(Errno) -> Bool {
    guard kind == .unknown, let base = bytes.baseAddress else { return kind == .regular }
    return try FileSystemCall.type(at: directory, base) == .regular
  }
}

/// The name that a long whiteout hides, empty where it holds none or cannot be read by this server.
func contentOfLongWhiteout(_ name: CName, in directory: CInt) throws(Errno) -> [CChar] {
  let file: CInt
  do throws(Errno) {
    file = try FileSystemCall.open(
      at: directory, name, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
  } catch {
    switch error {
    case .ioError, .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory: throw error
    // It is gone, or something else by now.
    default: return []
    }
  }
  defer { FileSystemCall.close(file) }
  var content = [UInt8](repeating: 0, count: nameLimit + 1)
  let count = try content.withMutableBytes { bytes throws(Errno) in
    try FileSystemCall.read(file, into: bytes, at: 0)
  }
  return count <= nameLimit ? content[..<count].map { CChar(bitPattern: $0) } : []
}

/// Deletes a file or an empty directory; nothing where there is none.
public func removeOne(at directory: CInt, _ name: CName) throws(Errno) {
  do throws(Errno) { return try FileSystemCall.unlink(at: directory, name) } catch {
    if error == .noSuchFileOrDirectory { return }
    guard error == .isDirectory || error == .notPermitted else { throw error }
  }
  try FileSystemCall.removeDirectory(at: directory, name)
}
