internal import SystemPackage
internal import UnionCore

/// What the command writes.
enum Text {
  /// Bytes for one line of a terminal: control characters as `\ooo`, the rest as it is.
  static func terminal(_ bytes: [UInt8]) -> [UInt8] {
    OctalEscape.escape(bytes, where: { $0 < 0x20 || $0 == 0x7F })
  }

  /// The same for several lines, which keep their ends.
  static func terminalLines(_ text: String) -> [UInt8] {
    OctalEscape.escape(Array(text.utf8), where: { ($0 < 0x20 && $0 != 0x0A) || $0 == 0x7F })
  }

  static func printable(_ bytes: [UInt8]) -> String {
    String(decoding: terminal(bytes), as: UTF8.self)
  }

  /// A failing write (a closed pipe, a full disk) is not reported: there is nowhere left to.
  static func writeOutput(_ bytes: [UInt8]) {
    _ = try? FileDescriptor.standardOutput.writeAll(bytes)
  }

  /// What moves a terminal's cursor, on standard error as it is.
  static func writeTerminal(_ text: String) {
    _ = try? FileDescriptor.standardError.writeAll(Array(text.utf8))
  }

  /// One line on standard error, whatever the message holds.
  static func writeError(_ message: String) {
    let line = Array("unionfs-swift: \(message)".utf8)
    _ = try? FileDescriptor.standardError.writeAll(terminal(line) + [UInt8(ascii: "\n")])
  }
}
