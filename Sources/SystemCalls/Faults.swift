internal import CSystemCalls
internal import Glibc

/// Faults for tests: the calls of this wall are counted, and one of them fails or kills the process.
/// Off, each call pays for one look at a variable.
public enum Faults {
  public enum Mode: UInt32, Sendable {
    case off = 0
    case count = 1
    case fail = 2
    case kill = 3
  }

  /// Whether the environment allows it (`UNIONFS_SWIFT_TEST_FAULTS`), as only a test does.
  public static let areAllowed = getenv("UNIONFS_SWIFT_TEST_FAULTS") != nil

  /// Counts from 0 on; call `target`, counted from 1, fails with `code` or is the last.
  public static func arm(_ mode: Mode, target: UInt64, code: CInt) {
    csys_fault_arm(CInt(mode.rawValue), target, code)
  }

  /// Calls since `arm`.
  public static var count: UInt64 { csys_fault_count() }
}
