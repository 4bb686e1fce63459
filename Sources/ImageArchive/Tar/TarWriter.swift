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
  private let archive: OpaquePointer
  private let handle: OpaquePointer
  private let output: Output

  private final class Output {
    /// nil where nobody wants what is still to come.
    var sink: (any ByteSink)?
    var failure: Failure?
    init(_ sink: any ByteSink) { self.sink = sink }
  }

  init(_ sink: any ByteSink) throws(Failure) {
    guard let archive = archive_write_new(), let handle = archive_entry_new() else {
      throw Failure(.failed, "a tar cannot be begun: out of memory")
    }
    self.archive = archive
    self.handle = handle
    output = Output(sink)
    archive_write_set_format_pax(archive)
    archive_write_set_format_option(archive, "pax", "xattrheader", "SCHILY")
    archive_write_set_bytes_per_block(archive, 1 << 18)
    archive_write_set_bytes_in_last_block(archive, 1)
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
    guard opened == ARCHIVE_OK else { throw failure("a tar cannot be begun") }
  }

  deinit {
    // Closing frees more than freeing does; what it writes of a tar that is not whole is for nobody.
    output.sink = nil
    archive_write_close(archive)
    archive_write_free(archive)
    archive_entry_free(handle)
  }

  func begin(_ header: TarHeader) throws(Failure) {
    archive_entry_clear(handle)
    try set(header)
    let old = carchive_enter_utf8()
    let result = archive_write_header(archive, handle)
    carchive_leave_locale(old)
    // A name that is no UTF-8 is a warning; it is written as it is, and marked so.
    guard result >= ARCHIVE_WARN, output.failure == nil else {
      throw failure("\(shown(header.path)) cannot be put into a tar")
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = archive_write_data(archive, rest.baseAddress, rest.count)
      guard count > 0 else { throw failure("the tar cannot be written") }
      done += count
    }
  }

  func endEntry() throws(Failure) {
    guard archive_write_finish_entry(archive) == ARCHIVE_OK else {
      throw failure("the tar cannot be written")
    }
  }

  /// Writes the mark of the end.
  func close() throws(Failure) {
    guard archive_write_close(archive) == ARCHIVE_OK else {
      throw failure("the tar cannot be written")
    }
  }

  private func failure(_ what: String) -> Failure {
    if let failure = output.failure { return failure }
    let detail = archive_error_string(archive).map { ": \(String(cString: $0))" } ?? ""
    return Failure(.failed, what + detail)
  }

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
