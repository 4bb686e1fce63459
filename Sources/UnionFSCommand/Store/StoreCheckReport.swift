internal import JSONValue
internal import LayerStore
internal import SystemPackage

/// What `check --root` writes: a line or an object for each finding.
enum StoreCheckReport {
  static func write(_ findings: [StoreFinding], root: FilePath, json: Bool) {
    if json {
      let objects = findings.map { finding -> JSONValue in
        [
          "kind": .string(finding.kind.rawValue), "state": "found",
          "path": .string(path(finding, root)), "message": .string(finding.message),
          "advice": .string(finding.advice),
        ]
      }
      return Text.writeOutput(JSONValue.array(objects).prettyBytes + [UInt8(ascii: "\n")])
    }
    for finding in findings {
      let text = finding.advice.isEmpty ? finding.message : "\(finding.message); \(finding.advice)"
      let line = "\(finding.kind.rawValue)  \(path(finding, root))  \(text)"
      Text.writeOutput(Text.terminal(Array(line.utf8)) + [UInt8(ascii: "\n")])
    }
  }

  private static func path(_ finding: StoreFinding, _ root: FilePath) -> String {
    finding.path.isEmpty ? "\(root)" : "\(root)/\(finding.path)"
  }
}
