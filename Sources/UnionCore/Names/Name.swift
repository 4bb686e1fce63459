public import SystemCalls
public import SystemPackage

/// The name of a directory entry as a caller gave it: 1 to 255 bytes, NUL-terminated, borrowed for
/// the time of the request. Bytes, not text: Linux names need not be UTF-8. It holds no `/`, is
/// neither `.` nor `..`, and does not begin with `.wh.`.
public struct Name {
  public let pointer: CName
  public let count: Int

  /// Parses a name at the border. ENAMETOOLONG over 255 bytes (the kernel does not check it for
  /// FUSE); EPERM for `.wh.…`, as aufs answers; EINVAL for what is no name.
  public init(_ pointer: CName) throws(Errno) {
    var count = 0
    while pointer[count] != 0 {
      if pointer[count] == 0x2F { throw Errno.invalidArgument }
      count += 1
      if count > nameLimit { throw Errno.fileNameTooLong }
    }
    if count == 0 || (pointer[0] == 0x2E && (count == 1 || (count == 2 && pointer[1] == 0x2E))) {
      throw Errno.invalidArgument
    }
    self.init(unchecked: pointer, count: count)
    if bytes.hasWhiteoutPrefix { throw Errno.notPermitted }
  }

  /// The same where whiteouts are shown: `.wh.NAME` is a name too, what aufs keeps for itself is not.
  public init(orWhiteout pointer: CName) throws(Errno) {
    do throws(Errno) { try self.init(pointer) } catch {
      guard error == .notPermitted else { throw error }
      self.init(unchecked: pointer, count: [CChar](cString: pointer).count - 1)
      guard case .whiteout = DiskName(bytes) else { throw error }
    }
  }

  /// A name that this program stored after it had been parsed.
  public init(unchecked pointer: CName, count: Int) {
    self.pointer = pointer
    self.count = count
  }

  /// A name that this program has just made up.
  public init(fresh pointer: CName) {
    self.init(unchecked: pointer, count: [CChar](cString: pointer).count - 1)
  }

  public var bytes: UnsafeBufferPointer<CChar> {
    UnsafeBufferPointer(start: pointer, count: count)
  }

  public var hash: UInt32 { bytes.nameHash }
}

/// The most bytes in a directory entry's name.
public let nameLimit = 255

extension UnsafeBufferPointer<CChar> {
  /// Whether the bytes begin with `.wh.`.
  @inlinable public var hasWhiteoutPrefix: Bool {
    count >= 4 && self[0] == 0x2E && self[1] == 0x77 && self[2] == 0x68 && self[3] == 0x2E
  }

  /// FNV-1a with a final mix: names are short, and their last bytes differ most.
  @inlinable public var nameHash: UInt32 {
    var hash: UInt32 = 2_166_136_261
    for byte in self { hash = (hash ^ UInt32(UInt8(bitPattern: byte))) &* 16_777_619 }
    hash ^= hash >> 15
    hash = hash &* 0x2C1B_3C6D
    return hash ^ (hash >> 13)
  }
}
