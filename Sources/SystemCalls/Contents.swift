internal import CSystemCalls
internal import Glibc
public import SystemPackage

// Data, extended attributes and flushing.

/// How space and numbers stand on a file system (statvfs(3)); blocks of `fragmentSize` bytes.
public struct FileSystemStatus: Sendable {
  public var blockSize: UInt64 = 0
  public var fragmentSize: UInt64 = 0
  public var blocks: UInt64 = 0
  public var blocksFree: UInt64 = 0
  public var blocksAvailable: UInt64 = 0
  public var files: UInt64 = 0
  public var filesFree: UInt64 = 0
  public var nameLimit: UInt64 = 0
  /// Mounted read-only.
  public var isReadOnly = false

  public init() {}
}

extension FileSystemCall {
  // MARK: Data

  public static func read(
    _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(Errno) -> Int {
    try retry { pread(descriptor, buffer.baseAddress, buffer.count, Int(offset)) }
  }

  /// The same where the descriptor stands, which it moves.
  public static func read(
    _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int { try retry { Glibc.read(descriptor, buffer.baseAddress, buffer.count) } }

  /// The same from memory alone (preadv2(2) with RWF_NOWAIT): EAGAIN where the disk would be waited for,
  /// EOPNOTSUPP where the file system cannot tell.
  public static func readIfCached(
    _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(Errno) -> Int {
    try check(csys_read_cached(descriptor, buffer.baseAddress, buffer.count, offset))
  }

  public static func write(
    _ descriptor: CInt, from buffer: UnsafeRawBufferPointer, at offset: Int64
  ) throws(Errno) -> Int {
    try retry { pwrite(descriptor, buffer.baseAddress, buffer.count, Int(offset)) }
  }

  /// Appends to a descriptor opened with O_APPEND, or writes at its own offset.
  public static func write(
    _ descriptor: CInt, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int { try retry { Glibc.write(descriptor, buffer.baseAddress, buffer.count) } }

  /// copy_file_range(2): the bytes copied, 0 at the source's end.
  public static func copyRange(
    from source: CInt, at sourceOffset: Int64, to target: CInt, at targetOffset: Int64, count: Int
  ) throws(Errno) -> Int {
    var from = sourceOffset
    var to = targetOffset
    return try check(csys_copy_range(source, &from, target, &to, count))
  }

  /// Shares the source's blocks (ioctl FICLONE); EOPNOTSUPP, EXDEV, EINVAL where that cannot be.
  public static func clone(_ source: CInt, to target: CInt) throws(Errno) {
    _ = try check(csys_clone_file(target, source))
  }

  /// lseek(2) for SEEK_DATA (3) and SEEK_HOLE (4); ENXIO past the end.
  public static func seek(
    _ descriptor: CInt, _ offset: Int64, whence: CInt
  ) throws(Errno) -> Int64 { try check(csys_seek(descriptor, offset, whence)) }

  public static func allocate(
    _ descriptor: CInt, mode: CInt, offset: Int64, size: Int64
  ) throws(Errno) { _ = try check(csys_fallocate(descriptor, mode, offset, size)) }

  public static func sync(_ descriptor: CInt) throws(Errno) {
    _ = try retry(CSYS_CALL_PUBLISH) { fsync(descriptor) }
  }

  public static func syncData(_ descriptor: CInt) throws(Errno) {
    _ = try retry(CSYS_CALL_PUBLISH) { fdatasync(descriptor) }
  }

  /// sync_file_range(2) of the whole file, waiting for the device: its data alone. Linux 5.2 and later
  /// leave no page out.
  public static func writeOut(_ descriptor: CInt) throws(Errno) {
    _ = try check(csys_write_out(descriptor))
  }

  // MARK: Extended attributes; a nil name means the descriptor's own file

  public static func extendedAttribute(
    at directory: CInt, _ name: CName?, key: CName, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    try check(csys_get_xattr(directory, name, key, buffer.baseAddress, buffer.count))
  }

  public static func setExtendedAttribute(
    at directory: CInt, _ name: CName?, key: CName, to value: UnsafeRawBufferPointer,
    flags: CInt = 0
  ) throws(Errno) {
    _ = try check(csys_set_xattr(directory, name, key, value.baseAddress, value.count, flags))
  }

  public static func listExtendedAttributes(
    at directory: CInt, _ name: CName?, into buffer: UnsafeMutableBufferPointer<CChar>
  ) throws(Errno) -> Int {
    try check(csys_list_xattr(directory, name, buffer.baseAddress, buffer.count))
  }

  public static func removeExtendedAttribute(
    at directory: CInt, _ name: CName?, key: CName
  ) throws(Errno) { _ = try check(csys_remove_xattr(directory, name, key)) }

  // MARK: The file system

  public static func fileSystem(of descriptor: CInt) throws(Errno) -> FileSystemStatus {
    var raw = statvfs()
    _ = try retry { fstatvfs(descriptor, &raw) }
    var status = FileSystemStatus()
    status.blockSize = UInt64(raw.f_bsize)
    status.fragmentSize = UInt64(raw.f_frsize)
    status.blocks = UInt64(raw.f_blocks)
    status.blocksFree = UInt64(raw.f_bfree)
    status.blocksAvailable = UInt64(raw.f_bavail)
    status.files = UInt64(raw.f_files)
    status.filesFree = UInt64(raw.f_ffree)
    status.nameLimit = UInt64(raw.f_namemax)
    status.isReadOnly = raw.f_flag & UInt(1) /* ST_RDONLY */ != 0
    return status
  }

  /// Whether the kernel is of that version or a later one (uname(2)).
  public static func kernelIs(_ major: CInt, _ minor: CInt) -> Bool {
    csys_kernel_is(major, minor) == 1
  }

  /// The number by which statfs(2) tells kinds of file systems apart (linux/magic.h).
  public static func fileSystemType(of descriptor: CInt) throws(Errno) -> Int64 {
    let result = csys_file_system_type(descriptor)
    if result < 0 { throw Errno(rawValue: CInt(-result)) }
    return result
  }

  /// syncfs(2): flushes the file system on which the descriptor's file lies.
  public static func syncFileSystem(of descriptor: CInt) throws(Errno) {
    _ = try check(csys_sync_file_system_of(descriptor))
  }

  /// Waits for flock(2)'s lock, exclusive or shared. It goes with the descriptor.
  public static func lock(_ descriptor: CInt, exclusively: Bool) throws(Errno) {
    _ = try retry { flock(descriptor, exclusively ? LOCK_EX : LOCK_SH) }
  }

  /// Takes flock(2)'s exclusive lock without waiting: EWOULDBLOCK where another holds it.
  public static func lockExclusively(_ descriptor: CInt) throws(Errno) {
    _ = try retry { flock(descriptor, LOCK_EX | LOCK_NB) }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` that keeps the type of a thrown error.
  @inlinable
  public func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Errno) in try body(UnsafeRawBufferPointer(buffer))
    }
  }

  @inlinable
  public mutating func withMutableBytes<Result>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    try withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
      try body(UnsafeMutableRawBufferPointer(buffer))
    }
  }
}
