internal import CSystemCalls
internal import Glibc
public import SystemPackage

/// What a command does on its way to becoming a daemon. Each call names its man page.
public enum Daemon {
  /// Which half of a fork goes on.
  public enum Half: Sendable {
    case child
    case parent(of: Int32)
  }

  /// How another process ended.
  public enum Ending: Sendable, Equatable {
    case exited(Int32)
    case killed(signal: Int32)
  }

  /// fork(2). Only while the process has one thread.
  public static func fork() throws(Errno) -> Half {
    let process = try checked(csys_daemon_fork())
    return process == 0 ? .child : .parent(of: process)
  }

  /// _exit(2): no exit handler runs, no buffer is flushed.
  public static func exitNow(_ status: Int32) -> Never { csys_daemon_exit(status) }

  /// exit(3).
  public static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

  /// Opens /dev/null wherever a standard descriptor is closed, so that no later file takes its number.
  public static func openStandardDescriptors() { csys_daemon_open_standard() }

  /// Opens /dev/null over standard descriptors (0 to 2).
  public static func silence(_ descriptors: ClosedRange<Int32>) throws(Errno) {
    try checked(csys_daemon_silence(descriptors.lowerBound, descriptors.upperBound))
  }

  /// close_range(2): every descriptor above 2 but `kept`.
  public static func closeInherited(keeping kept: FileDescriptor?) {
    _ = csys_daemon_close_inherited(kept?.rawValue ?? -1)
  }

  /// pipe2(2); neither end survives an exec.
  public static func pipe() throws(Errno) -> (reading: FileDescriptor, writing: FileDescriptor) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &ends) { bytes in
      csys_daemon_pipe(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
    }
    try checked(result)
    return (FileDescriptor(rawValue: ends.0), FileDescriptor(rawValue: ends.1))
  }

  /// Ignores SIGPIPE.
  public static func ignoreBrokenPipes() { csys_daemon_ignore_broken_pipes() }

  /// waitpid(2).
  public static func wait(for process: Int32) throws(Errno) -> Ending {
    ending(try checked(csys_daemon_wait(process)))
  }

  /// setsid(2).
  public static func startSession() throws(Errno) {
    if setsid() < 0 { throw Errno(rawValue: errno) }
  }

  /// chdir(2).
  public static func changeDirectory(to path: FilePath) throws(Errno) {
    if path.withPlatformString({ chdir($0) }) < 0 { throw Errno(rawValue: errno) }
  }

  /// posix_spawnp(3): runs a program found on PATH, its standard error on `errorOutput`, and waits.
  public static func run(
    _ arguments: [FilePath], errorOutput: FileDescriptor
  ) throws(Errno) -> Ending {
    var pointers = arguments.map { path in path.withPlatformString { strdup($0) } }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    return ending(try checked(csys_daemon_run(&pointers, errorOutput.rawValue)))
  }

  static func ending(_ status: Int32) -> Ending {
    status < 256 ? .exited(status) : .killed(signal: status - 256)
  }

  /// The call's result, or the errno that a shim answers as a negative number.
  @discardableResult
  static func checked(_ result: Int32) throws(Errno) -> Int32 {
    if result < 0 { throw Errno(rawValue: -result) }
    return result
  }
}

/// The system log, syslog(3).
public enum SystemLog {
  /// A message's weight, as syslog counts it.
  public enum Priority: Int32, Sendable {
    case critical = 2
    case error = 3
    case warning = 4
    case notice = 5
    case information = 6
    case debug = 7
  }

  /// openlog(3) under a name in static memory, which syslog keeps a pointer to.
  public static func open(name: StaticString) {
    name.withUTF8Buffer { bytes in
      bytes.withMemoryRebound(to: CChar.self) { csys_daemon_open_log($0.baseAddress) }
    }
  }

  /// syslog(3) of one line.
  public static func write(_ line: String, priority: Priority) {
    csys_daemon_log(priority.rawValue, line)
  }
}
