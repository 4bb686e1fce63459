internal import SystemCalls
internal import SystemPackage

/// The threads that read requests. A wake-up on another core costs as much as a small request, so one
/// thread serves alone while its requests are quick and nobody waits; another joins in when a request
/// may block, or when more requests have come than one thread answers. Threads that are too many are
/// parked. The lock is held for a few counters only.
final class ThreadPool: @unchecked Sendable {
  private let lock = Lock()
  private let wake = Condition()
  private let limit: Int
  // Below: guarded by `lock`.
  /// Threads in read(2), or on their way there.
  private var reading = 0
  private var parked = 0
  private var threads = 0
  /// Parked threads that were told to read.
  private var called = 0
  private var isOver = false
  private var body: (@Sendable () -> Void)?
  private var whenOver: (@Sendable () -> Void)?

  /// - Parameter limit: the most threads at once.
  init(limit: Int) { self.limit = limit }

  func start(
    _ body: @escaping @Sendable () -> Void, whenOver: @escaping @Sendable () -> Void
  ) throws(Errno) {
    self.body = body
    self.whenOver = whenOver
    lock.lock()
    reading += 1
    try add()
  }

  /// Starts a thread that is counted as reading already. Called with the lock, returns without it.
  private func add() throws(Errno) {
    threads += 1
    lock.unlock()
    guard let body else { return }
    do {
      try ProcessCall.startThread { [self] in
        body()
        end()
      }
    } catch {
      lock.whileLocked {
        threads -= 1
        reading -= 1
      }
      throw error
    }
  }

  /// A thread has read a request.
  ///
  /// - Parameter mayBlock: whether the answer may take long, so that another thread must read.
  func didRead(mayBlock: Bool) {
    lock.lock()
    reading -= 1
    if mayBlock { ensureReader() } else { lock.unlock() }
  }

  /// The request at hand turns out to take long.
  func willBlock() {
    lock.lock()
    ensureReader()
  }

  /// Whether the calling thread is the only one that is not parked.
  var isAlone: Bool { lock.whileLocked { threads - parked == 1 } }

  /// Whether another thread than the calling one has a request to answer.
  var othersServe: Bool { lock.whileLocked { threads - parked - reading > 1 } }

  /// Called with the lock, returns without it.
  private func ensureReader() {
    guard reading == 0, !isOver else { return lock.unlock() }
    if parked > called {
      called += 1
      reading += 1
      lock.unlock()
      wake.signal()
    } else if threads < limit {
      reading += 1
      // Without memory for a thread, requests wait for the threads there are.
      try? add()
    } else {
      lock.unlock()
    }
  }

  /// A thread has answered its request; it reads the next one, or waits until it is needed. False at
  /// the end.
  ///
  /// - Parameter othersWait: whether more requests have come meanwhile.
  func shouldRead(othersWait: Bool) -> Bool {
    lock.lock()
    if othersWait {
      reading += 1
      // This thread takes one; a second thread the next.
      if reading == 1 && !isOver { reading -= 1; ensureReader(); lock.lock(); reading += 1 }
      let goesOn = !isOver
      lock.unlock()
      return goesOn
    }
    if reading == 0 || isOver {
      reading += 1
      let goesOn = !isOver
      lock.unlock()
      return goesOn
    }
    parked += 1
    while called == 0 && !isOver { wake.wait(lock) }
    parked -= 1
    if !isOver { called -= 1 }
    let goesOn = !isOver
    lock.unlock()
    return goesOn
  }

  /// A thread found the connection's end.
  private func end() {
    lock.lock()
    isOver = true
    threads -= 1
    let last = threads == 0
    lock.unlock()
    wake.broadcast()
    if last { whenOver?() }
  }
}
