internal import Synchronization
public import UnionCore

/// How far long work has come.
public struct Progress: Sendable, Equatable {
  /// Bytes read of the input, or written of the output, as it is stored: compressed.
  public var bytes: Int64
  /// Entries of archives.
  public var entries: Int64

  public init(bytes: Int64 = 0, entries: Int64 = 0) {
    self.bytes = bytes
    self.entries = entries
  }
}

/// What whoever asked for long work sees of it, and by what it is called off. One for each command; its
/// closures are called often, by several threads at once.
public final class Watch: Sendable {
  private let cancelled: @Sendable () -> Bool
  private let report: @Sendable (Progress) -> Void
  private let bytes = Atomic<Int64>(0)
  private let entries = Atomic<Int64>(0)

  /// - Parameters:
  ///   - isCancelled: asked for every block; once it is true all work ends with `Failure.cancelled`.
  ///   - progress: called for every block.
  public init(
    isCancelled: @escaping @Sendable () -> Bool = { false },
    progress: @escaping @Sendable (Progress) -> Void = { _ in }
  ) {
    cancelled = isCancelled
    report = progress
  }

  public var progress: Progress {
    Progress(bytes: bytes.load(ordering: .relaxed), entries: entries.load(ordering: .relaxed))
  }

  public func count(bytes count: Int) { bytes.wrappingAdd(Int64(count), ordering: .relaxed) }
  public func countEntry() { entries.wrappingAdd(1, ordering: .relaxed) }

  /// Between two blocks: tells how far it is.
  public func pause() throws(Failure) {
    if cancelled() { throw .cancelled }
    report(progress)
  }

  var isCancelled: Bool { cancelled() }
}
