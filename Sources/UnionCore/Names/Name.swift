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

  /// Eight bytes at a time; the last ones overlap those before, and the length tells names apart that then
  /// have the same words. High and low bits are as good.
  @inlinable public var nameHash: UInt32 {
    let bytes = UnsafeRawBufferPointer(self)
    var hash = UInt64(truncatingIfNeeded: count) &* 0xD6E8_FEB8_6659_FD93
    var at = 0
    while at + 8 < bytes.count {
      hash = (hash ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)).mixed
      at += 8
    }
    hash = (hash ^ bytes.lastWord).mixed
    return UInt32(truncatingIfNeeded: hash ^ hash >> 32)
  }

  /// Whether the bytes are the same.
  @inlinable public func hasBytes(of other: UnsafeBufferPointer<CChar>) -> Bool {
    guard count == other.count else { return false }
    let (one, two) = (UnsafeRawBufferPointer(self), UnsafeRawBufferPointer(other))
    var at = 0
    while at + 8 < count {
      guard
        one.loadUnaligned(fromByteOffset: at, as: UInt64.self)
          == two.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      else { return false }
      at += 8
    }
    return one.lastWord == two.lastWord
  }
}

extension UInt64 {
  /// Every bit has its say in every other: a product's halves, together.
  @inlinable var mixed: UInt64 {
    let (high, low) = multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return high ^ low
  }
}

extension UnsafeRawBufferPointer {
  /// The last eight bytes, or all of fewer: of as many bytes, a word of its own for each content.
  @inlinable var lastWord: UInt64 {
    if count >= 8 { return loadUnaligned(fromByteOffset: count - 8, as: UInt64.self) }
    if count >= 4 {
      return UInt64(loadUnaligned(fromByteOffset: 0, as: UInt32.self)) << 32
        | UInt64(loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
    }
    guard count > 0 else { return 0 }
    return UInt64(self[0]) << 16 | UInt64(self[count / 2]) << 8 | UInt64(self[count - 1])
  }
}
