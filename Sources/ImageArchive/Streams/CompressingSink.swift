internal import CArchive
internal import SystemCalls
internal import UnionCore

/// Compresses what goes through it by libarchive's filters: gzip or zstd. The same bytes give the same.
final class CompressingSink: ByteSink {
  private let stream: ArchiveStream

  /// - Parameter level: the compressor's own, 1 being the fastest; nil for its default.
  init(_ sink: any ByteSink, _ compression: Compression, level: Int? = nil) throws(Failure) {
    stream = try ArchiveStream(sink, name: "compressed data", blockSize: 1 << 16) { archive in
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
    }
    try begin()
  }

  /// The raw format holds one entry.
  private func begin() throws(Failure) {
    guard let entry = archive_entry_new() else {
      throw Failure(.failed, "compressed data cannot be begun: out of memory")
    }
    defer { archive_entry_free(entry) }
    archive_entry_set_pathname(entry, "data")
    archive_entry_set_filetype(entry, FileKind.regular.modeBits)
    guard archive_write_header(stream.archive, entry) == ARCHIVE_OK else {
      throw stream.failure("compressed data cannot be begun")
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { try stream.write(bytes) }

  /// Writes what is left.
  func close() throws(Failure) { try stream.close() }
}
