internal import CFuse
public import SystemCalls

/// Who asks: ids of the calling thread and its umask. `user` and `group` are those of file access.
public struct Caller: Sendable, BitwiseCopyable {
  public var user: UInt32
  public var group: UInt32
  public var process: Int32
  public var mask: UInt32

  public init(user: UInt32, group: UInt32, process: Int32, mask: UInt32) {
    self.user = user
    self.group = group
    self.process = process
    self.mask = mask
  }
}

/// The answer to a request that finds or makes a name. A node of 0 is a negative entry: the kernel
/// remembers that the name is absent.
public struct EntryReply: Sendable, BitwiseCopyable {
  public var node: UInt64
  public var generation: UInt64
  public var attributes: Attributes
  /// Seconds for which the kernel may believe the name.
  public var timeout: Double
  /// The same for the attributes.
  public var attributeTimeout: Double

  public init(node: UInt64, generation: UInt64, attributes: Attributes, timeout: Double) {
    self.node = node
    self.generation = generation
    self.attributes = attributes
    self.timeout = timeout
    attributeTimeout = timeout
  }

  var raw: fuse_entry_param {
    var entry = fuse_entry_param()
    entry.ino = node
    entry.generation = generation
    entry.attr = attributes.stat
    entry.attr_timeout = attributeTimeout
    entry.entry_timeout = timeout
    return entry
  }

  /// As the wire has it. Whole seconds.
  var wire: fuse_entry_out {
    var entry = fuse_entry_out()
    entry.nodeid = node
    entry.generation = generation
    entry.entry_valid = UInt64(timeout)
    entry.attr_valid = UInt64(attributeTimeout)
    entry.attr = attributes.wire
    return entry
  }
}

/// The answer to a request that asks for attributes.
public struct AttributeReply: Sendable, BitwiseCopyable {
  public var attributes: Attributes
  /// Seconds for which the kernel may believe them.
  public var timeout: Double

  public init(_ attributes: Attributes, timeout: Double) {
    self.attributes = attributes
    self.timeout = timeout
  }
}

/// The answer to a request that opens a file or a directory.
public struct OpenReply: Sendable, BitwiseCopyable {
  public var handle: UInt64
  /// Pages of an earlier open stay valid.
  public var keepsCache = false
  /// The kernel may answer later listings itself.
  public var cachesDirectory = false
  /// No FLUSH at close.
  public var skipsFlush = false
  /// Every read and write is a request of its own.
  public var isDirect = false
  /// The file that the kernel reads and writes by itself (`Session.openBacking`); 0 for none.
  public var backing: CInt = 0

  public init(handle: UInt64) { self.handle = handle }

  var flags: UInt32 {
    (isDirect ? 1 : 0) | (keepsCache ? 2 : 0) | (cachesDirectory ? 8 : 0) | (skipsFlush ? 32 : 0)
      | (backing != 0 ? UInt32(CFUSE_FOPEN_PASSTHROUGH) : 0)
  }

  func send(_ request: fuse_req_t) -> CInt { cfuse_reply_open(request, handle, flags, backing) }
}

/// What a SETATTR request wants changed; nil is left as it is.
public struct AttributeChange: Sendable {
  public var mode: UInt32?
  public var owner: UInt32?
  public var group: UInt32?
  public var size: Int64?
  public var accessed = TimeChange.keep
  public var modified = TimeChange.keep
  /// Set-user-ID and set-group-ID bits are to be taken away, by the rules of write(2).
  public var dropsPrivileges = false

  public init() {}

  /// Nothing is to be changed but, perhaps, privileges.
  public var isEmpty: Bool {
    mode == nil && owner == nil && group == nil && size == nil && !changesTimes
  }

  public var changesTimes: Bool {
    if case .keep = accessed, case .keep = modified { return false }
    return true
  }
}

extension Attributes {
  /// As libfuse takes it.
  var stat: stat {
    var raw = CFuse.stat()
    raw.st_ino = UInt(inode)
    raw.st_mode = mode
    raw.st_nlink = UInt(linkCount)
    raw.st_uid = owner
    raw.st_gid = group
    raw.st_rdev = UInt(specialDevice)
    raw.st_size = Int(size)
    raw.st_blksize = Int(blockSize)
    raw.st_blocks = Int(blocks)
    raw.st_atim = timespec(accessed)
    raw.st_mtim = timespec(modified)
    raw.st_ctim = timespec(changed)
    return raw
  }

  /// As the wire has it.
  var wire: fuse_attr {
    var raw = fuse_attr()
    raw.ino = inode
    raw.size = UInt64(bitPattern: size)
    raw.blocks = UInt64(bitPattern: blocks)
    raw.atime = UInt64(bitPattern: accessed.seconds)
    raw.mtime = UInt64(bitPattern: modified.seconds)
    raw.ctime = UInt64(bitPattern: changed.seconds)
    raw.atimensec = accessed.nanoseconds
    raw.mtimensec = modified.nanoseconds
    raw.ctimensec = changed.nanoseconds
    raw.mode = mode
    raw.nlink = UInt32(truncatingIfNeeded: linkCount)
    raw.uid = owner
    raw.gid = group
    raw.rdev = UInt32(truncatingIfNeeded: specialDevice)
    raw.blksize = blockSize
    return raw
  }
}

extension timespec {
  init(_ time: Timestamp) {
    self.init(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
  }
}
