internal import SystemPackage

/// An error for the client: containerd decides by the code, a person reads the message.
public struct SnapshotError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The codes that containerd tells apart, and two for what it can only report.
  public enum Code: Sendable {
    case invalidArgument
    case notFound
    case alreadyExists
    case failedPrecondition
    /// The disk is full, or a quota.
    case resourceExhausted
    case failed
  }

  public var code: Code
  /// One line without a full stop.
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }

  /// An errno of a call on the store's directories.
  init(errno error: Errno, on subject: String) {
    let isFull = error == .noSpace || error == .diskQuotaExceeded
    self.init(isFull ? .resourceExhausted : .failed, "\(subject): \(error)")
  }
}

/// Runs system calls on one thing; an errno names it.
func about<Result>(
  _ subject: @autoclosure () -> String, _ body: () throws(Errno) -> Result
) throws(SnapshotError) -> Result {
  do throws(Errno) { return try body() } catch { throw SnapshotError(errno: error, on: subject()) }
}
