internal import CArchive
internal import UnionCore

/// Makes uncompressed bytes. Used by one thread at a time.
protocol Decoder: AnyObject {
  /// Stores the next bytes; 0 at the end.
  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int
}

/// The decoder for what a source begins with.
func makeDecoder(of source: PeekedSource, name: String) throws(Failure) -> (
  any Decoder, Compression
) {
  let compression = Compression(prefix: source.prefix)
  switch compression {
  case .none: return (PlainDecoder(source), compression)
  case .gzip: return (try GzipDecoder(source, name: name), compression)
  case .xz, .bzip2, .zstd:
    return (try FilterDecoder(source, compression, name: name), compression)
  }
}

final class PlainDecoder: Decoder {
  private let source: any ByteSource
  init(_ source: any ByteSource) { self.source = source }
  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    try source.read(into: room)
  }
}

/// gzip (RFC 1952) by zlib itself: libarchive's filter does not look at a member's checksum.
final class GzipDecoder: Decoder {
  private let source: any ByteSource
  private let name: String
  private let state: UnsafeMutablePointer<z_stream>
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
  private var isBetweenMembers = false

  init(_ source: any ByteSource, name: String) throws(Failure) {
    self.source = source
    self.name = name
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    // 15 bits of window, 16 for gzip's header.
    let size = CInt(MemoryLayout<z_stream>.size)
    guard inflateInit2_(state, 15 + 16, ZLIB_VERSION, size) == Z_OK else {
      throw Failure(.failed, "\(name): zlib cannot begin")
    }
  }

  deinit {
    inflateEnd(state)
    state.deallocate()
    input.deallocate()
  }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let room = UnsafeMutableRawBufferPointer(rebasing: room.prefix(1 << 30))
    state.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
    state.pointee.avail_out = UInt32(room.count)
    while state.pointee.avail_out > 0 {
      let hasInput = try refill()
      if isBetweenMembers {
        if !hasInput { break }
        if try skipPadding() { break }
        guard state.pointee.next_in?.pointee == 0x1F else { throw trailing() }
        guard inflateReset(state) == Z_OK else { throw damaged() }
        isBetweenMembers = false
      } else if !hasInput {
        throw .malformed("\(name): the gzip data is cut off")
      }
      switch inflate(state, Z_NO_FLUSH) {
      case Z_OK, Z_BUF_ERROR: continue
      case Z_STREAM_END: isBetweenMembers = true
      default: throw damaged()
      }
    }
    return room.count - Int(state.pointee.avail_out)
  }

  /// Whether there is any input.
  private func refill() throws(Failure) -> Bool {
    if state.pointee.avail_in > 0 { return true }
    let count = try source.read(into: input)
    state.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
    state.pointee.avail_in = UInt32(count)
    return count > 0
  }

  /// After a member comes another, or zeros to the end: true.
  private func skipPadding() throws(Failure) -> Bool {
    guard let next = state.pointee.next_in, next.pointee == 0 else { return false }
    while try refill() {
      let rest = UnsafeBufferPointer(
        start: state.pointee.next_in, count: Int(state.pointee.avail_in))
      guard rest.allSatisfy({ $0 == 0 }) else { throw trailing() }
      state.pointee.avail_in = 0
    }
    return true
  }

  private func trailing() -> Failure {
    .malformed("\(name): something else follows the gzip data")
  }

  private func damaged() -> Failure {
    let detail = state.pointee.msg.map { " (\(String(cString: $0)))" } ?? ""
    return .malformed("\(name): the gzip data is damaged\(detail)")
  }
}

/// xz, bzip2 and zstd by libarchive's filters; each looks at its own checksums.
final class FilterDecoder: Decoder {
  private let name: String
  private let archive: OpaquePointer
  private let feed: Feed
  private var block = UnsafeRawBufferPointer(start: nil, count: 0)
  private var isAtEnd = false

  private final class Feed {
    let source: any ByteSource
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    var failure: Failure?
    init(_ source: any ByteSource) { self.source = source }
    deinit { room.deallocate() }
  }

  init(_ source: any ByteSource, _ compression: Compression, name: String) throws(Failure) {
    guard let archive = archive_read_new() else { throw Failure(.failed, "\(name): out of memory") }
    self.name = name
    self.archive = archive
    feed = Feed(source)
    switch compression {
    case .xz: archive_read_support_filter_xz(archive)
    case .bzip2: archive_read_support_filter_bzip2(archive)
    default: archive_read_support_filter_zstd(archive)
    }
    archive_read_support_format_raw(archive)
    archive_read_support_format_empty(archive)
    try begin()
  }

  deinit { archive_read_free(archive) }

  private func begin() throws(Failure) {
    let opened = archive_read_open(
      archive, Unmanaged.passUnretained(feed).toOpaque(), nil,
      { _, context, block in
        guard let context else { return -1 }
        let feed = Unmanaged<Feed>.fromOpaque(context).takeUnretainedValue()
        do throws(Failure) {
          let count = try feed.source.read(into: feed.room)
          block?.pointee = UnsafeRawPointer(feed.room.baseAddress)
          return count
        } catch {
          feed.failure = error
          return -1
        }
      }, nil)
    guard opened == ARCHIVE_OK else { throw failure() }
    guard archive_filter_count(archive) <= 2 else {
      throw .malformed("\(name) is compressed twice")
    }
    var entry: OpaquePointer?
    switch archive_read_next_header(archive, &entry) {
    case ARCHIVE_OK, ARCHIVE_WARN: break
    case ARCHIVE_EOF: isAtEnd = true
    default: throw failure()
    }
  }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    var count = 0
    while count < room.count {
      if block.isEmpty {
        if isAtEnd { break }
        try nextBlock()
        continue
      }
      let part = min(block.count, room.count - count)
      UnsafeMutableRawBufferPointer(rebasing: room[count...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: block[..<part]))
      block = UnsafeRawBufferPointer(rebasing: block[part...])
      count += part
    }
    return count
  }

  private func nextBlock() throws(Failure) {
    var start: UnsafeRawPointer?
    var count = 0
    var offset: Int64 = 0
    switch archive_read_data_block(archive, &start, &count, &offset) {
    case ARCHIVE_OK, ARCHIVE_WARN: block = UnsafeRawBufferPointer(start: start, count: count)
    case ARCHIVE_EOF: isAtEnd = true
    default: throw failure()
    }
  }

  private func failure() -> Failure {
    if let failure = feed.failure { return failure }
    let detail = archive_error_string(archive).map { String(cString: $0) } ?? "unknown error"
    return .malformed("\(name): the compressed data is damaged or cut off (\(detail))")
  }
}
