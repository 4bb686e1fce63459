internal import CTestCalls
internal import Glibc
internal import Synchronization

/// An entry as getdents64(2) gives it.
public struct DirectoryEntry: Sendable {
  public let name: Path
  public let inode: UInt64
  public let offset: Int64
  public let type: UInt8
}

/// An open descriptor, always close-on-exec. Closed by `close()` or at the end of its life; keep it
/// in a `defer` or in the union (`Union.open`) where the moment matters.
public final class File: Sendable {
  private let state: Mutex<Int32>

  init(descriptor: Int32) { state = Mutex(descriptor) }
  deinit { close() }

  public var descriptor: Int32 { state.withLock { $0 } }

  @discardableResult
  public func close() -> Errno? {
    let fd = state.withLock { fd in
      let old = fd
      fd = -1
      return old
    }
    if fd < 0 { return nil }
    let result = ct_close(fd)
    return result < 0 ? Errno(-result) : nil
  }

  public func stat() throws(Errno) -> Status {
    var out = ct_stat()
    try check(ct_stat(descriptor, "", 1, &out))
    return Status(out)
  }

  public func read(_ count: Int, at offset: Int64? = nil) throws(Errno) -> [UInt8] {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 4096)
    defer { buffer.deallocate() }
    let got =
      if let offset {
        try check(ct_pread(descriptor, buffer, count, offset))
      } else { try check(ct_read(descriptor, buffer, count)) }
    return Array(UnsafeRawBufferPointer(start: buffer, count: Int(got)))
  }

  /// From the present offset.
  public func readToEnd() throws(Errno) -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let more = try read(1 << 17)
      if more.isEmpty { return all }
      all += more
    }
  }

  /// From the start, whatever the offset.
  public func text() throws(Errno) -> String {
    var all: [UInt8] = []
    while true {
      let more = try read(1 << 17, at: Int64(all.count))
      if more.isEmpty { return escaped(all) }
      all += more
    }
  }

  @discardableResult
  public func write(_ bytes: [UInt8], at offset: Int64? = nil) throws(Errno) -> Int {
    if let offset {
      return Int(try check(ct_pwrite(descriptor, bytes, bytes.count, offset)))
    }
    return Int(try check(ct_write(descriptor, bytes, bytes.count)))
  }

  @discardableResult
  public func write(_ text: String, at offset: Int64? = nil) throws(Errno) -> Int {
    try write(Array(text.utf8), at: offset)
  }

  public func writeAll(_ bytes: [UInt8]) throws(Errno) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = try write(Array(rest))
      rest = rest.dropFirst(part)
    }
  }

  @discardableResult
  public func seek(_ offset: Int64, _ whence: Int32) throws(Errno) -> Int64 {
    try check(ct_lseek(descriptor, offset, whence))
  }

  public func truncate(_ size: Int64) throws(Errno) { try check(ct_ftruncate(descriptor, size)) }
  public func sync(dataOnly: Bool = false) throws(Errno) {
    try check(ct_fsync(descriptor, dataOnly ? 1 : 0))
  }
  public func allocate(_ mode: Int32, _ offset: Int64, _ size: Int64) throws(Errno) {
    try check(ct_fallocate(descriptor, mode, offset, size))
  }
  public func chmod(_ mode: UInt32) throws(Errno) { try check(ct_fchmod(descriptor, mode)) }
  public func chown(_ uid: UInt32, _ gid: UInt32) throws(Errno) {
    try check(ct_fchown(descriptor, uid, gid))
  }

  /// ioctl(2) of a command that writes four bytes.
  public func control(_ command: UInt32) throws(Errno) {
    var argument: UInt32 = 0
    try check(ct_ioctl(descriptor, command, &argument))
  }

  /// ioctl FS_IOC_GETFLAGS.
  public func flags() throws(Errno) -> Int32 {
    var flags: Int32 = 0
    try check(ct_file_flags(descriptor, &flags))
    return flags
  }

  /// ioctl FS_IOC_SETFLAGS.
  public func setFlags(_ flags: Int32) throws(Errno) {
    var flags = flags
    try check(ct_ioctl(descriptor, 0x4008_6602, &flags))
  }

  public func duplicate() throws(Errno) -> File {
    File(descriptor: try check(ct_dup(descriptor)))
  }

  /// To `target` from its offset; answers the number of bytes.
  public func copyRange(
    from offset: Int64, to target: File, at targetOffset: Int64, count: Int
  ) throws(Errno) -> Int {
    Int(try check(ct_copy_file_range(descriptor, offset, target.descriptor, targetOffset, count)))
  }

  /// linkat(2) by /proc/self/fd: gives an O_TMPFILE its name.
  public func link(to name: Path) throws(Errno) {
    _ = try Path("/proc/self/fd/\(descriptor)").withC { from throws(Errno) in
      try name.withC { to throws(Errno) in
        try check(ct_link(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW))
      }
    }
  }

  /// Waits for an exceptional condition, as a change of /proc/self/mountinfo is.
  public func waitForEvent(milliseconds: Int32) {
    _ = ct_poll(descriptor, Int16(POLLPRI), milliseconds)
  }

  // Relative to this directory.
  public func open(_ name: Path, _ flags: Int32, _ mode: UInt32 = 0o644) throws(Errno) -> File {
    let fd = try name.withC { name throws(Errno) in
      try check(ct_open(descriptor, name, flags, mode))
    }
    return File(descriptor: fd)
  }

  public func mkdir(_ name: Path, _ mode: UInt32 = 0o755) throws(Errno) {
    _ = try name.withC { name throws(Errno) in try check(ct_mkdir(descriptor, name, mode)) }
  }

  public func unlink(_ name: Path) throws(Errno) {
    _ = try name.withC { name throws(Errno) in try check(ct_unlink(descriptor, name)) }
  }

  public func stat(_ name: Path) throws(Errno) -> Status {
    var out = ct_stat()
    _ = try name.withC { name throws(Errno) in try check(ct_stat(descriptor, name, 0, &out)) }
    return Status(out)
  }

  /// One getdents64(2) of at most `size` bytes; empty at the end.
  public func someEntries(size: Int = 1 << 16) throws(Errno) -> [DirectoryEntry] {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    defer { buffer.deallocate() }
    let count = Int(try check(ct_getdents(descriptor, buffer, size)))
    var found: [DirectoryEntry] = []
    var at = 0
    while at < count {
      let length = Int(buffer.loadUnaligned(fromByteOffset: at + 16, as: UInt16.self))
      let name = UnsafeRawBufferPointer(start: buffer + at + 19, count: length - 19)
      found.append(
        DirectoryEntry(
          name: Path(bytes: Array(name.prefix { $0 != 0 })),
          inode: buffer.loadUnaligned(fromByteOffset: at, as: UInt64.self),
          offset: buffer.loadUnaligned(fromByteOffset: at + 8, as: Int64.self),
          type: buffer.loadUnaligned(fromByteOffset: at + 18, as: UInt8.self)))
      at += length
    }
    return found
  }

  public func remainingEntries() throws(Errno) -> [DirectoryEntry] {
    var all: [DirectoryEntry] = []
    while true {
      let more = try someEntries()
      if more.isEmpty { return all }
      all += more
    }
  }

  // Locks of this open file description (fcntl F_OFD_SETLK), or of the process.
  public func lock(_ type: Int32, from start: Int64 = 0, count: Int64 = 0, ofProcess: Bool = false)
    throws(Errno)
  {
    try check(ct_lock(descriptor, ofProcess ? 0 : 1, type, start, count, 0))
  }

  public func lockInTheWay(of type: Int32, from start: Int64 = 0, count: Int64 = 0)
    throws(Errno) -> (type: Int32, process: Int32)
  {
    var holder: Int32 = 0
    let found = try check(ct_lock_holder(descriptor, 0, type, start, count, &holder))
    return (found, holder)
  }

  public func flock(_ operation: Int32) throws(Errno) {
    try check(ct_flock(descriptor, operation))
  }

  public func attribute(_ name: String) throws(Errno) -> [UInt8] {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { buffer.deallocate() }
    let count = try check(ct_fgetxattr(descriptor, name, buffer, 1 << 16))
    return Array(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
  }
}

/// A mapping of a file; ends with `unmap()` or its life.
public final class Mapping: Sendable {
  private let address: Int64
  private let size: Int
  private let mapped = Mutex(true)

  public init(_ file: File, size: Int, writable: Bool = false, shared: Bool = true) throws(Errno) {
    address = try check(
      ct_mmap(file.descriptor, size, writable ? 1 : 0, shared ? 1 : 0))
    self.size = size
  }

  deinit { unmap() }

  public func unmap() {
    let was = mapped.withLock { mapped in
      let old = mapped
      mapped = false
      return old
    }
    if was { _ = ct_munmap(address, size) }
  }

  public func text(_ range: Range<Int>) -> String {
    guard let start = UnsafeRawPointer(bitPattern: Int(address)) else { return "" }
    return escaped(UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count))
  }

  public func write(_ text: String, at offset: Int) {
    guard let start = UnsafeMutableRawPointer(bitPattern: Int(address)) else { return }
    for (index, byte) in text.utf8.enumerated() {
      start.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
    }
  }

  public func sync() throws(Errno) { try check(ct_msync(address, size)) }
}
