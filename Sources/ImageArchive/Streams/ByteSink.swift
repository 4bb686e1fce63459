internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// Where bytes go, in order.
public protocol ByteSink: AnyObject {
  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure)
}

extension ByteSink {
  public func write(_ bytes: [UInt8]) throws(Failure) {
    try bytes.withBytesForFailure { (buffer) throws(Failure) in try write(buffer) }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` that keeps the type of a failure.
  func withBytesForFailure<Result>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Failure) in
      try body(UnsafeRawBufferPointer(buffer))
    }
  }
}

/// Writes to a descriptor where it stands; it stays the caller's.
public final class DescriptorSink: ByteSink {
  private let descriptor: CInt
  private let name: String
  private let watch: Watch

  /// - Parameter name: what messages call it.
  public init(_ descriptor: CInt, name: String, watch: Watch = Watch()) {
    self.descriptor = descriptor
    self.name = name
    self.watch = watch
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      done += try system("\(name) cannot be written") { () throws(Errno) in
        try FileSystemCall.write(descriptor, from: rest)
      }
    }
    watch.count(bytes: bytes.count)
  }
}

/// Drops what it is given: for a pass that only hashes.
public final class DroppingSink: ByteSink {
  public init() {}
  public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {}
}

/// Keeps all that it is given.
public final class BytesSink: ByteSink {
  public private(set) var bytes: [UInt8] = []
  public init() {}
  public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    self.bytes.append(contentsOf: bytes)
  }
}

/// Hashes and counts what goes through it.
public final class HashingSink: ByteSink {
  private let next: any ByteSink
  private var hasher = Digest.Hasher()
  public private(set) var count: Int64 = 0
  public init(_ next: any ByteSink) { self.next = next }
  public var digest: Digest { hasher.finish() }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    hasher.update(bytes)
    count += Int64(bytes.count)
    try next.write(bytes)
  }
}
