internal import SystemCalls
internal import SystemPackage

/// Makes the indexes of directories that many branches hold before a client that walks the tree comes to them,
/// by a thread of its own: with a hundred branches that is most of what such a walk waits for.
///
/// A client that lists directories in the order of the listing above them is followed. From where it is the
/// thread goes on as a walk would, each directory before what comes after it, until it is `most` directories
/// ahead. A client that goes elsewhere is followed there.
///
/// Lock order: `lock` is a leaf; no index is made under it.
final class ReadAhead: @unchecked Sendable {
  private let lock = Lock()
  private let hasWork = Condition()
  private let hasEnded = Condition()
  // Below, and `Directory.walk`: guarded by `lock`.
  /// Entries of directories that are to be looked at; the last one is next.
  private var pieces: [Piece] = []
  private var isRunning = false
  private var isEnding = false
  private var isWaiting = false
  /// How often lately a client listed what comes next, up to 8.
  private var confidence = 0
  /// Directories that are ready and have not been listed yet, of this `course`.
  private var ahead = 0
  private var course: UInt32 = 1

  private struct Piece {
    var directory: Directory
    var positions: Range<Int>
  }

  private static let enough = 2
  /// A walk leaves out what is no directory: so many entries at most.
  private static let gap = 64
  /// Entries of one directory that are looked at ahead of the client; more when half of them are left.
  static let window = 64
  private static let most = 64
  /// The thread is woken when no more are left: to wake a core costs as much as the index of a small directory.
  private static let few = 32
  /// Beyond so many the oldest are given up.
  private static let mostPieces = 64

  deinit {
    hasWork.destroy()
    hasEnded.destroy()
    lock.destroy()
  }

  /// Makes ready what is at a position of a directory's index.
  ///
  /// - Returns: the directory there, if what is below it may be worth the same.
  typealias Body = @Sendable (_ directory: Directory, _ position: Int) -> Directory?

  /// Starts the thread. Not to be called from one whose policy or cores are not the usual ones: it would
  /// inherit them.
  func start(_ body: @escaping Body, atEnd: @escaping @Sendable () -> Void) throws(Errno) {
    lock.whileLocked { isRunning = true }
    do throws(Errno) {
      try ProcessCall.startThread { [self] in
        run(body)
        atEnd()
        didEnd()
      }
    } catch {
      lock.whileLocked { isRunning = false }
      throw error
    }
  }

  /// Returns when the thread has ended.
  func finish() {
    lock.lock()
    isEnding = true
    hasWork.signal()
    while isRunning { hasEnded.wait(lock) }
    pieces = []
    lock.unlock()
  }

  /// A client has begun to list a directory, which is at a position of the index of the one above.
  ///
  /// - Parameters:
  ///   - hasDeep: whether many branches may hold what is below it.
  ///   - parentHasDeep: the same of the one above.
  func didList(
    _ directory: Directory, in parent: Directory, at position: Int, hasDeep: Bool,
    parentHasDeep: Bool
  ) {
    lock.lock()
    defer { lock.unlock() }
    guard isRunning, !isEnding else { return }
    if let follows = parent.walk.advance(to: position, gap: Self.gap) {
      confidence = follows ? min(confidence + 1, 8) : max(confidence - 2, 0)
    }
    if directory.walk.course == course {
      directory.walk.course = 0
      ahead -= 1
    } else if ahead >= Self.most {
      // It has gone elsewhere.
      course &+= 1
      ahead = 0
      giveUp(pieces.count)
    }
    guard confidence >= Self.enough else { return }
    if parentHasDeep { extend(parent, from: position) }
    if hasDeep { extend(directory, from: -1) }
    if isWaiting && ahead <= Self.few && !pieces.isEmpty { hasWork.signal() }
  }

  /// A client removes names: it does not only look, and what it removes is not to be made ready.
  func didRemove() {
    lock.lock()
    confidence = 0
    giveUp(pieces.count)
    lock.unlock()
  }

  /// The oldest pieces are not looked at; they may come again. Under the lock.
  private func giveUp(_ count: Int) {
    for piece in pieces.prefix(count) {
      piece.directory.walk.readyTo = piece.positions.lowerBound
    }
    pieces.removeFirst(count)
  }

  /// Under the lock.
  private func extend(_ directory: Directory, from position: Int) {
    let next = position + 1
    guard directory.walk.readyTo <= next + Self.window / 2 else { return }
    let positions = max(directory.walk.readyTo, next)..<(next + Self.window)
    directory.walk.readyTo = positions.upperBound
    if pieces.count >= Self.mostPieces { giveUp(1) }
    pieces.append(Piece(directory: directory, positions: positions))
  }

  private func run(_ body: Body) {
    lock.lock()
    while !isEnding {
      guard ahead < Self.most, var piece = pieces.popLast() else {
        isWaiting = true
        hasWork.wait(lock)
        isWaiting = false
        continue
      }
      let position = piece.positions.lowerBound
      piece.positions = (position + 1)..<piece.positions.upperBound
      if !piece.positions.isEmpty { pieces.append(piece) }
      lock.unlock()
      let ready = body(piece.directory, position)
      lock.lock()
      if let ready, ready.walk.readyTo == 0 {
        ready.walk.course = course
        ahead += 1
        extend(ready, from: -1)
      }
    }
    lock.unlock()
  }

  private func didEnd() {
    lock.lock()
    isRunning = false
    hasEnded.broadcast()
    lock.unlock()
  }
}

/// How far a client has come in a directory, by positions of its index.
struct Walk {
  private var last = -1
  /// One past what has been looked at ahead of it.
  var readyTo = 0
  /// `ReadAhead.course` where the directory is ready and has not been listed; 0 otherwise.
  var course: UInt32 = 0

  /// Whether what a client lists now comes soon after what it listed last; nil for the first.
  mutating func advance(to position: Int, gap: Int) -> Bool? {
    defer { last = position }
    return last < 0 ? nil : position > last && position <= last + gap
  }
}
