import Synchronization
import SystemCalls
import Testing
import UnionCore

@Suite struct WorkQueueTests {
  /// What was done, in its order.
  private final class Record: Sendable {
    private let list = Mutex<[Int]>([])
    func add(_ number: Int) { list.withLock { $0.append(number) } }
    var numbers: [Int] { list.withLock { $0 } }
  }

  @Test func workIsDoneInItsOrderBeforeTheEnd() throws {
    let queue = WorkQueue(limit: 1000)
    try queue.start()
    let record = Record()
    for number in 0..<1000 {
      let isTaken = queue.add { record.add(number) }
      #expect(isTaken)
    }
    queue.finish()
    #expect(record.numbers == Array(0..<1000))
    let isTaken = queue.add {}
    #expect(!isTaken, "nothing is taken after the end")
  }

  @Test func drainingWaitsForAllThatWasHandedOver() throws {
    let queue = WorkQueue(limit: 100)
    try queue.start()
    let record = Record()
    for round in 1...10 {
      for number in 0..<100 { if !queue.add({ record.add(number) }) { record.add(number) } }
      queue.drain()
      #expect(record.numbers.count == round * 100)
    }
    queue.finish()
    queue.drain()
  }

  @Test func whatIsTooMuchIsTheCallersOwn() throws {
    let queue = WorkQueue(limit: 2)
    try queue.start()
    let gate = Lock()
    gate.lock()
    let record = Record()
    let first = queue.add {
      gate.lock()
      gate.unlock()
      record.add(1)
    }
    let second = queue.add { record.add(2) }
    let third = queue.add { record.add(3) }
    #expect(first && second && !third)
    gate.unlock()
    queue.finish()
    #expect(record.numbers == [1, 2])
    gate.destroy()
  }

  @Test func withoutAThreadNothingIsTaken() {
    let queue = WorkQueue(limit: 2)
    let isTaken = queue.add {}
    #expect(!isTaken)
    queue.finish()
  }
}
