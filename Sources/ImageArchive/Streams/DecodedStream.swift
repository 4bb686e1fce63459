internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Blocks of bytes, one after the other.
protocol BlockFeed: AnyObject {
  /// The next block, which stays until the next call; empty at the end.
  func next() throws(Failure) -> UnsafeRawBufferPointer
}

/// What a stream was when it has been read to its end.
struct DecodedSummary: Sendable {
  var compression: Compression
  /// Of all uncompressed bytes.
  var digest: Digest
  var count: Int64
  /// As it was read.
  var compressedCount: Int64
}

/// A source's uncompressed bytes, made and hashed on a thread of its own while the caller works on those
/// before. Memory is bounded; `close` must be called, whatever happens.
final class DecodedStream: BlockFeed {
  private let work: Work
  private let watch: Watch

  /// What the thread has to itself until the ring has ended.
  private final class Work: @unchecked Sendable {
    let ring = BlockRing()
    let source: CountedSource
    let name: String
    let limits: ArchiveLimits
    let isHashed: Bool
    var summary: DecodedSummary?

    init(
      _ source: any ByteSource, _ name: String, _ limits: ArchiveLimits, isHashed: Bool
    ) {
      self.source = CountedSource(source)
      self.name = name
      self.limits = limits
      self.isHashed = isHashed
    }

    func run() {
      do throws(Failure) {
        try decode()
        ring.end(nil)
      } catch {
        ring.end(error)
      }
    }

    private func decode() throws(Failure) {
      let peeked = try PeekedSource(source, count: Compression.prefixLength)
      let (decoder, compression) = try makeDecoder(of: peeked, name: name)
      var hasher = Digest.Hasher()
      var total: Int64 = 0
      while let room = ring.room() {
        let count = try decoder.read(into: room)
        if count == 0 { break }
        if isHashed { hasher.update(UnsafeRawBufferPointer(rebasing: room[..<count])) }
        total += Int64(count)
        try limits.check(compressed: source.count, uncompressed: total, name: name)
        ring.publish(count)
      }
      summary = DecodedSummary(
        compression: compression, digest: hasher.finish(), count: total,
        compressedCount: source.count)
    }
  }

  /// - Parameters:
  ///   - name: what messages call the source.
  ///   - isHashed: whether the digest is wanted.
  init(
    _ source: any ByteSource, name: String, limits: ArchiveLimits, watch: Watch,
    isHashed: Bool = true
  ) throws(Failure) {
    let work = Work(source, name, limits, isHashed: isHashed)
    self.work = work
    self.watch = watch
    try system("a thread cannot be started") { () throws(Errno) in
      try ProcessCall.startThread { work.run() }
    }
  }

  func next() throws(Failure) -> UnsafeRawBufferPointer {
    try watch.pause()
    return try work.ring.next()
  }

  /// Takes what is left, and tells what the stream was.
  func finish() throws(Failure) -> DecodedSummary {
    while try !next().isEmpty {}
    guard let summary = work.summary else { throw .cancelled }
    return summary
  }

  /// Ends the thread; nothing of the source is used afterwards.
  func close() {
    work.ring.abandon()
    // A source that others go on reading from is not interrupted.
    if work.ring.isOver { return }
    work.source.interrupt()
    work.ring.waitForEnd()
  }
}

/// Counts what is read of a source.
final class CountedSource: ByteSource, @unchecked Sendable {
  private let source: any ByteSource
  private(set) var count: Int64 = 0
  init(_ source: any ByteSource) { self.source = source }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let count = try source.read(into: room)
    self.count += Int64(count)
    return count
  }

  func interrupt() { source.interrupt() }
}
