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
  private let mostInCrew: Int
  // Below: guarded by `lock`.
  /// Threads in read(2), or on their way there.
  private var reading = 0
  private var parked = 0
  private var threads = 0
  /// Threads whose requests take long.
  private var away = 0
  /// How many others there should be: more than one while more requests come than one answers.
  private var crew = 1
  /// Parked threads that were told to read.
  private var called = 0
  private var isOver = false
  private var body: (@Sendable () -> Void)?
  private var whenOver: (@Sendable () -> Void)?

  /// How many requests come, compared with how many are answered.
  enum Load { case grows, shrinks }

  /// - Parameters:
  ///   - limit: the most threads at once.
  ///   - mostInCrew: the most of them that read in turns: more than there are cores answer no more.
  init(limit: Int, mostInCrew: Int = Int(Scheduling.coreCount)) {
    self.limit = limit
    self.mostInCrew = mostInCrew
  }

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
        // Not tried again at each request.
        crew = 1
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
    if mayBlock { leave() } else { lock.unlock() }
  }

  /// The request at hand turns out to take long.
  func willBlock() {
    lock.lock()
    leave()
  }

  /// Somebody else's request turns out to take long.
  func makeSureOfReader() {
    lock.lock()
    ensureReader()
  }

  /// Whether the calling thread is the only one that is not parked.
  var isAlone: Bool { lock.whileLocked { threads - parked == 1 } }

  /// How many threads wait until they are needed.
  var parkedCount: Int { lock.whileLocked { parked } }

  /// Whether another thread than the calling one has a request to answer.
  var othersServe: Bool { lock.whileLocked { threads - parked - reading > 1 } }

  /// Threads that read or serve what is quick, those that were called among them. Under the lock.
  private var active: Int { threads - parked + called - away }

  /// Called with the lock, returns without it.
  private func leave() {
    away += 1
    ensureReader()
  }

  /// Called with the lock, returns without it.
  private func ensureReader() {
    if (reading == 0 || active < crew) && !isOver { callReader() } else { lock.unlock() }
  }

  /// Makes one more thread read. Called with the lock, returns without it.
  private func callReader() {
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
  /// - Parameters:
  ///   - load: whether more requests come than are answered, or fewer; nil where that is not known.
  ///   - wasAway: whether the request took long.
  func shouldRead(_ load: Load?, wasAway: Bool) -> Bool {
    lock.lock()
    if wasAway { away -= 1 }
    switch load {
    case .grows where crew < mostInCrew: crew += 1
    case .shrinks where crew > 1: crew -= 1
    default: break
    }
    if reading == 0 || active <= crew || isOver {
      reading += 1
      let goesOn = !isOver
      if active < crew && goesOn { callReader() } else { lock.unlock() }
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
