internal import UnionCore

/// What an archive may at most become, so that a small one does not fill a disk.
public struct ArchiveLimits: Sendable, Equatable {
  /// Uncompressed bytes of one archive; also the sum of its files' sizes, holes included.
  public var bytes: Int64 = 1 << 42
  /// Entries of one archive.
  public var entries: Int64 = 10_000_000
  /// Uncompressed bytes for each compressed one, beyond the first `freeBytes`. gzip cannot do more than
  /// 1,032, the others many thousands.
  public var expansion: Int64 = 250
  public var freeBytes: Int64 = 1 << 30

  public init() {}

  func check(compressed: Int64, uncompressed: Int64, name: String) throws(Failure) {
    if uncompressed > bytes {
      throw Failure(
        .malformedInput, "\(name) has more than \(bytes) bytes uncompressed",
        advice: "raise the limit if that is meant")
    }
    guard uncompressed > freeBytes, expansion < Int64.max / 2 else { return }
    if uncompressed / max(expansion, 1) > compressed {
      throw Failure(
        .malformedInput,
        "\(name) grows more than \(expansion)-fold when it is uncompressed, as a bomb does",
        advice: "raise the limit if that is meant")
    }
  }
}
