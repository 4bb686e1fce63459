internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Brings what is in a directory to the top branch, by several threads where it is much: each copy waits for
/// the disk, and four that wait at once take as long as one.
///
/// The thread that serves the request does all by itself if need be: the others join it when they have been
/// started, and it waits for those that have joined.
///
/// Lock order: `lock` comes before that of the queue which starts threads, and is a leaf otherwise; nothing is
/// copied under it.
final class Materialisation: @unchecked Sendable {
  private unowned let union: Union
  private let session = Session.current
  private let lock = Lock()
  private let hasChanged = Condition()
  // Below: guarded by `lock`.
  private var listings: [Listing] = []
  /// Entries of `listings` that nobody has taken.
  private var waiting = 0
  /// Entries that a thread is at.
  private var underWay = 0
  /// Threads that have joined, and those that are to be started.
  private var helpers = 0
  private var called = 0
  private var failure: Errno?
  private var isOver = false
  /// Nodes of directories, held to the end: one that the kernel does not know must keep its place.
  private var held: [UInt64] = []

  private struct Listing {
    var directory: Directory
    var names: NameIndex
    var position = 0
  }

  private static let mostHelpers = 3
  /// Over all renames: each takes descriptors that nobody counts. Only the thread that starts them adds.
  private static let helperCount = Atomic<Int>(0)
  /// A thread more for so many entries.
  private static let share = 4

  init(_ union: Union) { self.union = union }

  deinit {
    hasChanged.destroy()
    lock.destroy()
  }

  /// - Parameter directory: one that is on top itself.
  func bring(_ directory: Directory) throws(Errno) {
    defer { for node in held.reversed() { union.forget(node: node, count: 1) } }
    let listing = try list(directory)
    lock.lock()
    add(listing)
    work(waits: true)
    while helpers > 0 { hasChanged.wait(lock) }
    isOver = true
    let failure = failure
    lock.unlock()
    if let failure { throw failure }
  }

  private func list(_ directory: Directory) throws(Errno) -> Listing {
    try union.lockToList(directory)
    defer { directory.lock.unlock() }
    return Listing(directory: directory, names: directory.index ?? NameIndex())
  }

  // MARK: Under the lock

  /// Takes entries until none is left.
  ///
  /// - Parameter waits: whether also for those that others find.
  private func work(waits: Bool) {
    let mark = Session.held
    while failure == nil {
      if let (directory, name) = take() {
        underWay += 1
        lock.unlock()
        let result = bring(name, in: directory)
        Session.letGo(from: mark)
        lock.lock()
        underWay -= 1
        switch result {
        case .success(nil): break
        case .success(let listing?): add(listing)
        case .failure(let error): failure = failure ?? error
        }
        if underWay == 0 { hasChanged.broadcast() }
      } else if waits && underWay > 0 {
        hasChanged.wait(lock)
      } else {
        return
      }
    }
  }

  private func take() -> (Directory, [CChar])? {
    while let last = listings.indices.last {
      let names = listings[last].names
      while listings[last].position < names.entries.count {
        let position = listings[last].position
        listings[last].position += 1
        waiting -= 1
        guard names.entries[position].isVisible else { continue }
        return (listings[last].directory, names.withName(of: position) { Array($0) + [0] })
      }
      listings.removeLast()
    }
    return nil
  }

  private func add(_ listing: Listing) {
    listings.append(listing)
    waiting += listing.names.entries.count
    if underWay > 0 { hasChanged.broadcast() }
    callHelpers()
  }

  /// The thread that serves may run on its caller's core, at its caller's mercy, and as another user, and a
  /// thread that it starts would too. So another one starts them.
  private func callHelpers() {
    guard let session, let starter = union.top?.area.background else { return }
    let count = min(Self.mostHelpers, waiting / Self.share) - helpers - called
    guard count > 0 else { return }
    let isTaken = starter.add { [self] in
      for _ in 0..<count { startHelper(session) }
    }
    if isTaken { called += count }
  }

  // MARK: Other threads

  private func bring(_ name: [CChar], in directory: Directory) -> Result<Listing?, Errno> {
    do throws(Errno) {
      let inside = try union.bringEntry(name, in: directory) { node in
        lock.whileLocked { held.append(node) }
      }
      guard let inside else { return .success(nil) }
      return .success(try list(inside))
    } catch {
      return .failure(error)
    }
  }

  private func startHelper(_ session: Session) {
    let isNeeded = lock.whileLocked {
      called -= 1
      guard !isOver, failure == nil, waiting > 0,
        Self.helperCount.load(ordering: .relaxed) < Self.mostHelpers
      else { return false }
      Self.helperCount.add(1, ordering: .relaxed)
      helpers += 1
      return true
    }
    guard isNeeded else { return }
    do throws(Errno) {
      try ProcessCall.startThread { [self] in
        session.assist {
          lock.lock()
          work(waits: false)
          lock.unlock()
        }
        didLeave()
      }
    } catch {
      didLeave()
    }
  }

  private func didLeave() {
    Self.helperCount.subtract(1, ordering: .relaxed)
    lock.lock()
    helpers -= 1
    hasChanged.broadcast()
    lock.unlock()
  }
}
