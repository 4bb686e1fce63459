public import SystemCalls
public import SystemPackage

/// What outlives a mount about inode numbers: which number a copied-up file keeps, and how many names
/// of a hard-linked lower file are visible. Kept in memory, appended to
/// `.wh..wh.unionfs/inodes` on the top branch before the change that it describes is published.
///
/// A record that is lost (a power cut) costs a number its constancy, never a file. A record whose
/// file is gone is told by the birth time, which a new file on the same inode does not share.
/// docs/on-disk-format.md has the layout.
public final class InodeTable: @unchecked Sendable {
  /// The numbers of one copied-up file.
  private struct Origin {
    var birth: Int64
    var number: UInt64
  }

  enum Kind: UInt32 {
    case origin = 1
    case forget = 2
    case links = 3
    case pending = 4
    case markers = 5
  }

  /// One record of the file, taken apart.
  struct Record {
    var kind: Kind
    var a: UInt64
    var b: UInt64
    var c: UInt64

    /// nil where it is torn. There are `recordSize` bytes at the offset.
    init?(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
      func word(_ at: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + at, as: UInt64.self))
      }
      guard
        checksum(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 32])) == word(32),
        let kind = Kind(rawValue: UInt32(truncatingIfNeeded: word(0)))
      else { return nil }
      self.kind = kind
      a = word(8)
      b = word(16)
      c = word(24)
    }
  }

  static let recordSize = 40
  static let magic: [UInt8] = Array("unionfs-inodes-1\n".utf8)

  private let lock = Lock()
  /// Held over the writing of one record, and over what memory says of it; taken before `lock`.
  private let appendLock = Lock()
  private let descriptor: CInt
  /// The top branch's file system; another one may be mounted inside the branch, whose files keep none.
  private let device: UInt64
  // Below: guarded by `lock`.
  private var origins: [UInt64: Origin] = [:]
  private var links: [UInt64: UInt64] = [:]
  /// Files whose count is about to change: where a crash comes first, it has to be counted again.
  private var pendingLinks: Set<UInt64> = []
  private var records = 0
  /// Whether a crash now could leave a whiteout that hides nothing.
  private var mayLeaveMarkers = false

  /// Opens the table in the work area, dropping a torn end; makes it where there is none.
  init(in workArea: CInt) throws(Errno) {
    descriptor = try FileSystemCall.open(
      at: workArea, ReservedName.inodeTable,
      OpenFlag.readWrite | OpenFlag.create | OpenFlag.append | OpenFlag.noFollow, mode: 0o600)
    device = try FileSystemCall.status(of: descriptor).device
    try load()
    if records > 4096 && records > 4 * (origins.count + links.count) { try rewrite() }
  }

  deinit {
    FileSystemCall.close(descriptor)
    appendLock.destroy()
    lock.destroy()
  }

  // MARK: Asking

  /// The number that a file of the top branch keeps, nil where it shows its own.
  public func number(ofTop inode: UInt64) -> UInt64? {
    lock.whileLocked { origins[inode]?.number }
  }

  /// The same for a file that is known, or was until now: a record of another file that has had the
  /// inode before, or has it by now, is none.
  ///
  /// - Parameter isThere: the file is, so that another's record can be dropped.
  public func number(ofTop file: Attributes, isThere: Bool = false) -> UInt64? {
    lock.whileLocked {
      guard let origin = origins[file.inode], file.device == device else { return nil }
      if origin.birth == 0 || file.birth == origin.birth { return origin.number }
      if isThere { origins[file.inode] = nil }
      return nil
    }
  }

  public var isEmpty: Bool { lock.whileLocked { origins.isEmpty } }

  /// How many names of a hard-linked lower file are visible; nil where its own link count holds.
  public func linkCount(of number: UInt64) -> UInt64? { lock.whileLocked { links[number] } }

  // MARK: Recording

  /// A file of the top branch keeps `number`. Recorded before the file is published.
  public func record(top file: Attributes, number: UInt64) throws(Errno) {
    if file.device == device {
      try record(top: file.inode, birth: file.birth, number: number)
    }
  }

  func record(top inode: UInt64, birth: Int64, number: UInt64) throws(Errno) {
    if inode == number { return }
    appendLock.lock()
    defer { appendLock.unlock() }
    try appendLocked(.origin, inode, UInt64(bitPattern: birth), number)
    lock.whileLocked { origins[inode] = Origin(birth: birth, number: number) }
  }

  /// Does what takes a file's last name away. Its record goes first: the inode may come again in the same
  /// moment, for a file whose birth the clock does not tell from this one's. Where `body` fails it is
  /// there again.
  ///
  /// - Parameter file: nil for one that keeps names, or none.
  public func whileForgetting(
    top file: Attributes?, _ body: () throws(Errno) -> Void
  ) throws(Errno) {
    guard let file, let origin = take(file) else { return try body() }
    do throws(Errno) { try body() } catch {
      lock.whileLocked { if origins[file.inode] == nil { origins[file.inode] = origin } }
      throw error
    }
    appendForget(file.inode)
  }

  /// The file will never be looked up again, and is still there.
  public func forget(top file: Attributes) {
    if take(file) != nil { appendForget(file.inode) }
  }

  private func take(_ file: Attributes) -> Origin? {
    lock.whileLocked {
      guard let origin = origins[file.inode], file.device == device,
        origin.birth == 0 || origin.birth == file.birth
      else { return nil }
      origins[file.inode] = nil
      return origin
    }
  }

  /// Unless another file has had the inode meanwhile: its record takes the old one's place.
  private func appendForget(_ inode: UInt64) {
    appendLock.lock()
    defer { appendLock.unlock() }
    if lock.whileLocked({ origins[inode] }) == nil { try? appendLocked(.forget, inode, 0, 0) }
  }

  /// A count of 0 drops the record.
  public func setLinkCount(of number: UInt64, to count: UInt64) throws(Errno) {
    let before = lock.whileLocked { () -> UInt64? in
      let before = links[number]
      links[number] = count == 0 ? nil : count
      return before
    }
    do throws(Errno) { try append(.links, number, count, 0) } catch {
      // Where the change was announced it is counted at the next mount; else there was none.
      lock.whileLocked { if !pendingLinks.contains(number) { links[number] = before } }
      throw error
    }
    lock.whileLocked { _ = pendingLinks.remove(number) }
  }

  /// A name of the file is about to come or go; `setLinkCount` follows, unless a crash does.
  public func expectLinkCount(of number: UInt64) throws(Errno) {
    try append(.pending, number, 0, 0)
    lock.whileLocked { _ = pendingLinks.insert(number) }
  }

  /// The files whose count has to be found out anew: a crash came between the two.
  public var uncertain: Set<UInt64> { lock.whileLocked { pendingLinks } }

  // MARK: Markers

  /// Whether the last mount ended without a word after it had begun to change whiteouts.
  public var hasUncertainMarkers: Bool { lock.whileLocked { mayLeaveMarkers } }

  /// Whiteouts or opaque markers are about to come or go in more than one step. Recorded once a mount.
  public func expectMarkers() throws(Errno) {
    if hasUncertainMarkers { return }
    try append(.markers, 1, 0, 0)
    lock.whileLocked { mayLeaveMarkers = true }
  }

  /// Every whiteout hides something: a clean end, or one that was made up for.
  public func settleMarkers() throws(Errno) {
    guard hasUncertainMarkers else { return }
    try append(.markers, 0, 0, 0)
    lock.whileLocked { mayLeaveMarkers = false }
  }

  private func append(_ kind: Kind, _ a: UInt64, _ b: UInt64, _ c: UInt64) throws(Errno) {
    appendLock.lock()
    defer { appendLock.unlock() }
    try appendLocked(kind, a, b, c)
  }

  private func appendLocked(
    _ kind: Kind, _ a: UInt64, _ b: UInt64, _ c: UInt64
  ) throws(Errno) {
    let record = Self.encode(kind, a, b, c)
    let written = try record.withBytes { bytes throws(Errno) in
      try FileSystemCall.write(descriptor, from: bytes)
    }
    if written != record.count {
      // Half a record would be the end of all that follow it.
      let size = try FileSystemCall.status(of: descriptor).size
      try FileSystemCall.truncate(descriptor, to: size - Int64(written))
      throw Errno.noSpace
    }
    lock.whileLocked { records += 1 }
  }

  // MARK: The file

  static func encode(_ kind: Kind, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: recordSize)
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: kind.rawValue.littleEndian, toByteOffset: 0, as: UInt32.self)
      $0.storeBytes(of: a.littleEndian, toByteOffset: 8, as: UInt64.self)
      $0.storeBytes(of: b.littleEndian, toByteOffset: 16, as: UInt64.self)
      $0.storeBytes(of: c.littleEndian, toByteOffset: 24, as: UInt64.self)
      let sum = checksum(UnsafeRawBufferPointer(rebasing: $0[..<32]))
      $0.storeBytes(of: sum.littleEndian, toByteOffset: 32, as: UInt64.self)
    }
    return bytes
  }

  private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
  }

  /// Reads the records, in pieces, up to the first one that is torn.
  private func load() throws(Errno) {
    let size = try FileSystemCall.status(of: descriptor).size
    var head = [UInt8](repeating: 0, count: Self.magic.count)
    let count = try head.withMutableBytes { room throws(Errno) in
      try FileSystemCall.read(descriptor, into: room, at: 0)
    }
    // Of another program or version: numbers start anew, nothing else depends on it.
    guard count == head.count, head == Self.magic else { return try rewrite() }
    var offset = Int64(count)
    var piece = [UInt8](repeating: 0, count: Self.recordSize * 4096)
    while true {
      let count = try piece.withMutableBytes { room throws(Errno) in
        try FileSystemCall.read(descriptor, into: room, at: offset)
      }
      let taken = piece.withUnsafeBytes { bytes in
        var at = 0
        while at + Self.recordSize <= count, apply(bytes, at: at) { at += Self.recordSize }
        return at
      }
      offset += Int64(taken)
      if taken < piece.count { break }
    }
    if offset != size { try FileSystemCall.truncate(descriptor, to: offset) }
  }

  /// Takes one record; false where it is torn.
  private func apply(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    guard let record = Record(bytes, at: offset) else { return false }
    records += 1
    switch record.kind {
    case .origin:
      origins[record.a] = Origin(birth: Int64(bitPattern: record.b), number: record.c)
    case .forget: origins[record.a] = nil
    case .links:
      links[record.a] = record.b == 0 ? nil : record.b
      pendingLinks.remove(record.a)
    case .pending: pendingLinks.insert(record.a)
    case .markers: mayLeaveMarkers = record.a != 0
    }
    return true
  }

  /// Writes the table anew. A crash in between loses numbers' constancy only.
  private func rewrite() throws(Errno) {
    var bytes = Self.magic
    for (inode, origin) in origins {
      bytes += Self.encode(.origin, inode, UInt64(bitPattern: origin.birth), origin.number)
    }
    for (number, count) in links { bytes += Self.encode(.links, number, count, 0) }
    if mayLeaveMarkers { bytes += Self.encode(.markers, 1, 0, 0) }
    for number in pendingLinks { bytes += Self.encode(.pending, number, 0, 0) }
    try FileSystemCall.truncate(descriptor, to: 0)
    _ = try bytes.withBytes { raw throws(Errno) in
      try FileSystemCall.write(descriptor, from: raw)
    }
    records = origins.count + links.count
  }
}
