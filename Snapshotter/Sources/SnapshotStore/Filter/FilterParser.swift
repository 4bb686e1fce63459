/// Makes selectors of a filter's tokens.
struct FilterParser {
  private var scanner: FilterScanner

  /// An empty filter has none, so that it matches everything.
  static func selectors(_ text: String) throws(FilterSyntaxError) -> [Filter.Selector] {
    if text.isEmpty { return [] }
    var parser = FilterParser(scanner: FilterScanner(text))
    var selectors = [try parser.selector()]
    while let next = parser.scanner.next {
      guard next == "," else {
        throw FilterSyntaxError(
          position: parser.scanner.position, message: "'\(next)' where a comma or the end should be"
        )
      }
      _ = try parser.scanner.scan()
      selectors.append(try parser.selector())
    }
    return selectors
  }

  private mutating func selector() throws(FilterSyntaxError) -> Filter.Selector {
    let path = try fieldPath()
    if scanner.next == nil || scanner.next == "," {
      return Filter.Selector(path: path, relation: .present, value: "")
    }
    let relation = try relation()
    return Filter.Selector(
      path: path, relation: relation, value: try value(isExpression: relation == .matches))
  }

  private mutating func fieldPath() throws(FilterSyntaxError) -> [String] {
    var path = [try field()]
    while scanner.next == "." {
      _ = try scanner.scan()
      path.append(try field())
    }
    return path
  }

  private mutating func field() throws(FilterSyntaxError) -> String {
    let (start, token) = try scanner.scan()
    switch token {
    case .field(let name): return name
    case .quoted(let quoted): return try Self.unquoted(quoted, at: start, quotes: ["\""])
    default:
      throw FilterSyntaxError(
        position: start, message: "a field's name, or one in quotes, is missing")
    }
  }

  private mutating func relation() throws(FilterSyntaxError) -> Filter.Operator {
    let (start, token) = try scanner.scan()
    switch token {
    case .sign("=="): return .equal
    case .sign("!="): return .notEqual
    case .sign("~="): return .matches
    default:
      throw FilterSyntaxError(position: start, message: "an operator is missing: ==, != or ~=")
    }
  }

  private mutating func value(isExpression: Bool) throws(FilterSyntaxError) -> String {
    let (start, token) = try scanner.scan()
    switch token {
    case .value(let text), .field(let text): return text
    case .quoted(let quoted):
      let quotes: [Unicode.Scalar] = isExpression ? ["\"", "/", "|"] : ["\""]
      return try Self.unquoted(quoted, at: start, quotes: quotes)
    default:
      throw FilterSyntaxError(position: start, message: "a value, or one in quotes, is missing")
    }
  }

  private static func unquoted(
    _ quoted: [Unicode.Scalar], at start: Int, quotes: [Unicode.Scalar]
  ) throws(FilterSyntaxError) -> String {
    guard let quote = quoted.first, quotes.contains(quote) else {
      throw FilterSyntaxError(position: start, message: "only double quotes are possible here")
    }
    var unquoting = Unquoting(quoted.dropFirst().dropLast(), quote: quote)
    guard let text = unquoting.text() else {
      throw FilterSyntaxError(position: start, message: "a backslash that begins no escape of Go's")
    }
    return text
  }
}

/// Takes Go's escapes out of the inside of a quoted text.
private struct Unquoting {
  private var rest: ArraySlice<Unicode.Scalar>
  private let quote: Unicode.Scalar
  /// Bytes, since `\x` and `\NNN` are single ones; what is no UTF-8 then reads as U+FFFD.
  private var bytes: [UInt8] = []

  init(_ inside: ArraySlice<Unicode.Scalar>, quote: Unicode.Scalar) {
    rest = inside
    self.quote = quote
  }

  /// nil where an escape is none.
  mutating func text() -> String? {
    while let scalar = rest.popFirst() {
      if scalar != "\\" {
        append(scalar)
      } else if !escape() {
        return nil
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private mutating func append(_ scalar: Unicode.Scalar) {
    bytes += Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
  }

  private mutating func escape() -> Bool {
    guard let scalar = rest.popFirst() else { return false }
    switch scalar {
    case "a": bytes.append(0x07)
    case "b": bytes.append(0x08)
    case "f": bytes.append(0x0C)
    case "n": bytes.append(0x0A)
    case "r": bytes.append(0x0D)
    case "t": bytes.append(0x09)
    case "v": bytes.append(0x0B)
    case "\\", quote: append(scalar)
    case "x":
      guard let value = number(digits: 2, base: 16) else { return false }
      bytes.append(UInt8(truncatingIfNeeded: value))
    case "u", "U":
      guard let value = number(digits: scalar == "u" ? 4 : 8, base: 16), value <= 0x10FFFF else {
        return false
      }
      append(Unicode.Scalar(value) ?? "\u{FFFD}")
    case "0"..."7":
      rest = [scalar] + rest
      guard let value = number(digits: 3, base: 8), value <= 255 else { return false }
      bytes.append(UInt8(value))
    default: return false
    }
    return true
  }

  private mutating func number(digits: Int, base: UInt32) -> UInt32? {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let scalar = rest.popFirst(), scalar.isASCII,
        let digit = Character(scalar).hexDigitValue,
        digit < Int(base)
      else { return nil }
      value = value &* base &+ UInt32(digit)
    }
    return value
  }
}
