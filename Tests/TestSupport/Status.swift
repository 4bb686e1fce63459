internal import CTestCalls
internal import Glibc

/// A moment to the nanosecond.
public struct Moment: Hashable, Sendable, Comparable, CustomStringConvertible {
  public var seconds: Int64
  public var nanoseconds: UInt32

  public init(_ seconds: Int64, _ nanoseconds: UInt32 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  public static let now = Moment(0, ct_utime_now)
  public static let omit = Moment(0, ct_utime_omit)

  public static func < (a: Moment, b: Moment) -> Bool {
    (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
  }

  public var description: String { "\(seconds).\(nanoseconds)" }
  var c: ct_time { ct_time(seconds: seconds, nanoseconds: nanoseconds) }
}

public enum Kind: String, Sendable {
  case file, directory, symlink, fifo, socket, character, block

  init(mode: UInt32) {
    switch mode & S_IFMT {
    case S_IFDIR: self = .directory
    case S_IFLNK: self = .symlink
    case S_IFIFO: self = .fifo
    case S_IFSOCK: self = .socket
    case S_IFCHR: self = .character
    case S_IFBLK: self = .block
    default: self = .file
    }
  }

  /// The `d_type` of a directory entry.
  var entryType: UInt8 {
    switch self {
    case .file: 8
    case .directory: 4
    case .symlink: 10
    case .fifo: 1
    case .socket: 12
    case .character: 2
    case .block: 6
    }
  }
}

/// What stat(2) says.
public struct Status: Sendable {
  public let kind: Kind
  public let inode: UInt64
  public let device: UInt64
  public let rdev: UInt64
  public let size: UInt64
  /// In units of 512 bytes.
  public let blocks: UInt64
  public let links: UInt64
  /// Permission bits with set-user-ID, set-group-ID and sticky.
  public let mode: UInt32
  public let uid: UInt32
  public let gid: UInt32
  public let accessed: Moment
  public let modified: Moment
  public let changed: Moment

  init(_ s: ct_stat) {
    kind = Kind(mode: s.mode)
    inode = s.inode
    device = s.device
    rdev = s.rdev
    size = s.size
    blocks = s.blocks
    links = s.links
    mode = s.mode & 0o7777
    uid = s.uid
    gid = s.gid
    accessed = Moment(s.accessed.seconds, s.accessed.nanoseconds)
    modified = Moment(s.modified.seconds, s.modified.nanoseconds)
    changed = Moment(s.changed.seconds, s.changed.nanoseconds)
  }
}

public struct FileSystemStatus: Sendable {
  public let type, blockSize, blocks, free, available, files, nameMax, flags: UInt64
}
