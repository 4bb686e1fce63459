internal import CSystemCalls
internal import Glibc
public import SystemPackage

/// Other programs, and the signals that come while they run.
public enum Program {
  /// What a program has as one of its standard descriptors.
  public enum Stream: Sendable {
    case nothing
    case descriptor(CInt)
    var number: CInt {
      switch self {
      case .nothing: -1
      case .descriptor(let number): number
      }
    }
  }

  /// posix_spawnp(3): starts a program found on PATH; its signals are as a new program has them.
  public static func start(
    _ arguments: [FilePath], input: Stream = .nothing, output: Stream = .descriptor(1),
    errors: Stream = .descriptor(2)
  ) throws(Errno) -> Int32 {
    var pointers = arguments.map { path in path.withPlatformString { strdup($0) } }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    let standard = [input.number, output.number, errors.number]
    return try Daemon.checked(csys_daemon_start(&pointers, standard))
  }

  /// kill(2).
  public static func send(_ signal: CInt, to process: Int32) throws(Errno) {
    try Daemon.checked(csys_daemon_kill(process, signal))
  }

  /// isatty(3).
  public static func isTerminal(_ descriptor: CInt) -> Bool {
    csys_daemon_is_terminal(descriptor) == 1
  }

  /// Waits for a child and gives it the signals that come meanwhile. `signals` is
  /// `ProcessCall.signalDescriptor`'s. SIGINT from the terminal reaches the child by itself.
  public static func wait(for process: Int32, forwarding signals: CInt) throws(Errno)
    -> Daemon.Ending
  {
    let ended = try Daemon.checked(csys_daemon_process_descriptor(process))
    defer { close(ended) }
    let isOnTerminal = isTerminal(0)
    while csys_wait_readable(ended, signals, -1) == 1 {
      let signal = try Daemon.checked(csys_daemon_read_signal(signals))
      if signal == SIGINT && isOnTerminal { continue }
      try? send(signal, to: process)
    }
    return try Daemon.wait(for: process)
  }

  /// Waits for a child that a signal is to end: calls `body` when one comes, and then again and again until
  /// the child has ended.
  public static func wait(
    for process: Int32, signals: CInt, whenSignalled body: () -> Void
  ) throws(Errno) -> Daemon.Ending {
    let ended = try Daemon.checked(csys_daemon_process_descriptor(process))
    defer { close(ended) }
    var milliseconds: CInt = -1
    while true {
      let ready = csys_wait_readable(ended, signals, milliseconds)
      if ready <= 0 { return try Daemon.wait(for: process) }
      if ready == 1 { _ = try Daemon.checked(csys_daemon_read_signal(signals)) }
      body()
      milliseconds = 200
    }
  }

  /// Where a program of that name lies on PATH; nil where it does not.
  public static func find(_ name: String) -> FilePath? {
    if name.contains("/") { return access(name, X_OK) == 0 ? FilePath(name) : nil }
    let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    return folders.split(separator: ":").map { FilePath("\($0)/\(name)") }.first {
      $0.withPlatformString { access($0, X_OK) } == 0
    }
  }
}
