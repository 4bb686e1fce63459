/// Lists whose separators may be escaped by a backslash, as mount options and aufs's branches are.
public enum EscapedText {
  private static let backslash = UInt8(ascii: "\\")
  private static let escapable = [UInt8(ascii: ":"), UInt8(ascii: ","), backslash]

  /// Cuts at each separator that is not escaped. The escapes stay, for the next level to read.
  public static func split(_ text: [UInt8], at separator: UInt8) -> [[UInt8]] {
    var parts: [[UInt8]] = [[]]
    var escaped = false
    for byte in text {
      if byte == separator, !escaped {
        parts.append([])
      } else {
        parts[parts.count - 1].append(byte)
      }
      escaped = byte == backslash && !escaped
    }
    return parts
  }

  /// `\:`, `\,` and `\\` without their backslash; any other backslash stands for itself.
  public static func unescape(_ text: [UInt8]) -> [UInt8] {
    var plain: [UInt8] = []
    var index = 0
    while index < text.count {
      if text[index] == backslash, index + 1 < text.count, escapable.contains(text[index + 1]) {
        index += 1
      }
      plain.append(text[index])
      index += 1
    }
    return plain
  }
}
