internal import SystemPackage
internal import UnionCore

/// A server's answer as people and programs read it.
enum WhichReport {
  /// A block of lines: the path, then a line for each branch.
  static func text(_ path: [UInt8], _ answer: WhichProtocol.Answer) -> [UInt8] {
    var text = Text.terminal(path) + newline
    var hider: WhichProtocol.Entry?
    for entry in answer.entries {
      text += Array("  \(padded(entry.state.rawValue, 9))\(padded(entry.permission, 9))".utf8)
      text += Text.terminal(entry.realPath.pathBytes)
      if entry.state == .hidden, let hider { text += Array("  (by \(reason(hider)))".utf8) }
      text += newline
      if entry.state != .hidden, entry.state != .merged, hider == nil || entry.state != .visible {
        hider = entry
      }
    }
    if answer.entries.isEmpty { text += Array("  no branch has it\n".utf8) }
    if answer.omitted > 0 { text += Array("  and \(answer.omitted) more\n".utf8) }
    return text
  }

  private static func reason(_ entry: WhichProtocol.Entry) -> String {
    switch entry.state {
    case .whiteout: "the whiteout above"
    case .opaque: "the opaque directory above"
    case .visible, .merged, .hidden: "the entry above"
    }
  }

  private static func padded(_ word: String, _ width: Int) -> String {
    word + String(repeating: " ", count: max(1, width - word.utf8.count))
  }

  private static let newline = [UInt8(ascii: "\n")]
}

/// JSON. A path that is not UTF-8 reads with U+FFFD, and then stands beside it as `…_escaped`, as
/// /proc/mounts would escape it with every byte above 126 too.
extension WhichReport {
  static func array(_ objects: [[UInt8]]) -> [UInt8] {
    if objects.isEmpty { return Array("[]\n".utf8) }
    return Array("[\n".utf8) + Array(objects.joined(separator: ",\n".utf8)) + Array("\n]\n".utf8)
  }

  static func json(_ path: [UInt8], _ answer: WhichProtocol.Answer) -> [UInt8] {
    let visible = answer.entries.first { $0.state == .visible }
    let source = visible.map { member("source", $0.realPath.pathBytes) } ?? "\"source\": null"
    let entries = answer.entries.map { entry in
      "{" + member("state", Array(entry.state.rawValue.utf8)) + ", "
        + member("permission", Array(entry.permission.utf8)) + ", "
        + member("branch", entry.branch.pathBytes) + ", "
        + member("path", entry.realPath.pathBytes) + "}"
    }
    let list = entries.isEmpty ? "[]" : "[\n    " + entries.joined(separator: ",\n    ") + "]"
    return Array(
      "  {\(member("path", path)), \(source), \"omitted\": \(answer.omitted),\n   \"entries\": \(list)}"
        .utf8)
  }

  static func member(_ name: String, _ value: [UInt8]) -> String {
    let text = String(decoding: value, as: UTF8.self)
    let plain = "\"\(name)\": \(quoted(text))"
    if Array(text.utf8) == value { return plain }
    let escaped = OctalEscape.escape(value, where: { OctalEscape.isSpecial($0) || $0 > 0x7E })
    return plain + ", \"\(name)_escaped\": \(quoted(String(decoding: escaped, as: UTF8.self)))"
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
