internal import SystemCalls
public import SystemPackage

/// Work that nobody waits for, done in the order in which it came by one thread of its own.
///
/// Lock order: `lock` is a leaf; no work is done under it.
public final class WorkQueue: @unchecked Sendable {
  private let lock = Lock()
  private let hasWork = Condition()
  private let isIdle = Condition()
  private let limit: Int
  // Below: guarded by `lock`.
  private var pending: [@Sendable () -> Void] = []
  private var isRunning = false
  private var isEnding = false

  /// - Parameter limit: the most pieces of work that wait. Whoever has more does it himself, so that it
  ///   is never made faster than it is done.
  public init(limit: Int) { self.limit = limit }

  deinit {
    hasWork.destroy()
    isIdle.destroy()
    lock.destroy()
  }

  /// Starts the thread, once. Not to be called from one whose policy or cores are not the usual ones: it
  /// would inherit them.
  public func start() throws(Errno) {
    lock.whileLocked { isRunning = true }
    do throws(Errno) { try ProcessCall.startThread { [self] in run() } } catch {
      lock.whileLocked { isRunning = false }
      throw error
    }
  }

  /// Hands work over. False where it is the caller's to do: without a thread, and with too much waiting.
  public func add(_ work: @escaping @Sendable () -> Void) -> Bool {
    lock.lock()
    guard isRunning, !isEnding, pending.count < limit else {
      lock.unlock()
      return false
    }
    pending.append(work)
    lock.unlock()
    hasWork.signal()
    return true
  }

  /// Waits until all that was handed over is done.
  public func drain() {
    lock.lock()
    while !pending.isEmpty { isIdle.wait(lock) }
    lock.unlock()
  }

  /// Waits until all is done and the thread has ended. From here on nothing is taken.
  public func finish() {
    lock.lock()
    isEnding = true
    hasWork.signal()
    while isRunning { isIdle.wait(lock) }
    lock.unlock()
  }

  private func run() {
    lock.lock()
    while true {
      while pending.isEmpty && !isEnding { hasWork.wait(lock) }
      guard !pending.isEmpty else { break }
      // It counts until it is done.
      let work = pending[0]
      lock.unlock()
      work()
      lock.lock()
      pending.removeFirst()
      if pending.isEmpty { isIdle.broadcast() }
    }
    isRunning = false
    isIdle.broadcast()
    lock.unlock()
  }
}
