internal import CSystemCalls
internal import Glibc
public import SystemPackage

/// Who runs the command, and where.
public enum Invocation {
  /// geteuid(2).
  public static var effectiveUser: UInt32 { geteuid() }

  /// getenv(3); nil where the variable is not set or empty.
  public static func variable(_ name: String) -> FilePath? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return FilePath(platformString: value)
  }

  /// getpid(2).
  public static var process: Int32 { getpid() }

  /// getcwd(3).
  public static func workingDirectory() throws(Errno) -> FilePath {
    guard let path = getcwd(nil, 0) else { throw Errno(rawValue: errno) }
    defer { free(path) }
    return FilePath(platformString: path)
  }

  /// realpath(3): absolute, without links, `.` and `..`. What it names must exist.
  public static func realPath(_ path: FilePath) throws(Errno) -> FilePath {
    guard let real = path.withPlatformString({ realpath($0, nil) }) else {
      throw Errno(rawValue: errno)
    }
    defer { free(real) }
    return FilePath(platformString: real)
  }
}

/// Mounts as a command sees them.
public enum Mounts {
  /// umount2(2), not following a link; `lazy` is MNT_DETACH.
  public static func unmount(_ path: FilePath, lazy: Bool) throws(Errno) {
    try Daemon.checked(path.withPlatformString { csys_daemon_unmount($0, lazy ? 1 : 0) })
  }

  /// A mount namespace of their own for the calling thread and what it starts (unshare(2)): nobody else sees
  /// what they mount, and it ends with the last of them. EPERM without CAP_SYS_ADMIN.
  public static func leaveNamespace() throws(Errno) {
    try Daemon.checked(csys_daemon_own_mounts())
  }

  /// Whether a descriptor lies on a FUSE mount, by fstatfs(2).
  public static func isFUSE(_ descriptor: FileDescriptor) throws(Errno) -> Bool {
    try Daemon.checked(csys_daemon_is_fuse(descriptor.rawValue)) == 1
  }

  /// ioctl(2) whose argument is a buffer that goes in and comes back. The command's number must be
  /// made for the buffer's size.
  public static func control(
    _ descriptor: FileDescriptor, command: UInt32, buffer: inout [UInt8]
  ) throws(Errno) {
    let result = buffer.withUnsafeMutableBytes {
      csys_daemon_ioctl(descriptor.rawValue, UInt(command), $0.baseAddress)
    }
    try Daemon.checked(result)
  }
}

/// Other processes, by /proc.
public enum ProcessTable {
  /// The names in a directory without `.` and `..`; empty where it cannot be read.
  public static func names(in directory: FilePath) -> [String] {
    guard let stream = directory.withPlatformString({ opendir($0) }) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// readlink(2), nil where it fails.
  public static func link(_ path: FilePath) -> FilePath? {
    var bytes = [CChar](repeating: 0, count: 4097)
    let length = path.withPlatformString { readlink($0, &bytes, bytes.count - 1) }
    return length < 0 ? nil : FilePath(platformString: bytes)
  }

  /// The processes there are.
  public static var processes: [Int32] { names(in: "/proc").compactMap { Int32($0) } }

  /// Waits until a process has ended; false after the time. A process that is gone counts as ended.
  public static func waitForEnd(of process: Int32, milliseconds: Int32) -> Bool {
    let descriptor = csys_daemon_process_descriptor(process)
    if descriptor == -ESRCH { return true }
    if descriptor < 0 { return false }
    defer { close(descriptor) }
    return csys_daemon_wait_readable(descriptor, milliseconds) == 1
  }
}
