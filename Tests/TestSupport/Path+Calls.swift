internal import CTestCalls
internal import Glibc

// One system call each, on this path, following no symlink at its end unless it says so.
extension Path {
  public func stat(follow: Bool = false) throws(Errno) -> Status {
    var out = ct_stat()
    _ = try withC { path throws(Errno) in try check(ct_stat(AT_FDCWD, path, follow ? 1 : 0, &out)) }
    return Status(out)
  }

  public var exists: Bool { (try? stat()) != nil }

  public func statfs() throws(Errno) -> FileSystemStatus {
    var out = ct_statfs()
    _ = try withC { path throws(Errno) in try check(ct_statfs(path, &out)) }
    return FileSystemStatus(
      type: out.type, blockSize: out.block_size, blocks: out.blocks, free: out.free,
      available: out.available, files: out.files, nameMax: out.name_max, flags: out.flags)
  }

  /// As access(2): R_OK, W_OK, X_OK.
  public func access(_ mode: Int32) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_access(path, mode)) }
  }

  public func mkdir(_ mode: UInt32 = 0o755) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_mkdir(AT_FDCWD, path, mode)) }
  }

  public func rmdir() throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_rmdir(path)) }
  }

  public func unlink() throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_unlink(AT_FDCWD, path)) }
  }

  /// `flags`: `renameNoReplace`, `renameExchange`, `renameWhiteout`.
  public func rename(to target: Path, flags: UInt32 = 0) throws(Errno) {
    _ = try withC { from throws(Errno) in
      try target.withC { to throws(Errno) in
        try check(ct_rename(AT_FDCWD, from, AT_FDCWD, to, flags))
      }
    }
  }

  /// Makes `name` another name of this one.
  public func link(to name: Path) throws(Errno) {
    _ = try withC { from throws(Errno) in
      try name.withC { to throws(Errno) in try check(ct_link(AT_FDCWD, from, AT_FDCWD, to, 0)) }
    }
  }

  /// Makes this path a symlink.
  public func symlink(to target: Path) throws(Errno) {
    _ = try withC { path throws(Errno) in
      try target.withC { target throws(Errno) in try check(ct_symlink(target, path)) }
    }
  }

  public func readlink() throws(Errno) -> Path {
    let bytes = try filled { path, buffer, size throws(Errno) in
      try check(ct_readlink(path, buffer, size))
    }
    return Path(bytes: bytes)
  }

  public func mknod(_ kind: Kind, mode: UInt32 = 0o644, major: UInt32 = 0, minor: UInt32 = 0)
    throws(Errno)
  {
    let type: UInt32 =
      switch kind {
      case .fifo: S_IFIFO
      case .socket: S_IFSOCK
      case .character: S_IFCHR
      case .block: S_IFBLK
      default: S_IFREG
      }
    _ = try withC { path throws(Errno) in try check(ct_mknod(path, type | mode, major, minor)) }
  }

  /// bind(2) of a Unix socket.
  public func bindSocket() throws(Errno) {
    let folder = parent
    let last = Path(bytes: name)
    _ = try folder.withC { folder throws(Errno) in
      try last.withC { name throws(Errno) in try check(ct_bind_socket(folder, name)) }
    }
  }

  public func chmod(_ mode: UInt32) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_chmod(path, mode)) }
  }

  public func chown(_ uid: UInt32 = .max, _ gid: UInt32 = .max) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_lchown(path, uid, gid)) }
  }

  public func truncate(_ size: Int64) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_truncate(path, size)) }
  }

  public func setTimes(accessed: Moment = .omit, modified: Moment = .omit) throws(Errno) {
    _ = try withC { path throws(Errno) in
      try check(ct_utimens(path, 0, accessed.c, modified.c))
    }
  }

  public func attribute(_ name: String) throws(Errno) -> [UInt8] {
    try filled { path, buffer, size throws(Errno) in
      try check(ct_getxattr(path, name, buffer, size))
    }
  }

  /// Sorted.
  public func attributes() throws(Errno) -> [String] {
    let bytes = try filled { path, buffer, size throws(Errno) in
      try check(ct_listxattr(path, buffer, size))
    }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.sorted()
  }

  /// `flags`: `attributeCreate`, `attributeReplace`.
  public func setAttribute(_ name: String, _ value: [UInt8], flags: Int32 = 0) throws(Errno) {
    _ = try withC { path throws(Errno) in
      try check(ct_setxattr(path, name, value, value.count, flags))
    }
  }

  public func setAttribute(_ name: String, _ value: String, flags: Int32 = 0) throws(Errno) {
    try setAttribute(name, Array(value.utf8), flags: flags)
  }

  public func removeAttribute(_ name: String) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_removexattr(path, name)) }
  }

  public func mount(source: String, type: String, flags: UInt64 = 0, data: String = "")
    throws(Errno)
  {
    _ = try withC { path throws(Errno) in try check(ct_mount(source, path, type, flags, data)) }
  }

  /// `lazily` detaches it now and lets it go when nothing uses it.
  public func umount(lazily: Bool = false) throws(Errno) {
    _ = try withC { path throws(Errno) in try check(ct_umount(path, lazily ? 2 : 0)) }
  }

  private func filled(
    _ call: (UnsafePointer<CChar>, UnsafeMutableRawPointer, Int) throws(Errno) -> Int64
  ) throws(Errno) -> [UInt8] {
    let size = 1 << 17
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    defer { buffer.deallocate() }
    let count = try withC { path throws(Errno) in try call(path, buffer, size) }
    return Array(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
  }
}

// Whole files and folders, in several calls.
extension Path {
  public func bytesOfFile() throws(Errno) -> [UInt8] {
    let file = try open(O_RDONLY | O_NOFOLLOW)
    defer { file.close() }
    return try file.readToEnd()
  }

  public func text() throws(Errno) -> String { escaped(try bytesOfFile()) }

  /// Creates or truncates.
  public func write(_ text: String, mode: UInt32 = 0o644) throws(Errno) {
    try write(bytes: Array(text.utf8), mode: mode)
  }

  public func write(bytes: [UInt8], mode: UInt32 = 0o644) throws(Errno) {
    let file = try open(O_WRONLY | O_CREAT | O_TRUNC, mode)
    defer { file.close() }
    try file.writeAll(bytes)
  }

  public func append(_ text: String) throws(Errno) {
    let file = try open(O_WRONLY | O_APPEND)
    defer { file.close() }
    try file.writeAll(Array(text.utf8))
  }

  public func open(_ flags: Int32, _ mode: UInt32 = 0o644) throws(Errno) -> File {
    let fd = try withC { path throws(Errno) in try check(ct_open(AT_FDCWD, path, flags, mode)) }
    return File(descriptor: fd)
  }

  /// The entries but `.` and `..`, in the order in which they came.
  public func entries() throws(Errno) -> [DirectoryEntry] {
    let folder = try open(O_RDONLY | O_DIRECTORY)
    defer { folder.close() }
    return try folder.remainingEntries().filter { $0.name != Path(".") && $0.name != Path("..") }
  }

  /// Sorted by bytes, escaped.
  public func names() throws(Errno) -> [String] {
    try entries().map(\.name).sorted().map(\.description)
  }

  /// Removes whatever is there, file systems mounted below it too; nothing there is no error.
  public func removeTree() throws(Errno) {
    let status: Status
    do throws(Errno) { status = try stat() } catch {
      if error == .missing { return }
      throw error
    }
    guard status.kind == .directory else { return try unlink() }
    if status.mode & 0o700 != 0o700 { try chmod(0o700) }
    for entry in try entries() { try (self / entry.name).removeTree() }
    try rmdir()
  }
}

/// Whether two paths lead to one object: the same device and inode number.
public func same(_ first: Path, _ second: Path) throws(Errno) -> Bool {
  let (a, b) = (try first.stat(), try second.stat())
  return a.inode == b.inode && a.device == b.device
}
