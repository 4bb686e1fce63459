internal import CSystemCalls
internal import Glibc
public import SystemPackage

/// Where and when threads run (sched(7)). Failures are for the caller to go on without.
public struct Scheduling: Sendable {
  private var raw: csys_scheduling

  /// The calling thread's policy and cores (sched_getscheduler(2), sched_getaffinity(2)). EINVAL on a
  /// machine of more than 1,024 cores.
  public init() throws(Errno) {
    raw = csys_scheduling()
    _ = try check(csys_get_scheduling(&raw))
  }

  /// Gives a thread of this process this policy and these cores.
  public func apply(to thread: CInt) throws(Errno) {
    _ = try withUnsafePointer(to: raw) { raw throws(Errno) in
      try check(csys_set_scheduling(thread, raw))
    }
  }

  /// gettid(2).
  public static var thread: CInt { csys_thread() }
  /// How many cores the calling thread may run on.
  public static var coreCount: CInt { csys_core_count() }
  /// Whether `apply` brings a thread back from `idle`: CAP_SYS_NICE, or RLIMIT_NICE allows it.
  public static var mayLeaveIdle: Bool { csys_may_leave_idle() == 1 }

  /// The calling thread runs only where nothing else wants to (SCHED_IDLE).
  public static func idle() throws(Errno) { _ = try check(csys_set_idle(0)) }
  /// The calling thread runs on one core alone (sched_setaffinity(2)).
  public static func stay(on core: CInt) throws(Errno) { _ = try check(csys_set_core(0, core)) }

  /// Opens what `lastCore` reads, of a thread of any process (proc(5)); to be closed.
  public static func open(thread: CInt) throws(Errno) -> CInt {
    try check(csys_open_thread(thread))
  }
  /// The core on which a thread runs or ran last; ESRCH once it has ended.
  public static func lastCore(_ descriptor: CInt) throws(Errno) -> CInt {
    try check(csys_last_core(descriptor))
  }
  public static func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }

  /// How many threads of the machine run or want to, by /proc/loadavg.
  public static var runnable: CInt? {
    let count = csys_runnable()
    return count < 0 ? nil : count
  }
}
