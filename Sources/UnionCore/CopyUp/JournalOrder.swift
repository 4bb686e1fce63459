internal import SystemCalls
internal import SystemPackage

/// File systems on which a file's content is safe before its name is, once its data has been written to
/// the device: the journal takes changes in the order in which they are made, and each commit flushes the
/// device before it counts.
///
/// The extents of what was written are in the journal's running transaction before the write is reported
/// as ended, and a link that is made then comes in the same transaction or a later one. So after a crash
/// there is the name with the whole content, or no name. fsync(2) says the same by a commit of its own for
/// each file, which takes several times as long as a small file's data.
///
/// - ext4: `ext4_end_bio` leaves the end of the pages' writeback to the conversion of their extents.
///   With a journal inside the file system only: without one nothing is in order, and an external one's
///   commit does not flush the file's device; and not with `journal_async_commit`.
/// - XFS: `xfs_end_ioend` the same; its log is always written in order.
/// - Not btrfs: its extents come after the end of the pages' writeback.
public enum JournalOrder {
  private static let ext4: Int64 = 0xEF53
  private static let xfs: Int64 = 0x5846_5342

  /// Whether the file system of a descriptor is such a one. False where that cannot be told.
  public static func isKept(by descriptor: CInt) -> Bool {
    // Before, sync_file_range(2) left out what another writer had begun.
    guard FileSystemCall.kernelIs(5, 2) else { return false }
    return switch try? FileSystemCall.fileSystemType(of: descriptor) {
    case xfs: true
    case ext4: hasOwnJournal(descriptor)
    default: false
    }
  }

  /// The kernel names a journal inside a file system after its device and inode 8, and tells how the file
  /// system is mounted. With `journal_async_commit` a commit does not wait for what comes before it.
  private static func hasOwnJournal(_ descriptor: CInt) -> Bool {
    guard let status = try? FileSystemCall.status(of: descriptor) else { return false }
    let device = DeviceNumber(combined: status.device)
    let path = FilePath("/sys/dev/block/\(device.major):\(device.minor)")
    guard let name = ProcessTable.link(path)?.lastComponent?.string,
      (try? FileSystemCall.status(following: "/proc/fs/jbd2/\(name)-8")) != nil,
      let options = try? text(of: "/proc/fs/ext4/\(name)/options")
    else { return false }
    return !options.split(separator: "\n").contains("journal_async_commit")
  }

  /// A file of /proc.
  private static func text(of path: String) throws(Errno) -> String {
    let file = try FileSystemCall.open(path: path, OpenFlag.readOnly)
    defer { FileSystemCall.close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = try bytes.withMutableBytes { room throws(Errno) in
      try FileSystemCall.read(file, into: room, at: 0)
    }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
