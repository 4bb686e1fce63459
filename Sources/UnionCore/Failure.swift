/// An error for the person at the terminal: what failed, on which path or line, and what to do.
///
/// What the kernel sees is `Errno`; the two meet once, in the command.
public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The process's exit status; the numbers are a contract (docs/cli.md).
  public enum Code: Int32, Sendable {
    /// The operation failed on the system's side (mount refused, I/O error).
    case failed = 1
    /// The command line is wrong.
    case usage = 64
    /// A file that was read is malformed (a layers file, a branch string).
    case malformedInput = 65
    /// Something named does not exist or cannot be opened.
    case missingInput = 66
    /// The branches do not make a union (duplicates, nesting, a read-only file system).
    case unusableBranches = 69
    /// Reading failed, where 1 says something else (`check`).
    case inputOutput = 74
    /// Another mount holds the writable branch.
    case busy = 75
    /// The caller lacks a permission or a privilege.
    case permission = 77
  }

  public var code: Code
  /// One line without a full stop: what failed, on which path.
  public var message: String
  /// What to do about it, or empty.
  public var advice: String

  public init(_ code: Code, _ message: String, advice: String = "") {
    self.code = code
    self.message = message
    self.advice = advice
  }

  public var description: String { advice.isEmpty ? message : "\(message); \(advice)" }
}
