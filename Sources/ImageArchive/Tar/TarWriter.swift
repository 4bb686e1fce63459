internal import CArchive
internal import SystemCalls
internal import UnionCore

/// What a tar says of one entry.
struct TarHeader {
  enum Link {
    case hard([UInt8])
    case symbolic([UInt8])
  }

  /// Without a slash at its end.
  var path: [UInt8]
  var kind: FileKind
  var permissions: UInt32
  var owner: UInt32 = 0
  var group: UInt32 = 0
  var modified = Timestamp(seconds: 0, nanoseconds: 0)
  var size: Int64 = 0
  var link: Link?
  var device = DeviceNumber(major: 0, minor: 0)
  /// Names are C strings.
  var attributes: [(name: [CChar], value: [UInt8])] = []
  /// Where a file's data lie, if it has holes; in order.
  var data: [Range<Int64>]?
}

/// Writes a tar in the pax format, by libarchive: the same entries give the same bytes.
final class TarWriter {
  private let stream: ArchiveStream
  private let handle: OpaquePointer

  init(_ sink: any ByteSink) throws(Failure) {
    stream = try ArchiveStream(sink, name: "a tar", blockSize: 1 << 18) { archive in
      archive_write_set_format_pax(archive)
      archive_write_set_format_option(archive, "pax", "xattrheader", "SCHILY")
    }
    guard let handle = archive_entry_new() else {
      throw Failure(.failed, "a tar cannot be begun: out of memory")
    }
    self.handle = handle
  }

  deinit { archive_entry_free(handle) }

  func begin(_ header: TarHeader) throws(Failure) {
    archive_entry_clear(handle)
    try set(header)
    let old = carchive_enter_utf8()
    let result = archive_write_header(stream.archive, handle)
    carchive_leave_locale(old)
    // A name that is no UTF-8 is a warning; it is written as it is, and marked so.
    guard result >= ARCHIVE_WARN, !stream.hasFailed else {
      throw stream.failure("\(shown(header.path)) cannot be put into a tar")
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { try stream.write(bytes) }

  func endEntry() throws(Failure) {
    guard archive_write_finish_entry(stream.archive) == ARCHIVE_OK else {
      throw stream.failure("a tar cannot be written")
    }
  }

  /// Writes the mark of the end.
  func close() throws(Failure) { try stream.close() }

  // MARK: The header

  private func set(_ header: TarHeader) throws(Failure) {
    try setName(header.path) { archive_entry_copy_pathname(handle, $0) }
    archive_entry_set_filetype(handle, header.kind.modeBits)
    archive_entry_set_perm(handle, header.permissions)
    archive_entry_set_uid(handle, Int64(header.owner))
    archive_entry_set_gid(handle, Int64(header.group))
    let (seconds, nanoseconds) = written(header.modified)
    archive_entry_set_mtime(handle, seconds, nanoseconds)
    archive_entry_set_size(handle, header.size)
    if header.kind == .characterDevice || header.kind == .blockDevice {
      archive_entry_set_rdevmajor(handle, UInt(header.device.major))
      archive_entry_set_rdevminor(handle, UInt(header.device.minor))
    }
    switch header.link {
    case .hard(let target): try setName(target) { archive_entry_copy_hardlink(handle, $0) }
    case .symbolic(let target): try setName(target) { archive_entry_copy_symlink(handle, $0) }
    case nil: break
    }
    for (name, value) in header.attributes {
      archive_entry_xattr_add_entry(handle, name, value, value.count)
    }
    for range in header.data ?? [] {
      archive_entry_sparse_add_entry(handle, range.lowerBound, Int64(range.count))
    }
    if header.data?.isEmpty == true { archive_entry_sparse_add_entry(handle, header.size, 0) }
  }

  private func setName(
    _ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Void
  ) throws(Failure) {
    if Self.isDisguised(name) {
      throw Failure(
        .failed, "\(shown(name)) cannot be put into a tar: the name is CESU-8, not UTF-8",
        advice: "rename it")
    }
    (name.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer {
      body($0.baseAddress.unsafelyUnwrapped)
    }
  }

  /// Half of a surrogate pair in three bytes and the other half in three more, which libarchive takes for
  /// the character that they mean and writes as UTF-8.
  static func isDisguised(_ name: [UInt8]) -> Bool {
    guard name.count >= 6 else { return false }
    return (0...(name.count - 6)).contains { at in
      name[at] == 0xED && name[at + 1] & 0xF0 == 0xA0 && name[at + 3] == 0xED
        && name[at + 4] & 0xF0 == 0xB0
    }
  }

  /// A time before 1970 as libarchive writes it: the fraction has the sign of the seconds.
  private func written(_ time: Timestamp) -> (Int, Int) {
    let (seconds, nanoseconds) = (Int(time.seconds), Int(time.nanoseconds))
    guard seconds < 0, nanoseconds > 0 else { return (seconds, nanoseconds) }
    // Less than a second before 1970 cannot be written.
    return seconds == -1 ? (-1, 0) : (seconds + 1, 1_000_000_000 - nanoseconds)
  }
}
