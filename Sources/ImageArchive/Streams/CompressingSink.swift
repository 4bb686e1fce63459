internal import CArchive
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Compresses what goes through it by libarchive's filters: gzip or zstd. The same bytes give the same.
final class CompressingSink: ByteSink {
  private let archive: OpaquePointer
  private let output: Output

  private final class Output {
    /// nil where nobody wants what is still to come.
    var sink: (any ByteSink)?
    var failure: Failure?
    init(_ sink: any ByteSink) { self.sink = sink }
  }

  /// - Parameter level: the compressor's own, 1 being the fastest; nil for its default.
  init(_ sink: any ByteSink, _ compression: Compression, level: Int? = nil) throws(Failure) {
    guard let archive = archive_write_new() else {
      throw Failure(.failed, "compression cannot begin: out of memory")
    }
    self.archive = archive
    output = Output(sink)
    archive_write_set_format_raw(archive)
    switch compression {
    case .gzip:
      archive_write_add_filter_gzip(archive)
      archive_write_set_filter_option(archive, "gzip", "timestamp", nil)
    case .zstd: archive_write_add_filter_zstd(archive)
    default: break
    }
    if let level {
      archive_write_set_filter_option(archive, nil, "compression-level", "\(level)")
    }
    archive_write_set_bytes_per_block(archive, 1 << 16)
    archive_write_set_bytes_in_last_block(archive, 1)
    try begin()
  }

  deinit {
    // Closing frees more than freeing does; what it writes is for nobody.
    output.sink = nil
    archive_write_close(archive)
    archive_write_free(archive)
  }

  private func begin() throws(Failure) {
    let opened = archive_write_open(
      archive, Unmanaged.passUnretained(output).toOpaque(), nil,
      { _, context, bytes, count in
        guard let context else { return -1 }
        let output = Unmanaged<Output>.fromOpaque(context).takeUnretainedValue()
        do throws(Failure) {
          try output.sink?.write(UnsafeRawBufferPointer(start: bytes, count: count))
          return count
        } catch {
          output.failure = error
          return -1
        }
      }, nil)
    guard opened == ARCHIVE_OK, let entry = archive_entry_new() else { throw failure() }
    defer { archive_entry_free(entry) }
    archive_entry_set_pathname(entry, "data")
    archive_entry_set_filetype(entry, FileKind.regular.modeBits)
    guard archive_write_header(archive, entry) == ARCHIVE_OK else { throw failure() }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = archive_write_data(archive, rest.baseAddress, rest.count)
      guard count > 0 else { throw failure() }
      done += count
    }
  }

  /// Writes what is left.
  func close() throws(Failure) {
    guard archive_write_close(archive) == ARCHIVE_OK else { throw failure() }
  }

  private func failure() -> Failure {
    if let failure = output.failure { return failure }
    let detail = archive_error_string(archive).map { String(cString: $0) } ?? "unknown error"
    return Failure(.failed, "compression failed: \(detail)")
  }
}

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
