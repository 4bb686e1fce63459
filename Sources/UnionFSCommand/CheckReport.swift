internal import SystemPackage
internal import UnionCore

/// What `check` writes, finding by finding.
final class CheckReport {
  private let branches: [FilePath]
  private let json: Bool
  private let mode: RepairMode
  private let verbose: Bool
  /// How many findings are still there.
  private(set) var remaining = 0
  private var written = 0
  private var buffer: [UInt8] = []

  init(_ branches: [BranchSpecification], json: Bool, mode: RepairMode, verbose: Bool) {
    self.branches = branches.map(\.path)
    self.json = json
    self.mode = mode
    self.verbose = verbose
  }

  func add(_ finding: Finding) {
    if finding.remains { remaining += 1 }
    if finding.kind.isNote && !verbose { return }
    if json {
      buffer += Array((written == 0 ? "[\n" : ",\n").utf8) + Array(object(finding).utf8)
    } else {
      buffer += line(finding)
    }
    written += 1
    if buffer.count > 1 << 16 { flush() }
  }

  func finish() {
    if json { buffer += Array((written == 0 ? "[]\n" : "\n]\n").utf8) }
    flush()
  }

  private func flush() {
    Text.writeOutput(buffer)
    buffer.removeAll(keepingCapacity: true)
  }

  private func path(_ finding: Finding) -> [UInt8] {
    let branch = branches[finding.branch].pathBytes
    if finding.path.isEmpty { return branch }
    return branch + (branch.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + finding.path
  }

  /// `KIND  PATH  what, what to do`, and with --repair what became of it.
  private func line(_ finding: Finding) -> [UInt8] {
    var text = "\(finding.message); \(finding.advice)"
    switch finding.state {
    case .found: break
    case .wouldRepair: text = "\(finding.message); would be repaired"
    case .repaired: text = "\(finding.message); repaired"
    case .left(let reason): text += " (not repaired: \(reason))"
    }
    return Array("\(finding.kind.rawValue)  ".utf8) + Text.terminal(path(finding))
      + Text.terminal(Array("  \(text)".utf8)) + [UInt8(ascii: "\n")]
  }

  private func object(_ finding: Finding) -> String {
    var reason: String?
    let state: String
    switch finding.state {
    case .found: state = finding.kind.isNote ? "note" : "found"
    case .wouldRepair: state = "would-repair"
    case .repaired: state = "repaired"
    case .left(let why):
      state = "left"
      reason = why
    }
    var members = [
      WhichReport.member("kind", Array(finding.kind.rawValue.utf8)),
      WhichReport.member("state", Array(state.utf8)),
      WhichReport.member("branch", branches[finding.branch].pathBytes),
      WhichReport.member("path", path(finding)),
      WhichReport.member("message", Array(finding.message.utf8)),
      WhichReport.member("advice", Array(finding.advice.utf8)),
    ]
    if let reason { members.append(WhichReport.member("reason", Array(reason.utf8))) }
    return "  {" + members.joined(separator: ", ") + "}"
  }
}
