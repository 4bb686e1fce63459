import Dispatch
import Synchronization
import Testing
@testable import FUSE

/// A pool whose threads do as they are told. The first is one that reads.
private final class Puppets: Sendable {
  final class Puppet: Sendable {
    private let step = Mutex<(@Sendable () -> Bool)?>(nil)
    private let told = DispatchSemaphore(value: 0)
    private let isDone = DispatchSemaphore(value: 0)

    /// A step after the other, until one says that it is the last.
    func run() {
      while true {
        told.wait()
        let goesOn = step.withLock { $0 }.map { $0() } ?? false
        isDone.signal()
        if !goesOn { return }
      }
    }

    /// Begins a step and does not wait for it.
    func begin(_ body: @escaping @Sendable () -> Bool) {
      step.withLock { $0 = body }
      told.signal()
    }

    /// Waits until the step that was begun is done.
    func isThrough() -> Bool { isDone.wait(timeout: .now() + 30) == .success }
  }

  let pool: ThreadPool
  private let all = Mutex<[Puppet]>([])
  private let hasCome = DispatchSemaphore(value: 0)
  private let isOver = DispatchSemaphore(value: 0)

  init(mostInCrew: Int) throws {
    pool = ThreadPool(limit: 8, mostInCrew: mostInCrew)
    try pool.start { [self] in
      let puppet = Puppet()
      all.withLock { $0.append(puppet) }
      hasCome.signal()
      puppet.run()
    } whenOver: { [self] in
      isOver.signal()
    }
  }

  var count: Int { all.withLock { $0.count } }

  /// The thread that is started next, once it has come.
  func next() throws -> Puppet {
    try #require(hasCome.wait(timeout: .now() + 30) == .success, "no thread was started")
    return try #require(all.withLock { $0.last })
  }

  /// A thread has read a request.
  func read(_ puppet: Puppet, mayBlock: Bool = false) {
    puppet.begin { [pool] in
      pool.didRead(mayBlock: mayBlock)
      return true
    }
    #expect(puppet.isThrough())
  }

  /// A thread has answered and shall read again. It may have to wait.
  func beginToAnswer(_ puppet: Puppet, _ load: ThreadPool.Load? = nil, wasAway: Bool = false) {
    puppet.begin { [pool] in pool.shouldRead(load, wasAway: wasAway) }
  }

  func answer(_ puppet: Puppet, _ load: ThreadPool.Load? = nil, wasAway: Bool = false) {
    beginToAnswer(puppet, load, wasAway: wasAway)
    #expect(puppet.isThrough(), "it was parked")
  }

  func waitUntilOneIsParked() {
    let end = DispatchTime.now() + 30
    while pool.parkedCount == 0 && DispatchTime.now() < end {}
    #expect(pool.parkedCount == 1)
  }

  /// - Parameter reading: a thread that is not parked.
  func end(_ reading: Puppet) {
    for puppet in all.withLock({ $0 }) where puppet !== reading { puppet.begin { false } }
    reading.begin { false }
    #expect(isOver.wait(timeout: .now() + 30) == .success, "a thread is left")
  }
}

@Suite struct ThreadPoolTests {
  @Test func oneThreadServesWhatIsQuick() throws {
    let puppets = try Puppets(mostInCrew: 2)
    let one = try puppets.next()
    for _ in 0..<10 {
      puppets.read(one)
      puppets.answer(one)
    }
    #expect(puppets.count == 1)
    puppets.end(one)
  }

  @Test func anotherReadsWhileOneTakesLong() throws {
    let puppets = try Puppets(mostInCrew: 2)
    let one = try puppets.next()
    puppets.read(one, mayBlock: true)
    let other = try puppets.next()
    puppets.read(other)
    puppets.answer(other)
    // It comes back and is one too many.
    puppets.beginToAnswer(one, wasAway: true)
    puppets.waitUntilOneIsParked()
    // Until it is needed again.
    puppets.read(other, mayBlock: true)
    #expect(one.isThrough())
    #expect(puppets.count == 2)
    puppets.end(one)
  }

  @Test func severalReadInTurnsWhileMoreCome() throws {
    let puppets = try Puppets(mostInCrew: 2)
    let one = try puppets.next()
    puppets.read(one)
    puppets.answer(one, .grows)
    let other = try puppets.next()
    for _ in 0..<10 {
      // Both serve, then both read; none is parked or called.
      puppets.read(one)
      puppets.read(other)
      puppets.answer(one, .grows)
      puppets.answer(other)
    }
    #expect(puppets.count == 2, "more than cores")
    puppets.read(one)
    puppets.beginToAnswer(one, .shrinks)
    puppets.waitUntilOneIsParked()
    puppets.read(other)
    puppets.answer(other)
    puppets.read(other)
    puppets.answer(other, .grows)
    #expect(one.isThrough())
    #expect(puppets.count == 2)
    puppets.end(one)
  }

  @Test func whoTakesLongIsNoneOfThoseWhoReadInTurns() throws {
    let puppets = try Puppets(mostInCrew: 2)
    let one = try puppets.next()
    puppets.read(one)
    puppets.answer(one, .grows)
    let second = try puppets.next()
    puppets.read(one, mayBlock: true)
    // There are two again, though one of them reads.
    let third = try puppets.next()
    puppets.beginToAnswer(one, wasAway: true)
    puppets.waitUntilOneIsParked()
    puppets.read(second)
    puppets.answer(second)
    puppets.read(third, mayBlock: true)
    #expect(one.isThrough(), "the one that was parked is called")
    #expect(puppets.count == 3)
    puppets.end(one)
  }
}
