public import SystemCalls
public import SystemPackage

/// The copies of hard-linked lower files. A file that several names of a lower branch share is copied
/// up once, to `.wh..wh.plnk/NUMBER` on the top branch, and each name that changes becomes a link to
/// it; names that are still on the lower branch find their content here. NUMBER is the inode number
/// that the union shows, in hexadecimal.
public final class PseudoLinks: @unchecked Sendable {
  private let root: CInt
  private let lock = Lock()
  /// Opened when it is first needed, -1 before. Guarded by `lock`.
  private var descriptor: CInt = -1
  private var numbers: Set<UInt64> = []

  /// Reads which files an earlier mount left here.
  public init(on branch: Branch) throws(Errno) {
    root = branch.bookkeeping
    do throws(Errno) {
      descriptor = try FileSystemCall.open(
        at: root, ReservedName.pseudoLinks,
        OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    } catch {
      if error == .noSuchFileOrDirectory { return }
      throw error
    }
    var found: Set<UInt64> = []
    try forEachEntry(of: descriptor) { bytes, _, _ in
      let text = String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if let number = UInt64(text, radix: 16) { found.insert(number) }
      return true
    }
    numbers = found
  }

  deinit {
    if descriptor >= 0 { FileSystemCall.close(descriptor) }
    lock.destroy()
  }

  /// Whether the file of that number lies here.
  public func contains(_ number: UInt64) -> Bool {
    lock.whileLocked { !numbers.isEmpty && numbers.contains(number) }
  }

  /// The directory, made where there is none.
  public func directory() throws(Errno) -> CInt {
    lock.lock()
    defer { lock.unlock() }
    if descriptor >= 0 { return descriptor }
    do throws(Errno) {
      try FileSystemCall.makeDirectory(at: root, ReservedName.pseudoLinks, mode: 0o700)
    } catch { if error != .fileExists { throw error } }
    descriptor = try FileSystemCall.open(
      at: root, ReservedName.pseudoLinks,
      OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    return descriptor
  }

  /// Calls `body` with the name of a file here.
  public func withName<Result>(
    of number: UInt64, _ body: (CName) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let outcome: Swift.Result<Result, Errno> = String(number, radix: 16).withCString { name in
      do throws(Errno) { return .success(try body(name)) } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  /// Adds a staged copy before any of its names is published; `link` gives it a further name.
  public func add(
    number: UInt64, _ link: (_ directory: CInt, CName) throws(Errno) -> Void
  ) throws(Errno) {
    let directory = try directory()
    try withName(of: number) { name throws(Errno) in
      do throws(Errno) { try link(directory, name) } catch {
        guard error == .fileExists else { throw error }
        // Left by a crash before the number was known here; what it holds was never acknowledged.
        try FileSystemCall.unlink(at: directory, name)
        try link(directory, name)
      }
    }
    lock.whileLocked { _ = numbers.insert(number) }
  }

  /// The last name is gone.
  public func remove(_ number: UInt64) throws(Errno) {
    guard contains(number) else { return }
    let directory = try directory()
    try withName(of: number) { name throws(Errno) in
      try FileSystemCall.unlink(at: directory, name)
    }
    lock.whileLocked { _ = numbers.remove(number) }
  }
}
