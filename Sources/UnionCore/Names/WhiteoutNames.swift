public import SystemCalls

// How aufs writes on disk that a name is gone, and how that is read back. docs/on-disk-format.md.

/// What a directory entry of a branch means to a union.
public enum DiskName {
  /// A file or directory of its own name.
  case ordinary
  /// `.wh.NAME`: NAME begins at this offset and is hidden below.
  case whiteout(offset: Int)
  /// `.wh..wh.long.HASH`: hides the name that is its content, one too long for `.wh.`.
  case longWhiteout
  /// `.wh..wh..opq`: nothing below shows in this directory.
  case opaque
  /// Any other `.wh..wh.NAME`: bookkeeping, ignored by every reader.
  case reserved

  public init(_ bytes: UnsafeBufferPointer<CChar>) {
    guard bytes.hasWhiteoutPrefix else {
      self = .ordinary
      return
    }
    let rest = UnsafeBufferPointer(rebasing: bytes[4...])
    if !rest.hasWhiteoutPrefix {
      self = rest.isEmpty ? .reserved : .whiteout(offset: 4)
    } else if Self.equal(rest, ".wh..opq") {
      self = .opaque
    } else if rest.count > 9, Self.equal(UnsafeBufferPointer(rebasing: rest[..<9]), ".wh.long.") {
      self = .longWhiteout
    } else {
      self = .reserved
    }
  }

  private static func equal(_ bytes: UnsafeBufferPointer<CChar>, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count
    where UInt8(bitPattern: bytes[index]) != text.utf8Start[index] { return false }
    return true
  }
}

/// The names that the union keeps for itself.
public enum ReservedName {
  public static var opaque: CName { cName(".wh..wh..opq") }
  public static var whiteoutBase: CName { cName(".wh..wh.aufs") }
  public static var pseudoLinks: CName { cName(".wh..wh.plnk") }
  public static var workArea: CName { cName(".wh..wh.unionfs") }
  public static var inodeTable: CName { cName("inodes") }
  /// In the work area: what whiteouts of overlayfs are links to.
  static var whiteoutDevice: CName { cName("whiteout") }
  /// In the work area of a work directory: whose it is.
  public static var workAreaOwner: CName { cName("upper") }
  /// A name that nobody makes.
  static var neverThere: CName { cName(".wh..wh.unionfs.none") }
  /// The directory itself.
  public static var itself: CName { cName("") }
  public static var here: CName { cName(".") }
  public static var above: CName { cName("..") }

  private static func cName(_ text: StaticString) -> CName {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }
}

extension Name {
  /// The longest name for which `.wh.NAME` is a directory entry.
  static let longestPlainWhiteout = nameLimit - 4

  /// Whether the whiteout of this name is of the long form.
  public var needsLongWhiteout: Bool { count > Self.longestPlainWhiteout }

  /// Calls `body` with the name of this name's whiteout, NUL-terminated.
  public func withWhiteoutName<Result, Failure: Error>(
    _ body: (CName) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // A typed error cannot pass through the allocation's closure, so it comes back as a value.
    let outcome: Swift.Result<Result, Failure> = withUnsafeTemporaryAllocation(
      of: CChar.self, capacity: nameLimit + 1
    ) { buffer in
      if needsLongWhiteout { fillLong(buffer) } else { fillPlain(buffer) }
      // A temporary allocation of at least one byte has a base.
      let base = UnsafePointer(buffer.baseAddress.unsafelyUnwrapped)
      do throws(Failure) { return .success(try body(base)) } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  private func fillPlain(_ buffer: UnsafeMutableBufferPointer<CChar>) {
    buffer[0] = 0x2E
    buffer[1] = 0x77
    buffer[2] = 0x68
    buffer[3] = 0x2E
    for index in 0...count { buffer[4 + index] = pointer[index] }
  }

  private func fillLong(_ buffer: UnsafeMutableBufferPointer<CChar>) {
    var at = 0
    for byte in ".wh..wh.long.".utf8 {
      buffer[at] = CChar(bitPattern: byte)
      at += 1
    }
    for seed: UInt64 in [0xcbf2_9ce4_8422_2325, 0x9e37_79b9_7f4a_7c15] {
      var hash = seed
      for byte in bytes { hash = (hash ^ UInt64(UInt8(bitPattern: byte))) &* 0x100_0000_01b3 }
      for shift in stride(from: 60, through: 0, by: -4) {
        let digit = UInt8((hash >> UInt64(shift)) & 15)
        buffer[at] = CChar(bitPattern: digit < 10 ? 0x30 + digit : 0x57 + digit)
        at += 1
      }
    }
    buffer[at] = 0
  }
}
