public import SystemCalls
public import SystemPackage

/// A probe by system calls: one fstatat a question, in the directories that hold the parent.
public struct DirectoryProbe: BranchProbe {
  let name: Name
  /// A descriptor for each position, and whether its branch honours whiteouts.
  let directories: [(descriptor: CInt, honoursWhiteouts: Bool)]

  public init(_ name: Name, in directories: [(descriptor: CInt, honoursWhiteouts: Bool)]) {
    self.name = name
    self.directories = directories
  }

  public var count: Int { directories.count }

  public func entry(at position: Int) throws(Errno) -> FileKind? {
    try entryType(
      at: directories[position].descriptor, name.pointer,
      honoursWhiteouts: directories[position].honoursWhiteouts)
  }

  public func hidesBelow(at position: Int) throws(Errno) -> Bool {
    guard directories[position].honoursWhiteouts else { return false }
    return try hasWhiteout(of: name, in: directories[position].descriptor)
  }
}

/// Whether a directory holds a whiteout of `name`. EIO where what has its name is no regular file, as
/// aufs answers.
public func hasWhiteout(of name: Name, in directory: CInt) throws(Errno) -> Bool {
  let type = try name.withWhiteoutName { whiteout throws(Errno) in
    try FileSystemCall.type(at: directory, whiteout)
  }
  guard let type else { return false }
  if name.needsLongWhiteout {
    // Its own name is a hash, which anything may have.
    guard type == .regular else { return false }
    return try name.withWhiteoutName { whiteout throws(Errno) in
      try contentOfLongWhiteout(whiteout, in: directory).elementsEqual(name.bytes)
    }
  }
  guard type == .regular else { throw Errno.ioError }
  return true
}

/// The same with what the topmost branch holds known already.
public struct ProbeBelow<Probe: BranchProbe>: BranchProbe {
  private let probe: Probe
  private let top: FileKind?

  public init(_ probe: Probe, top: FileKind?) {
    self.probe = probe
    self.top = top
  }

  public var count: Int { probe.count }

  public func entry(at position: Int) throws(Errno) -> FileKind? {
    position == 0 ? top : try probe.entry(at: position)
  }

  public func hidesBelow(at position: Int) throws(Errno) -> Bool {
    try probe.hidesBelow(at: position)
  }
}

/// Whether a directory is opaque: nothing below it shows. By aufs's marker or by overlayfs's attribute.
public func isOpaque(_ directory: CInt) throws(Errno) -> Bool {
  if try FileSystemCall.type(at: directory, ReservedName.opaque) != nil { return true }
  return try OverlayMarks(at: directory, ReservedName.here).isOpaque
}
