internal import CArchive
internal import UnionCore

/// An archive that libarchive writes to a sink.
final class ArchiveStream {
  /// For libarchive's calls.
  let archive: OpaquePointer
  private let output: Output
  /// What messages call what is made.
  private let name: String

  private final class Output {
    /// nil where nobody wants what is still to come.
    var sink: (any ByteSink)?
    var failure: Failure?
    init(_ sink: any ByteSink) { self.sink = sink }
  }

  /// - Parameters:
  ///   - name: what messages call it, "a tar".
  ///   - blockSize: bytes that the sink gets at once, but for the last ones.
  ///   - format: chooses the format and filters.
  init(
    _ sink: any ByteSink, name: String, blockSize: Int, format: (OpaquePointer) -> Void
  ) throws(Failure) {
    guard let archive = archive_write_new() else {
      throw Failure(.failed, "\(name) cannot be begun: out of memory")
    }
    self.archive = archive
    self.name = name
    output = Output(sink)
    format(archive)
    archive_write_set_bytes_per_block(archive, CInt(blockSize))
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
    guard opened == ARCHIVE_OK else { throw failure("\(name) cannot be begun") }
  }

  deinit {
    // Closing frees more than freeing does; what it writes of what is not whole is for nobody.
    output.sink = nil
    archive_write_close(archive)
    archive_write_free(archive)
  }

  /// Whether the sink has refused something.
  var hasFailed: Bool { output.failure != nil }

  /// Data of the entry that was begun.
  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = archive_write_data(archive, rest.baseAddress, rest.count)
      guard count > 0 else { throw failure("\(name) cannot be written") }
      done += count
    }
  }

  /// Writes what is left, and the end.
  func close() throws(Failure) {
    guard archive_write_close(archive) == ARCHIVE_OK else {
      throw failure("\(name) cannot be written")
    }
  }

  /// The sink's own failure, else what libarchive says.
  func failure(_ what: String) -> Failure {
    if let failure = output.failure { return failure }
    let detail = archive_error_string(archive).map { ": \(String(cString: $0))" } ?? ""
    return Failure(.failed, what + detail)
  }
}
