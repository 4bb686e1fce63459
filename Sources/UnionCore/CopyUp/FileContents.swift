public import SystemCalls
public import SystemPackage

/// Copying what is in a file: shared blocks where the file system can, else by the kernel, else by
/// hand; holes stay holes.
public enum FileContents {
  private static let seekData: CInt = 3
  private static let seekHole: CInt = 4

  /// - Parameters:
  ///   - size: bytes from the start.
  ///   - isWhole: whether that is all of the source.
  ///   - piece: bytes that the kernel is asked for at once.
  ///   - copied: called with the count of each piece that is done; what it throws ends the copy.
  public static func copy(
    from source: CInt, to target: CInt, size: Int64, isWhole: Bool, piece: Int = 1 << 30,
    copied: (Int) throws(Errno) -> Void = { _ in }
  ) throws(Errno) {
    let copier = Copier(source: source, target: target, piece: piece)
    if isWhole, size >= 1 << 16, (try? FileSystemCall.clone(source, to: target)) != nil { return }
    // Not by its blocks: attributes and what was allocated ahead have blocks too.
    if let hole = try? FileSystemCall.seek(source, 0, whence: seekHole), hole >= size {
      return try copier.copyRange(0, size, copied)
    }
    try FileSystemCall.truncate(target, to: size)
    var offset: Int64 = 0
    while offset < size {
      let start: Int64
      do throws(Errno) {
        start = try FileSystemCall.seek(source, offset, whence: seekData)
      } catch {
        // ENXIO: only a hole is left. EINVAL: the file system knows no holes.
        if error == .noSuchAddressOrDevice { return }
        if error == .invalidArgument {
          return try copier.copyRange(offset, size, copied)
        }
        throw error
      }
      if start >= size { return }
      let end = min(try FileSystemCall.seek(source, start, whence: seekHole), size)
      try copier.copyRange(start, end, copied)
      offset = end
    }
  }
}

/// One file's bytes into another.
private struct Copier {
  let source: CInt
  let target: CInt
  let piece: Int

  func copyRange(
    _ start: Int64, _ end: Int64, _ copied: (Int) throws(Errno) -> Void
  ) throws(Errno) {
    var offset = start
    while offset < end {
      do throws(Errno) {
        let count = try FileSystemCall.copyRange(
          from: source, at: offset, to: target, at: offset, count: min(piece, Int(end - offset)))
        // Some file systems answer 0 before the end.
        if count == 0 { return try copyByHand(offset, end, copied) }
        offset += Int64(count)
        try copied(count)
      } catch {
        switch error {
        case .improperLink, .noFunction, .invalidArgument, .notSupported,
          .notSupportedOnSocket:
          return try copyByHand(offset, end, copied)
        default: throw error
        }
      }
    }
  }

  private func copyByHand(
    _ start: Int64, _ end: Int64, _ copied: (Int) throws(Errno) -> Void
  ) throws(Errno) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    var offset = start
    while offset < end {
      let room = UnsafeMutableRawBufferPointer(
        rebasing: buffer[..<min(buffer.count, Int(end - offset))])
      let count = try FileSystemCall.read(source, into: room, at: offset)
      // The source became shorter than it was: the rest is a hole.
      if count == 0 { return try FileSystemCall.truncate(target, to: end) }
      try writeAll(UnsafeRawBufferPointer(rebasing: room[..<count]), at: offset)
      offset += Int64(count)
      try copied(count)
    }
  }

  private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(Errno) {
    var done = 0
    while done < bytes.count {
      done += try FileSystemCall.write(
        target, from: UnsafeRawBufferPointer(rebasing: bytes[done...]), at: offset + Int64(done))
    }
  }
}

/// Copying extended attributes: ACLs and file capabilities among them.
public enum ExtendedAttributes {
  /// Copies each attribute that `list` names, but those that overlayfs keeps for itself: what they say of a
  /// lower directory is not so of its copy. One that the target's file system has no room or name
  /// space for is an error, but where nobody of this server's rights could set it (`trusted.`,
  /// `security.` of an unprivileged one) it is left out.
  public static func copy(
    list: (UnsafeMutableBufferPointer<CChar>) throws(Errno) -> Int,
    get: (CName, UnsafeMutableRawBufferPointer) throws(Errno) -> Int,
    set: (CName, UnsafeRawBufferPointer) throws(Errno) -> Void
  ) throws(Errno) {
    let size: Int
    do throws(Errno) {
      size = try list(UnsafeMutableBufferPointer(start: nil, count: 0))
    } catch {
      if error == .notSupported || error == .noFunction { return }
      throw error
    }
    if size == 0 { return }
    let names = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 1 << 16)
    defer { names.deallocate() }
    let value = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 8)
    defer { value.deallocate() }
    let end = try list(names)
    guard let base = names.baseAddress else { return }
    var at = 0
    while at < end {
      let key = UnsafePointer(base + at)
      if OverlayAttribute(key) == nil { try copyOne(key, value, get, set) }
      while names[at] != 0 { at += 1 }
      at += 1
    }
  }

  private static func copyOne(
    _ key: CName, _ value: UnsafeMutableRawBufferPointer,
    _ get: (CName, UnsafeMutableRawBufferPointer) throws(Errno) -> Int,
    _ set: (CName, UnsafeRawBufferPointer) throws(Errno) -> Void
  ) throws(Errno) {
    let count: Int
    do throws(Errno) { count = try get(key, value) } catch {
      // What is no capability gives none, and the kernel shows it to nobody.
      guard error == .invalidArgument && isCapability(key) else { throw error }
      return
    }
    do throws(Errno) {
      try set(key, UnsafeRawBufferPointer(rebasing: value[..<count]))
    } catch {
      let isUsers = key[0] == 0x75 /* user. */
      guard error == .notPermitted && !isUsers else { throw error }
    }
  }
}
