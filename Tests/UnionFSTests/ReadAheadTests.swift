import Dispatch
import Synchronization
import Testing
@testable import UnionFS

/// A tree of which nothing is on disk: each directory has as many below it, down to a depth.
private final class Forest: Sendable {
  let cache = DirectoryDescriptors(limit: 16)
  let breadth: Int
  private let made = Mutex<[[Int]: Directory]>([:])
  private let paths = Mutex<[ObjectIdentifier: [Int]]>([:])
  private let asked = Mutex<[[Int]]>([])
  private let bell = DispatchSemaphore(value: 0)

  init(breadth: Int) { self.breadth = breadth }

  func at(_ path: [Int]) -> Directory {
    made.withLock { made in
      if let known = made[path] { return known }
      let directory = Directory(slot: 1, branches: [0, 1], isResolved: true, cache: cache)
      made[path] = directory
      paths.withLock { $0[ObjectIdentifier(directory)] = path }
      return directory
    }
  }

  /// As the thread that reads ahead asks: there is something at `breadth` positions.
  func makeReady(_ directory: Directory, _ position: Int, depth: Int) -> Directory? {
    let parent = paths.withLock { $0[ObjectIdentifier(directory)] ?? [] }
    guard position < breadth, parent.count < depth else { return nil }
    asked.withLock { $0.append(parent + [position]) }
    bell.signal()
    return at(parent + [position])
  }

  /// What has been asked for once it is so much, in order.
  func asked(_ count: Int) -> [[Int]] {
    for _ in 0..<count where bell.wait(timeout: .now() + 30) == .timedOut { break }
    return asked.withLock { $0 }
  }

  func isAskedMore(within time: DispatchTimeInterval) -> Bool {
    bell.wait(timeout: .now() + time) == .success
  }
}

@Suite struct ReadsAhead {
  private func list(_ path: [Int], of forest: Forest, _ readAhead: ReadAhead) {
    readAhead.didList(
      forest.at(path), in: forest.at(Array(path.dropLast())), at: path.last ?? 0, hasDeep: true,
      parentHasDeep: true)
  }

  private func withThread(
    breadth: Int, depth: Int, _ body: (Forest, ReadAhead) throws -> Void
  ) throws {
    let forest = Forest(breadth: breadth)
    let readAhead = ReadAhead()
    try readAhead.start {
      forest.makeReady($0, $1, depth: depth)
    } atEnd: {
    }
    try body(forest, readAhead)
    readAhead.finish()
  }

  @Test func aWalkIsFollowedInItsOrder() throws {
    try withThread(breadth: 3, depth: 2) { forest, readAhead in
      // The first in a directory tells nothing, the second and the third do.
      for position in 0..<3 { list([position], of: forest, readAhead) }
      // What is below the last, which was listed without being ready.
      #expect(forest.asked(3).suffix(3) == [[2, 0], [2, 1], [2, 2]])
    }
  }

  @Test func eachDirectoryComesBeforeWhatIsAfterIt() throws {
    try withThread(breadth: 4, depth: 3) { forest, readAhead in
      for position in 0..<2 { list([0, position], of: forest, readAhead) }
      list([0, 2], of: forest, readAhead)
      let asked = forest.asked(5)
      let inside = asked.prefix { $0.count == 3 }
      #expect(Array(inside) == (0..<4).map { [0, 2, $0] }, "below the one that is listed")
      #expect(asked.dropFirst(inside.count).first == [0, 3], "then what comes after it")
    }
  }

  @Test func whoDoesSomethingElseIsNotFollowed() throws {
    try withThread(breadth: 8, depth: 2) { forest, readAhead in
      for position in [5, 1, 7, 0, 6, 2] { list([position], of: forest, readAhead) }
      list([3], of: forest, readAhead)
      readAhead.finish()
      #expect(forest.asked(0) == [])
    }
  }

  @Test func whoRemovesIsNotFollowed() throws {
    try withThread(breadth: 8, depth: 2) { forest, readAhead in
      for position in 0..<8 {
        list([position], of: forest, readAhead)
        readAhead.didRemove()
      }
      readAhead.finish()
      #expect(forest.asked(0) == [])
    }
  }

  @Test func itIsNeverFarAhead() throws {
    try withThread(breadth: 1000, depth: 1) { forest, readAhead in
      for position in 0..<3 { list([position], of: forest, readAhead) }
      // 64 ahead of the third, then no more.
      #expect(forest.asked(64).count == 64)
      readAhead.finish()
      #expect(forest.asked(0).count == 64)
    }
  }

  @Test func itGoesOnAsTheClientComesAfter() throws {
    try withThread(breadth: 300, depth: 1) { forest, readAhead in
      for position in 0..<300 {
        list([position], of: forest, readAhead)
        if position == 2 { _ = forest.asked(64) }
      }
      let asked = forest.asked(0)
      #expect(Set(asked).count == asked.count, "none twice")
    }
  }

  @Test func aClientThatGoesElsewhereIsFollowedThere() throws {
    try withThread(breadth: 1000, depth: 2) { forest, readAhead in
      for position in 0..<3 { list([position], of: forest, readAhead) }
      _ = forest.asked(64)
      // It is noticed when the thread has come as far as it may.
      var position = 0
      while position < 600, !forest.isAskedMore(within: .milliseconds(100)) {
        list([900, position], of: forest, readAhead)
        position += 1
      }
      let asked = forest.asked(0)
      #expect(asked.count > 64 && asked[64...].contains { $0.first == 900 })
    }
  }
}
