internal import CSystemCalls
internal import Glibc

/// A point in time: seconds since the epoch and nanoseconds, 0 to 999,999,999.
public struct Timestamp: Equatable, Sendable, BitwiseCopyable {
  public var seconds: Int64
  public var nanoseconds: UInt32

  @inlinable
  public init(seconds: Int64, nanoseconds: UInt32) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }
}

/// The type of a file; the raw value is its `d_type` and the top four bits of its mode.
public enum FileKind: UInt8, Sendable {
  case unknown = 0
  case fifo = 1
  case characterDevice = 2
  case directory = 4
  case blockDevice = 6
  case regular = 8
  case symbolicLink = 10
  case socket = 12
  /// DT_WHT: what a union makes of overlayfs's whiteouts. No mode has it, and no listing of Linux.
  case whiteout = 14

  /// From a mode's type bits; `unknown` for none that Linux has.
  @inlinable
  public init(mode: UInt32) { self.init(listed: UInt8((mode >> 12) & 15)) }

  /// From a directory's `d_type`; `unknown` for none that Linux has.
  @inlinable
  public init(listed raw: UInt8) {
    let kind = FileKind(rawValue: raw) ?? .unknown
    self = kind == .whiteout ? .unknown : kind
  }

  /// The type's bits in a mode (`S_IFREG` and so on).
  @inlinable public var modeBits: UInt32 { UInt32(rawValue) << 12 }
}

/// What statx(2) tells of a file. Sizes in bytes, blocks of 512 bytes.
public struct Attributes: Sendable, BitwiseCopyable {
  public var device: UInt64 = 0
  public var inode: UInt64 = 0
  public var linkCount: UInt64 = 0
  public var specialDevice: UInt64 = 0
  public var mode: UInt32 = 0
  public var owner: UInt32 = 0
  public var group: UInt32 = 0
  public var blockSize: UInt32 = 0
  public var size: Int64 = 0
  public var blocks: Int64 = 0
  public var accessed = Timestamp(seconds: 0, nanoseconds: 0)
  public var modified = Timestamp(seconds: 0, nanoseconds: 0)
  public var changed = Timestamp(seconds: 0, nanoseconds: 0)
  /// Nanoseconds since the epoch, 0 where the file system keeps no birth time.
  public var birth: Int64 = 0
  /// chattr(1)'s `i`: nothing of the file may change.
  public var isImmutable = false
  /// chattr(1)'s `a`: only what is appended may change.
  public var isAppendOnly = false

  public init() {}

  /// Whether it may be neither removed nor renamed nor linked.
  @inlinable public var isProtected: Bool { isImmutable || isAppendOnly }
  @inlinable public var type: FileKind { FileKind(mode: mode) }
  @inlinable public var isDirectory: Bool { mode & 0xF000 == 0x4000 }
  @inlinable public var isRegular: Bool { mode & 0xF000 == 0x8000 }
  @inlinable public var isSymbolicLink: Bool { mode & 0xF000 == 0xA000 }
  /// The bits that chmod(2) sets.
  @inlinable public var permissions: UInt32 { mode & 0o7777 }

  init(_ from: csys_attributes) {
    device = from.device
    inode = from.inode
    linkCount = from.links
    specialDevice = from.special_device
    mode = from.mode
    owner = from.owner
    group = from.group
    blockSize = from.block_size
    size = from.size
    blocks = from.blocks
    accessed = Timestamp(seconds: from.access_seconds, nanoseconds: from.access_nanoseconds)
    modified = Timestamp(
      seconds: from.modification_seconds, nanoseconds: from.modification_nanoseconds)
    changed = Timestamp(seconds: from.change_seconds, nanoseconds: from.change_nanoseconds)
    birth = from.birth
    isImmutable = from.flags & UInt32(CSYS_IMMUTABLE) != 0
    isAppendOnly = from.flags & UInt32(CSYS_APPEND_ONLY) != 0
  }
}

/// One of the two times that utimensat(2) sets.
public enum TimeChange: Sendable {
  case keep
  case now
  case to(Timestamp)

  var value: timespec {
    switch self {
    case .keep: timespec(tv_sec: 0, tv_nsec: Int(utimeOmit))
    case .now: timespec(tv_sec: 0, tv_nsec: Int(utimeNow))
    case .to(let time): timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
    }
  }
}

// The header has them as macros that Swift does not import.
let utimeNow = (1 << 30) - 1
let utimeOmit = (1 << 30) - 2
