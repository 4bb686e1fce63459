internal import SystemPackage
public import UnionCore

extension Failure {
  /// What a call answers that the caller has called off.
  public static let cancelled = Failure(.failed, "cancelled")

  /// A system call's error, with what failed.
  static func system(_ what: String, _ error: Errno) -> Failure {
    switch error {
    case .permissionDenied, .notPermitted: Failure(.permission, "\(what): \(error)")
    case .noSpace, .diskQuotaExceeded:
      Failure(.failed, "\(what): \(error)", advice: "make room and try again")
    default: Failure(.failed, "\(what): \(error)")
    }
  }

  static func malformed(_ what: String) -> Failure { Failure(.malformedInput, what) }
}

/// Bytes of a name for a message: text as it is, control characters and what is no UTF-8 escaped.
func shown(_ bytes: some Collection<UInt8>) -> String {
  let isText = String(validating: bytes, as: UTF8.self) != nil
  let escaped = OctalEscape.escape(bytes.prefix(300)) {
    $0 < 0x20 || $0 == 0x7F || (!isText && $0 > 0x7E)
  }
  return String(decoding: escaped, as: UTF8.self)
}

/// The same of a C string.
func shown(_ name: UnsafePointer<CChar>) -> String { shown(bytes(of: name)) }

/// A C string's bytes.
func bytes(of name: UnsafePointer<CChar>) -> [UInt8] {
  var count = 0
  while name[count] != 0 { count += 1 }
  return (0..<count).map { UInt8(bitPattern: name[$0]) }
}

/// Runs system calls; their error becomes a failure that says what failed.
@inline(__always)
func system<Result: ~Copyable>(
  _ what: @autoclosure () -> String, _ body: () throws(Errno) -> Result
) throws(Failure) -> Result {
  do throws(Errno) { return try body() } catch { throw .system(what(), error) }
}
