internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// Where bytes come from, in order. Used by one thread at a time.
public protocol ByteSource: AnyObject, Sendable {
  /// Stores the next bytes, as many as there are at once; 0 at the end.
  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  /// Ends a read that waits, from another thread; it throws `Failure.cancelled`.
  func interrupt()
}

extension ByteSource {
  public func interrupt() {}

  /// Fills the room, or stores what is left.
  func fill(_ room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    var count = 0
    while count < room.count {
      let more = try read(into: UnsafeMutableRawBufferPointer(rebasing: room[count...]))
      if more == 0 { break }
      count += more
    }
    return count
  }
}

/// A descriptor's bytes from where it stands: a file, a pipe, a terminal. The descriptor stays the
/// caller's.
public final class DescriptorSource: ByteSource, @unchecked Sendable {
  private let descriptor: CInt
  private let name: String
  private let watch: Watch
  /// nil for a regular file, which is never waited for.
  private let wakeUp: CInt?

  /// - Parameter name: what messages call it.
  public init(_ descriptor: CInt, name: String, watch: Watch = Watch()) throws(Failure) {
    self.descriptor = descriptor
    self.name = name
    self.watch = watch
    wakeUp = try system("\(name) cannot be read") { () throws(Errno) in
      try FileSystemCall.status(of: descriptor).isRegular ? nil : ProcessCall.eventDescriptor()
    }
  }

  deinit { if let wakeUp { FileSystemCall.close(wakeUp) } }

  public func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    try wait()
    let count = try system("\(name) cannot be read") { () throws(Errno) in
      try FileSystemCall.read(descriptor, into: room)
    }
    watch.count(bytes: count)
    return count
  }

  public func interrupt() { if let wakeUp { ProcessCall.raiseEvent(wakeUp) } }

  private func wait() throws(Failure) {
    guard let wakeUp else { return }
    while true {
      if watch.isCancelled { throw .cancelled }
      let readable = try system("\(name) cannot be read") { () throws(Errno) in
        try ProcessCall.waitReadable(descriptor, wakeUp, milliseconds: 200)
      }
      if readable == 0 { return }
      if readable == 1 { throw .cancelled }
    }
  }
}

/// A part of a file, or all of it, by its own offset. The descriptor stays the caller's.
public final class SectionSource: ByteSource, @unchecked Sendable {
  private let descriptor: CInt
  private let name: String
  private let watch: Watch
  private var offset: Int64
  private let end: Int64

  /// - Parameters:
  ///   - range: in bytes; what the file has not got of it is an error.
  ///   - name: what messages call it.
  public init(_ descriptor: CInt, _ range: Range<Int64>, name: String, watch: Watch = Watch()) {
    self.descriptor = descriptor
    self.name = name
    self.watch = watch
    offset = range.lowerBound
    end = range.upperBound
  }

  public func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let wanted = Int(min(Int64(room.count), end - offset))
    if wanted == 0 { return 0 }
    let count = try system("\(name) cannot be read") { () throws(Errno) in
      try FileSystemCall.read(
        descriptor, into: UnsafeMutableRawBufferPointer(rebasing: room[..<wanted]), at: offset)
    }
    if count == 0 { throw .malformed("\(name) is shorter than it was") }
    offset += Int64(count)
    watch.count(bytes: count)
    return count
  }
}

/// Bytes in memory.
public final class BytesSource: ByteSource, @unchecked Sendable {
  private var rest: ArraySlice<UInt8>
  public init(_ bytes: [UInt8]) { rest = bytes[...] }

  public func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let count = min(room.count, rest.count)
    room.copyBytes(from: rest.prefix(count))
    rest = rest.dropFirst(count)
    return count
  }
}

/// A source whose first bytes have been looked at.
final class PeekedSource: ByteSource, @unchecked Sendable {
  private let source: any ByteSource
  /// Its first bytes, all of them where the source is shorter.
  let prefix: [UInt8]
  private var used = 0

  init(_ source: any ByteSource, count: Int) throws(Failure) {
    self.source = source
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { room.deallocate() }
    prefix = Array(UnsafeRawBufferPointer(rebasing: room[..<(try source.fill(room))]))
  }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    guard used < prefix.count else { return try source.read(into: room) }
    let count = min(room.count, prefix.count - used)
    room.copyBytes(from: prefix[used..<(used + count)])
    used += count
    return count
  }

  func interrupt() { source.interrupt() }
}
