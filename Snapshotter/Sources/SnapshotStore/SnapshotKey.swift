/// A client's name for a snapshot: any text that the database can hold. It never becomes a path, so
/// slashes and `..` mean nothing; containerd itself sends `NAMESPACE/NUMBER/KEY`.
public struct SnapshotKey: Sendable, CustomStringConvertible {
  /// As in containerd's own database.
  static let limit = 32768

  public let text: String

  /// - Parameter what: what the text is, for the error: `key`, `name`, `parent`.
  public init(_ text: String, as what: String) throws(SnapshotError) {
    guard !text.isEmpty else { throw SnapshotError(.invalidArgument, "the \(what) is empty") }
    guard !text.utf8.contains(0) else {
      throw SnapshotError(.invalidArgument, "the \(what) has a NUL in it")
    }
    guard text.utf8.count <= Self.limit else {
      throw SnapshotError(
        .invalidArgument,
        "the \(what) has \(text.utf8.count) bytes; at most \(Self.limit) are allowed")
    }
    self.text = text
  }

  public var description: String { "'\(text)'" }

  /// The bytes are the key: Swift's own equality takes texts for equal that Unicode does.
  func equals(_ other: SnapshotKey) -> Bool { text.utf8.elementsEqual(other.text.utf8) }
}
