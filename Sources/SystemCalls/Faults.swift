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
    /// As Ctrl-C does.
    case interrupt = 5
  }

  /// Whether the environment allows it (`UNIONFS_SWIFT_TEST_FAULTS`), as only a test does.
  public static let areAllowed = getenv("UNIONFS_SWIFT_TEST_FAULTS") != nil

  /// Arms what the variable says: `kill:CALL` or `fail:CALL:ERRNO`, calls counted from 1; with
  /// `kill-change:CALL` those alone that make, remove or shorten something, rename or flush it; with
  /// `kill-publish:CALL` those that rename, link or flush; `interrupt:CALL` sends SIGINT instead. For
  /// commands that end by themselves; a server is asked by an ioctl. What the command starts is not armed.
  public static func armFromEnvironment() {
    guard let value = getenv("UNIONFS_SWIFT_TEST_FAULTS") else { return }
    let words = String(cString: value).split(separator: ":")
    guard words.count > 1, let target = UInt64(words[1]) else { return }
    switch words[0] {
    case "kill": arm(.kill, target: target, code: 0)
    case "kill-change": arm(.kill, least: CSYS_CALL_CHANGE, target: target, code: 0)
    case "kill-publish": arm(.kill, least: CSYS_CALL_PUBLISH, target: target, code: 0)
    case "interrupt": arm(.interrupt, target: target, code: 0)
    case "fail":
      guard words.count > 2, let code = CInt(words[2]) else { return }
      arm(.fail, target: target, code: code)
    default: return
    }
    unsetenv("UNIONFS_SWIFT_TEST_FAULTS")
  }

  /// Counts from 0 on; call `target`, counted from 1, fails with `code` or is the last.
  public static func arm(_ mode: Mode, target: UInt64, code: CInt) {
    arm(mode, least: CSYS_CALL_ANY, target: target, code: code)
  }

  private static func arm(_ mode: Mode, least: csys_call, target: UInt64, code: CInt) {
    csys_fault_arm(CInt(mode.rawValue), least, target, code)
  }

  /// Calls since `arm`.
  public static var count: UInt64 { csys_fault_count() }
}
