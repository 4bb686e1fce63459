internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Serves a single caller on the caller's own core.
///
/// A caller waits for its answer, so one of the two is always asleep. The scheduler yet puts them on two
/// cores, as one seems idle: each request and each answer then wakes a halted core, which in a virtual
/// machine takes 25 to 35 µs, several times the work. Binding the server to the caller's core alone does
/// not help: the answer is sent by a thread that runs, so the caller is woken elsewhere. But a core on
/// which only SCHED_IDLE threads run counts as idle: the caller is woken there, and goes on at once.
///
/// The price is that such a thread gets no time where anything else wants the core. So a guard looks at
/// it each two milliseconds: a request that nobody takes up for as long, or that takes as long, gives
/// the thread its policy and its cores back, and the next try is put off. Nothing of it is done where
/// several callers ask in turn, or while more threads want to run than there are cores. A thread is
/// started by none that is near: it would inherit policy and core.
///
/// Measured on two cores under KVM: a LOOKUP of a missing name 70 µs without, 15 µs with it.
///
/// Lock order: `lock` is a leaf but for the system calls that change a thread's scheduling.
final class CallerCore: @unchecked Sendable {
  private let lock = Lock()
  private let wake = Condition()
  private let descriptor: CInt
  private let pool: ThreadPool
  private let usual: Scheduling
  private let coreCount: CInt

  // Below: guarded by `lock`.
  private var hasGuard = false
  private var isOver = false
  /// How long the last try was put off, in nanoseconds.
  private var delay = shortestDelay
  private var began: UInt64 = 0

  /// When the next try may be (`ProcessCall.monotonic`). Changed under `lock`.
  private let notBefore = Atomic<UInt64>(0)
  /// The thread that serves so, 0 for none. Changed under `lock`.
  private let near = Atomic<CInt>(0)
  /// Counts that thread's requests: odd while one is being answered.
  private let progress = Atomic<UInt64>(0)

  private static let shortestDelay: UInt64 = 100_000_000
  private static let longestDelay: UInt64 = 8_000_000_000
  private static let tick: CInt = 2
  /// After so many ticks without a request the thread is an ordinary one again, and the guard sleeps.
  private static let patience = 10

  /// nil where a thread could not be brought back, or where there is one core.
  init?(descriptor: CInt, pool: ThreadPool) {
    guard Scheduling.mayLeaveIdle, Scheduling.coreCount > 1, let usual = try? Scheduling() else {
      return nil
    }
    self.descriptor = descriptor
    self.pool = pool
    self.usual = usual
    coreCount = Scheduling.coreCount
  }

  // MARK: The serving thread

  /// Whether the calling thread, of that number, serves its caller so.
  func isNear(_ thread: CInt) -> Bool { near.load(ordering: .acquiring) == thread }

  func beginRequest() {
    progress.store((progress.load(ordering: .relaxed) &+ 2) | 1, ordering: .releasing)
  }

  /// The answer is about to be sent, if one is due: the caller may take the core from here on.
  func endRequest() {
    progress.store(progress.load(ordering: .relaxed) & ~1, ordering: .releasing)
  }

  /// Whether a try is worth the look at where the caller is.
  var isDue: Bool {
    near.load(ordering: .relaxed) == 0
      && ProcessCall.monotonic >= notBefore.load(ordering: .relaxed)
  }

  /// Moves the calling thread to a caller's core; false where this is not the time.
  func enter(_ thread: CInt, core: CInt) -> Bool {
    let now = ProcessCall.monotonic
    lock.lock()
    defer { lock.unlock() }
    guard near.load(ordering: .relaxed) == 0, !isOver, now >= notBefore.load(ordering: .relaxed)
    else { return false }
    guard let runnable = Scheduling.runnable, runnable <= coreCount, pool.isAlone, startGuard()
    else {
      notBefore.store(now &+ Self.shortestDelay, ordering: .relaxed)
      return false
    }
    do throws(Errno) {
      try Scheduling.stay(on: core)
      try Scheduling.idle()
    } catch {
      // Not allowed here, or the core is none of ours.
      try? usual.apply(to: thread)
      notBefore.store(now &+ Self.longestDelay, ordering: .relaxed)
      return false
    }
    began = now
    progress.store(0, ordering: .relaxed)
    near.store(thread, ordering: .releasing)
    wake.signal()
    return true
  }

  /// Follows the caller to another core.
  func move(_ thread: CInt, to core: CInt) {
    lock.whileLocked {
      guard near.load(ordering: .relaxed) == thread else { return }
      if (try? Scheduling.stay(on: core)) == nil { restore(thread) }
    }
  }

  /// The calling thread is an ordinary one from here on.
  func leave(_ thread: CInt) {
    lock.whileLocked { restore(thread) }
  }

  /// Several callers ask: the next try is put off.
  func leaveToOthers(_ thread: CInt) {
    lock.whileLocked {
      restore(thread)
      notBefore.store(ProcessCall.monotonic &+ Self.shortestDelay, ordering: .relaxed)
    }
  }

  /// Under the lock.
  private func restore(_ thread: CInt) {
    guard near.load(ordering: .relaxed) == thread else { return }
    near.store(0, ordering: .releasing)
    try? usual.apply(to: thread)
  }

  // MARK: The guard

  /// Under the lock.
  private func startGuard() -> Bool {
    if hasGuard { return true }
    hasGuard = (try? ProcessCall.startThread { [self] in watch() }) != nil
    return hasGuard
  }

  /// No thread is used any more once this has returned and the pool's threads have ended.
  func end() {
    lock.whileLocked { isOver = true }
    wake.broadcast()
  }

  private func watch() {
    while true {
      lock.lock()
      while near.load(ordering: .relaxed) == 0 && !isOver { wake.wait(lock) }
      let thread = near.load(ordering: .relaxed)
      let over = isOver
      lock.unlock()
      if over { return }
      watch(thread)
    }
  }

  /// Until the thread serves as an ordinary one again.
  private func watch(_ thread: CInt) {
    var last: UInt64 = .max
    var quiet = 0
    var hasWaited = false
    while isNear(thread) {
      ProcessCall.pause(milliseconds: Self.tick)
      let now = progress.load(ordering: .acquiring)
      if now != last {
        last = now
        quiet = 0
        hasWaited = false
      } else if now & 1 != 0 {
        // It waits for a disk, or for the core in the middle of a request.
        return rescue(thread, wasStarved: false)
      } else if ProcessCall.isReadable(descriptor) {
        // The request may have come this instant, after a pause of the caller's.
        if hasWaited { return rescue(thread, wasStarved: true) }
        hasWaited = true
      } else {
        quiet += 1
        if quiet >= Self.patience {
          leave(thread)
          // A request that came in this instant has nobody to notice that it takes long.
          if progress.load(ordering: .acquiring) != now { pool.makeSureOfReader() }
          return
        }
      }
    }
  }

  private func rescue(_ thread: CInt, wasStarved: Bool) {
    lock.lock()
    let isStill = near.load(ordering: .relaxed) == thread
    restore(thread)
    if isStill && wasStarved {
      let now = ProcessCall.monotonic
      let wasShort = now &- began < 4 &* delay
      delay = wasShort ? min(delay &* 2, Self.longestDelay) : Self.shortestDelay
      notBefore.store(now &+ delay, ordering: .relaxed)
    }
    lock.unlock()
    // Others are not kept waiting behind what takes long.
    if isStill { pool.makeSureOfReader() }
  }
}

/// What one thread knows of who asks it; decides when it serves by `CallerCore`.
struct CallerWatch: ~Copyable {
  private let core: CallerCore?
  private let thread = Scheduling.thread
  /// The thread that asked last, and how many requests in turn were its.
  private var caller: Int32 = 0
  private var streak = 0
  /// While near: requests, and how many of the last ones came from another caller than the one before.
  private var count = 0
  private var changes = 0
  /// The caller's `Scheduling.open`, -1 for none.
  private var status: CInt = -1
  private var statusOf: Int32 = 0
  private var coreOfCaller: CInt = -1
  private(set) var isNear = false

  /// From so many requests of one caller in turn on.
  private static let leastStreak = 6
  /// The caller's core is looked up at each of so many requests, and at one that had to be waited for: on
  /// its core the caller comes first, so a request is there before the server runs again. The scheduler
  /// moves the caller at each tick, as two threads want its core.
  private static let stride = 64
  /// In nanoseconds.
  private static let wait: UInt64 = 10_000
  /// So many changes of callers in this many requests are several that ask in turn.
  private static let window = 32
  private static let mostChanges = 8

  init(_ core: CallerCore?) { self.core = core }

  deinit {
    if isNear { core?.leave(thread) }
    if status >= 0 { Scheduling.close(status) }
  }

  /// A request has been read.
  ///
  /// - Parameter waited: nanoseconds that reading it took.
  mutating func didRead(caller: Int32, isLong: Bool, waited: UInt64) {
    guard let core else { return }
    if isNear {
      if core.isNear(thread) { return goOn(core, caller, isLong, waited) }
      isNear = false
      streak = 0
    }
    guard caller != 0, !isLong else { return streak = 0 }
    streak = caller == self.caller ? streak + 1 : 0
    self.caller = caller
    if streak >= Self.leastStreak {
      streak = 0
      guard core.isDue, let place = place(of: caller), core.enter(thread, core: place) else {
        return
      }
      coreOfCaller = place
      isNear = true
      count = 0
      changes = 0
      core.beginRequest()
    }
  }

  private mutating func goOn(
    _ core: CallerCore, _ caller: Int32, _ isLong: Bool, _ waited: UInt64
  ) {
    if isLong {
      isNear = false
      return core.leave(thread)
    }
    core.beginRequest()
    count += 1
    if caller != self.caller {
      changes += 1
      self.caller = caller
      if changes > Self.mostChanges {
        isNear = false
        return core.leaveToOthers(thread)
      }
    } else if waited < Self.wait && count % Self.stride != 0 {
      return
    }
    if count % Self.window == 0 { changes = 0 }
    if let place = place(of: caller), place != coreOfCaller {
      coreOfCaller = place
      core.move(thread, to: place)
    }
  }

  /// Whether the guard watches the request at hand: it may have made the thread an ordinary one since.
  var isWatched: Bool { isNear && core?.isNear(thread) ?? false }

  /// The answer is about to be sent, or was not due.
  func willAnswer() {
    if isWatched { core?.endRequest() }
  }

  private mutating func place(of caller: Int32) -> CInt? {
    if caller != statusOf || status < 0 {
      if status >= 0 { Scheduling.close(status) }
      statusOf = caller
      status = (try? Scheduling.open(thread: caller)) ?? -1
    }
    return status < 0 ? nil : try? Scheduling.lastCore(status)
  }
}
