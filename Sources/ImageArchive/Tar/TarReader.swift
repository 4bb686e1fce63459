internal import CArchive
internal import SystemCalls
internal import UnionCore

/// A tar's entries, one after the other, by libarchive. Names are bytes: in the locale that is entered for
/// each header none is converted.
final class TarReader {
  /// Sees all bytes as they are read.
  var recorder: ArchiveRecorder?

  private let archive: OpaquePointer
  private let feed: Feed
  private let name: String
  private(set) var entry = TarEntry(handle: nil)

  /// Headers of one entry, a sparse map among them, may be this long: libarchive keeps them in memory.
  fileprivate static let headerLimit = 8 << 20

  private final class Feed {
    let source: any BlockFeed
    weak var reader: TarReader?
    var failure: Failure?
    /// What may still be read for a header; nil while data is read.
    var headerBudget: Int?
    init(_ source: any BlockFeed) { self.source = source }

    func next() throws(Failure) -> UnsafeRawBufferPointer {
      let block = try source.next()
      if let budget = headerBudget {
        if budget < 0 { throw .malformed("an entry's header is longer than \(headerLimit) bytes") }
        headerBudget = budget - block.count
      }
      try reader?.recorder?.read(block)
      return block
    }
  }

  /// - Parameters:
  ///   - source: uncompressed bytes.
  ///   - name: what messages call it.
  init(_ source: any BlockFeed, name: String) throws(Failure) {
    guard let archive = archive_read_new() else { throw Failure(.failed, "\(name): out of memory") }
    self.archive = archive
    self.name = name
    feed = Feed(source)
    archive_read_support_format_tar(archive)
    archive_read_support_format_empty(archive)
    archive_read_set_format_option(archive, "tar", "hdrcharset", "BINARY")
  }

  deinit { archive_read_free(archive) }

  /// Before anything else, once the recorder is there.
  func open() throws(Failure) {
    feed.reader = self
    let opened = archive_read_open2(
      archive, Unmanaged.passUnretained(feed).toOpaque(), nil,
      { _, context, block in
        guard let context else { return -1 }
        let feed = Unmanaged<Feed>.fromOpaque(context).takeUnretainedValue()
        do throws(Failure) {
          let next = try feed.next()
          block?.pointee = next.baseAddress
          return next.count
        } catch {
          feed.failure = error
          return -1
        }
      },
      { _, context, count in
        // Going over data is for feeds that can; the others' are read.
        guard let context else { return 0 }
        let feed = Unmanaged<Feed>.fromOpaque(context).takeUnretainedValue()
        return (feed.source as? SeekingFeed)?.skip(count) ?? 0
      }, nil)
    guard opened == ARCHIVE_OK else { throw failure("it is no tar archive") }
  }

  /// Goes on to the next entry; false at the archive's end.
  func next() throws(Failure) -> Bool {
    if entry.handle != nil { try skipData() }
    let last = entry.handle == nil ? "" : " after \(shown(entry.path))"
    feed.headerBudget = Self.headerLimit
    defer { feed.headerBudget = nil }
    var handle: OpaquePointer?
    recorder?.beginHeader()
    let old = carchive_enter_bytes()
    let result = archive_read_next_header(archive, &handle)
    carchive_leave_locale(old)
    switch result {
    case ARCHIVE_OK: break
    case ARCHIVE_EOF:
      if let failure = feed.failure { throw failure }
      return false
    case ARCHIVE_WARN:
      // Names are no text here, and that one is told of first.
      guard archive_errno(archive) == carchive_errno_name else {
        throw failure("a header is damaged\(last)")
      }
    default: throw failure("a header is damaged\(last)")
    }
    entry = TarEntry(handle: handle)
    try recorder?.header(to: position)
    return true
  }

  /// The next piece of the entry's data and where in the file it lies; nil at its end.
  func data() throws(Failure) -> (bytes: UnsafeRawBufferPointer, offset: Int64)? {
    var start: UnsafeRawPointer?
    var count = 0
    var offset: Int64 = 0
    switch archive_read_data_block(archive, &start, &count, &offset) {
    case ARCHIVE_OK: return (UnsafeRawBufferPointer(start: start, count: count), offset)
    case ARCHIVE_EOF: return nil
    default: throw failure("\(shown(entry.path)) is damaged or cut off")
    }
  }

  private func skipData() throws(Failure) {
    let result = archive_read_data_skip(archive)
    guard result == ARCHIVE_OK || result == ARCHIVE_EOF else {
      throw failure("\(shown(entry.path)) is damaged or cut off")
    }
  }

  /// Where the last header began, in uncompressed bytes; at the end, where the mark of the end should be.
  var headerPosition: Int64 { archive_read_header_position(archive) }
  /// How far the archive is used up.
  var position: Int64 { archive_filter_bytes(archive, 0) }

  private func failure(_ what: String) -> Failure {
    if let failure = feed.failure {
      guard failure.code == .malformedInput, entry.handle != nil else { return failure }
      return Failure(
        failure.code, "\(failure.message) (at \(shown(entry.path)))", advice: failure.advice)
    }
    let detail = archive_error_string(archive).map { ": \(String(cString: $0))" } ?? ""
    return .malformed("\(name): \(what)\(detail)")
  }
}
