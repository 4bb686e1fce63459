internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Hands what it is given to a thread of its own, which writes it on: what makes the bytes and what
/// compresses them run side by side. `close` or `abandon` must be called.
final class ThreadedSink: ByteSink {
  private let work: Work
  private var room: UnsafeMutableRawBufferPointer?
  private var count = 0

  private final class Work: @unchecked Sendable {
    let ring = BlockRing()
    private let body: () throws(Failure) -> Void
    private let sink: any ByteSink
    private let lock = Lock()
    private let changed = Condition()
    private var result: Result<Void, Failure>?

    init(_ sink: any ByteSink, _ end: @escaping () throws(Failure) -> Void) {
      self.sink = sink
      body = end
    }

    deinit {
      lock.destroy()
      changed.destroy()
    }

    func run() {
      let result = outcome()
      ring.abandon()
      lock.whileLocked {
        self.result = result
        changed.broadcast()
      }
    }

    private func outcome() -> Result<Void, Failure> {
      do throws(Failure) {
        while true {
          let block = try ring.next()
          if block.isEmpty { break }
          try sink.write(block)
        }
        try body()
        return .success(())
      } catch { return .failure(error) }
    }

    func wait() -> Result<Void, Failure> {
      lock.whileLocked {
        while true {
          if let result { return result }
          changed.wait(lock)
        }
      }
    }
  }

  /// - Parameters:
  ///   - sink: used by the thread alone until `close` returns.
  ///   - end: called on the thread after the last block.
  init(
    _ sink: any ByteSink, end: @escaping () throws(Failure) -> Void
  ) throws(Failure) {
    let work = Work(sink, end)
    self.work = work
    try system("a thread cannot be started") { () throws(Errno) in
      try ProcessCall.startThread { work.run() }
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let room = try nextRoom()
      let part = min(bytes.count - done, room.count - count)
      UnsafeMutableRawBufferPointer(rebasing: room[count...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<(done + part)]))
      done += part
      count += part
      if count == room.count { publish() }
    }
  }

  private func nextRoom() throws(Failure) -> UnsafeMutableRawBufferPointer {
    if let room { return room }
    guard let next = work.ring.room() else {
      try work.wait().get()
      throw .cancelled
    }
    room = next
    return next
  }

  private func publish() {
    if room != nil && count > 0 { work.ring.publish(count) }
    room = nil
    count = 0
  }

  /// Everything has been written on when it returns.
  func close() throws(Failure) {
    publish()
    work.ring.end(nil)
    try work.wait().get()
  }

  /// Ends the thread; what it has not written is lost.
  func abandon() {
    work.ring.end(.cancelled)
    _ = work.wait()
  }
}
