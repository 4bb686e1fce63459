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
  /// The entry's name, for messages.
  private var place = ""

  /// Headers of one entry, a sparse map among them, may be this long: libarchive keeps them in memory.
  fileprivate static let headerLimit = 8 << 20

  private final class Feed {
    let source: any BlockFeed
    weak var reader: TarReader?
    var failure: Failure?
    private let primer = TarReader.makePrimer()
    private var isPrimed = false
    /// What may still be read for a header; nil while data is read.
    var headerBudget: Int?
    init(_ source: any BlockFeed) { self.source = source }
    deinit { primer.deallocate() }

    func next() throws(Failure) -> UnsafeRawBufferPointer {
      if !isPrimed {
        isPrimed = true
        return UnsafeRawBufferPointer(primer)
      }
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
    var handle: OpaquePointer?
    guard opened == ARCHIVE_OK, archive_read_next_header(archive, &handle) == ARCHIVE_OK else {
      throw failure("it cannot be read")
    }
  }

  /// A hard link that is read before the archive. Until it has seen a link libarchive takes the name of
  /// one that only an extended header has (as Go writes what is not ASCII) for none.
  private static func makePrimer() -> UnsafeMutableRawBufferPointer {
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
    block.initializeMemory(as: UInt8.self, repeating: 0)
    for (offset, text) in [
      (0, "x"), (100, "0000644"), (108, "0000000"), (116, "0000000"), (124, "00000000000"),
      (136, "00000000000"), (148, "        "), (156, "1"), (157, "x"), (257, "ustar\u{0}00"),
    ] {
      UnsafeMutableRawBufferPointer(rebasing: block[offset...]).copyBytes(from: text.utf8)
    }
    let sum = block.reduce(0) { $0 + Int($1) }
    let digits = String(sum, radix: 8)
    let text = String(repeating: "0", count: 6 - digits.utf8.count) + digits + "\u{0}"
    UnsafeMutableRawBufferPointer(rebasing: block[148...]).copyBytes(from: text.utf8)
    return block
  }
  private static let primerCount: Int64 = 512

  /// Goes on to the next entry; false at the archive's end.
  func next() throws(Failure) -> Bool {
    if entry.handle != nil { try skipData() }
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
      if feed.failure != nil { throw failure("it cannot be read") }
      return false
    case ARCHIVE_WARN:
      // Names are no text here, and that one is told of first.
      guard archive_errno(archive) == carchive_errno_name else {
        throw damagedHeader()
      }
    default: throw damagedHeader()
    }
    entry = TarEntry(handle: handle)
    place = shown(entry.path)
    try recorder?.header(to: position)
    return true
  }

  private func damagedHeader() -> Failure {
    failure(place.isEmpty ? "it is no tar archive" : "a header is damaged after \(place)")
  }

  /// The next piece of the entry's data and where in the file it lies; nil at its end.
  func data() throws(Failure) -> (bytes: UnsafeRawBufferPointer, offset: Int64)? {
    var start: UnsafeRawPointer?
    var count = 0
    var offset: Int64 = 0
    switch archive_read_data_block(archive, &start, &count, &offset) {
    case ARCHIVE_OK: return (UnsafeRawBufferPointer(start: start, count: count), offset)
    case ARCHIVE_EOF: return nil
    default: throw failure("\(place) is damaged or cut off")
    }
  }

  private func skipData() throws(Failure) {
    let result = archive_read_data_skip(archive)
    guard result == ARCHIVE_OK || result == ARCHIVE_EOF else {
      throw failure("\(place) is damaged or cut off")
    }
  }

  /// Where the last header began, in uncompressed bytes; at the end, where the mark of the end should be.
  var headerPosition: Int64 { archive_read_header_position(archive) - Self.primerCount }
  /// How far the archive is used up.
  var position: Int64 { archive_filter_bytes(archive, 0) - Self.primerCount }

  private func failure(_ what: String) -> Failure {
    if let failure = feed.failure {
      guard failure.code == .malformedInput, !place.isEmpty else { return failure }
      return Failure(failure.code, "\(failure.message) (at \(place))", advice: failure.advice)
    }
    let detail = archive_error_string(archive).map { ": \(String(cString: $0))" } ?? ""
    return .malformed("\(name): \(what)\(detail)")
  }
}
