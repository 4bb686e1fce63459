/// `.dockerignore`: which files of a build's directory the build does not see.
///
/// A path is left out where the last pattern that matches it, or a directory above it, has no `!`.
public struct IgnoreFile: Sendable {
  private var patterns: [Pattern] = []

  private struct Pattern: Sendable {
    var parts: [[UInt8]]
    var isException: Bool
  }

  public init() {}

  /// Reads the file: one pattern a line, `#` begins a comment line.
  public init(_ bytes: [UInt8]) {
    for line in bytes.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    ) {
      var text = Self.trimmed(line)
      if text.first == UInt8(ascii: "#") { continue }
      let isException = text.first == UInt8(ascii: "!")
      if isException { text = Self.trimmed(text.dropFirst()) }
      let parts = Self.clean(text)
      if !parts.isEmpty { patterns.append(Pattern(parts: parts, isException: isException)) }
    }
  }

  /// Whether nothing is left out.
  public var isEmpty: Bool { patterns.isEmpty }
  /// Whether something in a directory that is left out may be shown all the same.
  public var hasExceptions: Bool { patterns.contains(where: \.isException) }

  /// Whether a path, its names from the build's directory down, is left out.
  public func leavesOut(_ path: [[UInt8]]) -> Bool {
    var isOut = false
    for pattern in patterns where pattern.isException == isOut {
      // A pattern that matches a directory takes all that is in it.
      let matches = (1...max(1, path.count)).contains {
        Self.match(pattern.parts[...], path.prefix($0))
      }
      if matches { isOut = !pattern.isException }
    }
    return isOut
  }

  private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    var line = line.drop(while: isBlank)
    while let last = line.last, isBlank(last) { line = line.dropLast() }
    return line
  }

  /// The pattern's names without `.` and empty ones, `..` taken away with what it leaves.
  private static func clean(_ text: ArraySlice<UInt8>) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    for part in text.split(separator: UInt8(ascii: "/")) {
      if part.elementsEqual(".".utf8) { continue }
      if part.elementsEqual("..".utf8) {
        _ = parts.popLast()
      } else {
        parts.append(Array(part))
      }
    }
    return parts
  }

  /// Whether a pattern matches a whole path; `**` is any number of names.
  private static func match(_ pattern: ArraySlice<[UInt8]>, _ path: ArraySlice<[UInt8]>) -> Bool {
    guard let first = pattern.first else { return path.isEmpty }
    if first.elementsEqual("**".utf8) {
      let rest = pattern.dropFirst()
      // At the end it wants something to match.
      if rest.isEmpty { return !path.isEmpty }
      return (0...path.count).contains { match(rest, path.dropFirst($0)) }
    }
    guard let name = path.first, matchName(first[...], name[...]) else { return false }
    return match(pattern.dropFirst(), path.dropFirst())
  }

  /// One name: `*`, `?`, `[a-z]`, `[^a-z]`, `\` before a character that stands for itself.
  public static func matchName(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
    var (pattern, name) = (pattern, name)
    // Where to go on after the last star: one more byte is the star's then.
    var star: (pattern: ArraySlice<UInt8>, name: ArraySlice<UInt8>)?
    while true {
      if pattern.first == UInt8(ascii: "*") {
        pattern = pattern.drop { $0 == UInt8(ascii: "*") }
        star = (pattern, name)
        continue
      }
      if let byte = name.first, let rest = step(pattern, byte) {
        (pattern, name) = (rest, name.dropFirst())
        continue
      }
      if pattern.isEmpty && name.isEmpty { return true }
      guard let last = star, !last.name.isEmpty else { return false }
      star = (last.pattern, last.name.dropFirst())
      (pattern, name) = (last.pattern, last.name.dropFirst())
    }
  }

  /// What is left of a pattern whose first element matches a byte; nil where it does not.
  private static func step(_ pattern: ArraySlice<UInt8>, _ byte: UInt8) -> ArraySlice<UInt8>? {
    guard let first = pattern.first else { return nil }
    let rest = pattern.dropFirst()
    switch first {
    case UInt8(ascii: "?"): return rest
    case UInt8(ascii: "["): return bracket(rest, byte)
    case UInt8(ascii: "\\"):
      guard let literal = rest.first else { return byte == first ? rest : nil }
      return literal == byte ? rest.dropFirst() : nil
    default: return first == byte ? rest : nil
    }
  }

  private static func bracket(_ pattern: ArraySlice<UInt8>, _ byte: UInt8) -> ArraySlice<UInt8>? {
    guard let end = pattern.dropFirst().firstIndex(of: UInt8(ascii: "]")) else { return nil }
    var set = pattern[..<end]
    let isNegated = set.first == UInt8(ascii: "^") || set.first == UInt8(ascii: "!")
    if isNegated { set = set.dropFirst() }
    var isIn = false
    while let low = set.popFirst() {
      var high = low
      if set.first == UInt8(ascii: "-"), set.count > 1 {
        set = set.dropFirst()
        high = set.popFirst() ?? low
      }
      if low <= byte && byte <= high { isIn = true }
    }
    return isIn != isNegated ? pattern[(end + 1)...] : nil
  }
}
