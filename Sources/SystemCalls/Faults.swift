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

  /// Arms what the variable says: `kill:CALL` or `fail:CALL:ERRNO`, calls counted from 1. For commands
  /// that end by themselves; a server is asked by an ioctl.
  public static func armFromEnvironment() {
    guard let value = getenv("UNIONFS_SWIFT_TEST_FAULTS") else { return }
    let words = String(cString: value).split(separator: ":")
    guard words.count > 1, let target = UInt64(words[1]) else { return }
    if words[0] == "kill" { arm(.kill, target: target, code: 0) }
    if words[0] == "fail", words.count > 2, let code = CInt(words[2]) {
      arm(.fail, target: target, code: code)
    }
  }

  /// Counts from 0 on; call `target`, counted from 1, fails with `code` or is the last.
  public static func arm(_ mode: Mode, target: UInt64, code: CInt) {
    csys_fault_arm(CInt(mode.rawValue), target, code)
  }

  /// Calls since `arm`.
  public static var count: UInt64 { csys_fault_count() }
}
