internal import CArchive
internal import SystemCalls
internal import UnionCore

/// The entry of a tar that a reader stands at: valid until the next.
struct TarEntry {
  let handle: OpaquePointer?

  /// As it is written; empty where it has none.
  var path: UnsafePointer<CChar> { archive_entry_pathname(handle) ?? ReservedName.itself }
  var hardLink: UnsafePointer<CChar>? { archive_entry_hardlink(handle) }
  var symbolicLink: UnsafePointer<CChar> { archive_entry_symlink(handle) ?? ReservedName.itself }

  /// nil for a hard link, and for what no file is made of.
  var kind: FileKind? {
    let kind = FileKind(mode: UInt32(archive_entry_filetype(handle)))
    return kind == .unknown ? nil : kind
  }
  var size: Int64 { archive_entry_size(handle) }
  /// The bits of chmod(2), as the header has them.
  var permissions: UInt32 { UInt32(archive_entry_perm(handle)) & 0o7777 }
  /// nil for what is no id of Linux.
  var owner: UInt32? { id(archive_entry_uid(handle)) }
  var group: UInt32? { id(archive_entry_gid(handle)) }

  private func id(_ number: Int64) -> UInt32? {
    // The last means "as it is" to chown(2).
    UInt32(exactly: number).flatMap { $0 == .max ? nil : $0 }
  }

  var modified: Timestamp {
    Self.read(archive_entry_mtime(handle), archive_entry_mtime_nsec(handle))
  }
  /// Where it is given.
  var accessed: Timestamp? {
    guard archive_entry_atime_is_set(handle) != 0 else { return nil }
    return Self.read(archive_entry_atime(handle), archive_entry_atime_nsec(handle))
  }

  /// libarchive takes the fraction of a time before 1970 for one that is added to the seconds.
  private static func read(_ seconds: Int, _ nanoseconds: Int) -> Timestamp {
    let nanoseconds = UInt32(clamping: nanoseconds)
    guard seconds < 0, nanoseconds > 0, (nanoseconds < 1_000_000_000), seconds > Int.min else {
      return Timestamp(seconds: Int64(seconds), nanoseconds: min(nanoseconds, 999_999_999))
    }
    return Timestamp(seconds: Int64(seconds - 1), nanoseconds: 1_000_000_000 - nanoseconds)
  }

  var device: DeviceNumber {
    DeviceNumber(
      major: UInt64(archive_entry_rdevmajor(handle)), minor: UInt64(archive_entry_rdevminor(handle))
    )
  }

  /// Whether its data do not stand in the archive as they stand in the file.
  var isSparse: Bool { archive_entry_sparse_count(handle) > 0 }

  /// Bytes of data that a sparse file's map promises.
  var sparseBytes: Int64? {
    archive_entry_sparse_reset(handle)
    var total: Int64 = 0
    var offset: Int64 = 0
    var length: Int64 = 0
    while archive_entry_sparse_next(handle, &offset, &length) == ARCHIVE_OK {
      let (sum, overflow) = total.addingReportingOverflow(length)
      if overflow { return nil }
      total = sum
    }
    return total
  }

  /// Calls `body` with each extended attribute's name and value.
  func forEachAttribute<Failure: Error>(
    _ body: (UnsafePointer<CChar>, UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    archive_entry_xattr_reset(handle)
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while archive_entry_xattr_next(handle, &name, &value, &size) == ARCHIVE_OK {
      guard let name else { continue }
      try body(name, UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : size))
    }
  }
}
