internal import CSystemCalls
internal import Glibc
public import SystemPackage

// The wall of system calls: one thin function a call, relative to a directory's descriptor, EINTR
// retried in one place, the error thrown as the kernel gave it. Names are NUL-terminated bytes that
// end in no slash; an empty name is the directory itself where the call allows it.

/// A borrowed NUL-terminated name.
public typealias CName = UnsafePointer<CChar>

/// Flags of open(2), as plain numbers: they come from the kernel and go back to it.
public enum OpenFlag {
  public static let readOnly = O_RDONLY
  public static let writeOnly = O_WRONLY
  public static let readWrite = O_RDWR
  public static let accessMode = O_ACCMODE
  public static let create = O_CREAT
  public static let exclusive = O_EXCL
  public static let truncate = O_TRUNC
  public static let append = O_APPEND
  public static let noFollow = O_NOFOLLOW
  public static let nonBlocking = O_NONBLOCK
  public static let directory: Int32 = 0o200000
  public static let direct: Int32 = 0o40000
  public static let noAccessTime: Int32 = 0o1000000
  public static let path: Int32 = 0o10000000
  public static let temporary: Int32 = 0o20200000
  public static let sync = O_SYNC
}

/// Throws the error that a csys call returned as a negative number.
@inline(__always)
func check<Result: SignedInteger>(_ result: Result) throws(Errno) -> Result {
  if result < 0 { throw Errno(rawValue: CInt(truncatingIfNeeded: -result)) }
  return result
}

/// The same for a libc call that leaves its error in `errno`; EINTR is retried.
@inline(__always)
func retry<Result: SignedInteger>(
  _ kind: csys_call = CSYS_CALL_ANY, _ call: () -> Result
) throws(Errno) -> Result {
  while true {
    let result = csys_fault(kind) != 0 ? -1 : call()
    if result >= 0 { return result }
    let code = errno
    if code != EINTR { throw Errno(rawValue: code) }
  }
}

/// AT_SYMLINK_NOFOLLOW, and AT_EMPTY_PATH for the empty name.
@inline(__always)
func lookFlags(_ name: CName) -> CInt { AT_SYMLINK_NOFOLLOW | (name[0] == 0 ? 0x1000 : 0) }

/// The namespace of the calls.
public enum FileSystemCall {
  // MARK: Looking

  /// statx(2), never following a final symbolic link.
  public static func status(at directory: CInt, _ name: CName) throws(Errno) -> Attributes {
    var raw = csys_attributes()
    _ = try check(csys_stat_at(directory, name, 0, &raw))
    return Attributes(raw)
  }

  /// The type alone; nil where there is nothing of that name. Any other error is thrown.
  public static func type(at directory: CInt, _ name: CName) throws(Errno) -> FileKind? {
    var raw = csys_attributes()
    let result = csys_stat_at(directory, name, 0, &raw)
    if result == -ENOENT || result == -ENAMETOOLONG { return nil }
    _ = try check(result)
    return FileKind(mode: raw.mode)
  }

  /// The attributes, or nil where there is nothing of that name.
  public static func statusIfThere(at directory: CInt, _ name: CName) throws(Errno) -> Attributes? {
    var raw = csys_attributes()
    let result = csys_stat_at(directory, name, 0, &raw)
    if result == -ENOENT || result == -ENAMETOOLONG { return nil }
    _ = try check(result)
    return Attributes(raw)
  }

  /// statx(2) of what is open.
  public static func status(of descriptor: CInt) throws(Errno) -> Attributes {
    var raw = csys_attributes()
    _ = try check(csys_stat_descriptor(descriptor, &raw))
    return Attributes(raw)
  }

  /// stat(2) of a path, following links.
  public static func status(following path: String) throws(Errno) -> Attributes {
    var raw = csys_attributes()
    _ = try check(csys_stat_at(AT_FDCWD, path, 1, &raw))
    return Attributes(raw)
  }

  /// readlinkat(2): the target's length; at most `buffer.count` bytes are stored.
  public static func readLink(
    at directory: CInt, _ name: CName, into buffer: UnsafeMutableBufferPointer<CChar>
  ) throws(Errno) -> Int {
    guard let base = buffer.baseAddress else { throw Errno.invalidArgument }
    return try retry { readlinkat(directory, name, base, buffer.count) }
  }

  /// getdents64(2): the bytes stored, 0 at the end.
  public static func entries(
    of descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    try check(csys_get_entries(descriptor, buffer.baseAddress, buffer.count))
  }

  /// From now on `isImmutable` and `isAppendOnly` are false for files of that device. Only before other
  /// threads run.
  public static func ignoreInodeFlags(ofDevice device: UInt64) { csys_ignore_flags(device) }

  // MARK: Opening

  /// openat(2) with O_CLOEXEC; the descriptor is the caller's to close. Where the process has none left it
  /// is tried again as `whenDescriptorsRunOut` says.
  public static func open(
    at directory: CInt, _ name: CName, _ flags: CInt, mode: UInt32 = 0
  ) throws(Errno) -> CInt {
    var result = csys_open_at(directory, name, flags, mode)
    var failures = 0
    while result == -EMFILE, let makeRoom, makeRoom(failures) {
      failures += 1
      result = csys_open_at(directory, name, flags, mode)
    }
    return try check(result)
  }

  /// What closes descriptors that can be opened again, or waits for others to do so. Only before other
  /// threads run.
  ///
  /// - Parameter body: given how often this open has been tried again; whether it is worth another try. It
  ///   must not wait for a lock under which anything is opened.
  public static func whenDescriptorsRunOut(_ body: @escaping @Sendable (Int) -> Bool) {
    makeRoom = body
  }

  nonisolated(unsafe) private static var makeRoom: (@Sendable (Int) -> Bool)?

  /// openat2(2) with `root` as the root directory: absolute links start there, and no `..` leads out of it.
  public static func open(
    inRoot root: CInt, _ path: CName, _ flags: CInt, mode: UInt32 = 0
  ) throws(Errno) -> CInt {
    try check(csys_open_in_root(root, path, flags, mode))
  }

  /// open(2) of a path from the current directory.
  public static func open(path: String, _ flags: CInt) throws(Errno) -> CInt {
    try check(csys_open_at(AT_FDCWD, path, flags, 0))
  }
  /// mkdir(2) of a path.
  public static func makeDirectory(_ path: FilePath, mode: UInt32) throws(Errno) {
    _ = try retry(CSYS_CALL_CHANGE) { path.withPlatformString { mkdirat(AT_FDCWD, $0, mode) } }
  }

  /// unlink(2) of a path.
  public static func unlink(_ path: FilePath) throws(Errno) {
    _ = try retry(CSYS_CALL_CHANGE) { path.withPlatformString { unlinkat(AT_FDCWD, $0, 0) } }
  }

  /// rename(2) of paths.
  public static func rename(_ path: FilePath, to target: FilePath) throws(Errno) {
    let result = path.withPlatformString { from in
      target.withPlatformString { csys_rename_at(AT_FDCWD, from, AT_FDCWD, $0, 0) }
    }
    _ = try check(result)
  }

  /// The same for a path of any bytes.
  public static func open(path: FilePath, _ flags: CInt) throws(Errno) -> CInt {
    try check(path.withPlatformString { csys_open_at(AT_FDCWD, $0, flags, 0) })
  }

  /// A descriptor of the same directory through a mount of its own, read-only and without access times
  /// (open_tree(2), mount_setattr(2)); EPERM without CAP_SYS_ADMIN.
  public static func cloneMountReadOnly(_ directory: CInt) throws(Errno) -> CInt {
    try check(csys_clone_mount_read_only(directory))
  }

  /// close(2). An error of close tells of no descriptor that could be closed again, so it is dropped.
  public static func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }

  /// dup3(2) onto `target`, which keeps its number: every user of it sees the other file from now on.
  public static func replace(_ target: CInt, with source: CInt) throws(Errno) {
    _ = try check(csys_duplicate(source, target))
  }

  // MARK: Names

  public static func makeDirectory(
    at directory: CInt, _ name: CName, mode: UInt32
  ) throws(Errno) { _ = try retry(CSYS_CALL_CHANGE) { mkdirat(directory, name, mode) } }

  public static func makeNode(
    at directory: CInt, _ name: CName, mode: UInt32, device: UInt64
  ) throws(Errno) {
    _ = try retry(CSYS_CALL_CHANGE) { mknodat(directory, name, mode, UInt(device)) }
  }

  public static func makeSymbolicLink(
    at directory: CInt, _ name: CName, to target: CName
  ) throws(Errno) { _ = try retry(CSYS_CALL_CHANGE) { symlinkat(target, directory, name) } }

  /// linkat(2), never following a symbolic link.
  public static func link(
    at directory: CInt, _ name: CName, to target: CInt, _ newName: CName
  ) throws(Errno) {
    _ = try retry(CSYS_CALL_PUBLISH) { linkat(directory, name, target, newName, 0) }
  }

  /// Gives the file behind a descriptor a name; EEXIST where it is taken.
  public static func link(
    descriptor: CInt, to target: CInt, _ newName: CName
  ) throws(Errno) { _ = try check(csys_link_descriptor(descriptor, target, newName)) }

  public static func unlink(at directory: CInt, _ name: CName) throws(Errno) {
    _ = try retry(CSYS_CALL_CHANGE) { unlinkat(directory, name, 0) }
  }

  public static func removeDirectory(at directory: CInt, _ name: CName) throws(Errno) {
    _ = try retry(CSYS_CALL_CHANGE) { unlinkat(directory, name, AT_REMOVEDIR) }
  }

  /// Flags of renameat2(2).
  public enum RenameFlag {
    public static let noReplace: UInt32 = 1
    public static let exchange: UInt32 = 2
    public static let whiteout: UInt32 = 4
  }

  public static func rename(
    at directory: CInt, _ name: CName, to target: CInt, _ newName: CName, flags: UInt32 = 0
  ) throws(Errno) { _ = try check(csys_rename_at(directory, name, target, newName, flags)) }

  // MARK: Attributes

  public static func changeMode(
    at directory: CInt, _ name: CName, _ mode: UInt32
  ) throws(Errno) { _ = try check(csys_chmod_at(directory, name, mode)) }

  public static func changeMode(of descriptor: CInt, _ mode: UInt32) throws(Errno) {
    _ = try retry { fchmod(descriptor, mode) }
  }

  /// fchownat(2) of the name itself; an id of `UInt32.max` stays as it is.
  public static func changeOwner(
    at directory: CInt, _ name: CName, owner: UInt32, group: UInt32
  ) throws(Errno) {
    _ = try retry {
      fchownat(directory, name, owner, group, lookFlags(name))
    }
  }

  public static func changeOwner(
    of descriptor: CInt, owner: UInt32, group: UInt32
  ) throws(Errno) { _ = try retry { fchown(descriptor, owner, group) } }

  public static func changeTimes(
    at directory: CInt, _ name: CName, accessed: TimeChange, modified: TimeChange
  ) throws(Errno) {
    var times = (accessed.value, modified.value)
    _ = try retry {
      withUnsafeBytes(of: &times) {
        utimensat(
          directory, name, $0.assumingMemoryBound(to: timespec.self).baseAddress,
          lookFlags(name))
      }
    }
  }

  public static func changeTimes(
    of descriptor: CInt, accessed: TimeChange, modified: TimeChange
  ) throws(Errno) {
    var times = (accessed.value, modified.value)
    _ = try retry {
      withUnsafeBytes(of: &times) {
        futimens(descriptor, $0.assumingMemoryBound(to: timespec.self).baseAddress)
      }
    }
  }

  public static func truncate(_ descriptor: CInt, to size: Int64) throws(Errno) {
    _ = try retry(CSYS_CALL_CHANGE) { ftruncate(descriptor, Int(size)) }
  }

  /// The inode flags of chattr(1) (ioctl FS_IOC_GETFLAGS).
  public static func flags(of descriptor: CInt) throws(Errno) -> UInt32 {
    var flags: UInt32 = 0
    _ = try check(csys_get_flags(descriptor, &flags))
    return flags
  }

  public static func setFlags(of descriptor: CInt, _ flags: UInt32) throws(Errno) {
    _ = try check(csys_set_flags(descriptor, flags))
  }

  /// ioctl(2) with a pointer to as many bytes as the command takes.
  public static func control(
    _ descriptor: CInt, _ command: UInt, _ argument: inout [UInt8]
  ) throws(Errno) {
    let result = argument.withUnsafeMutableBytes {
      csys_ioctl_pointer(descriptor, command, $0.baseAddress)
    }
    _ = try check(result)
  }
}
