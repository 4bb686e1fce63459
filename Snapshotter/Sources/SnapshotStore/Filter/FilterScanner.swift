/// What is wrong in a filter, and before which character (counted from 1).
struct FilterSyntaxError: Error, CustomStringConvertible {
  let position: Int
  let message: String

  var description: String { "at character \(position + 1): \(message)" }
}

/// Cuts a filter into tokens.
struct FilterScanner {
  enum Token: Equatable {
    case end
    case field(String)
    case value(String)
    /// With the quotes.
    case quoted([Unicode.Scalar])
    case separator(Unicode.Scalar)
    case sign(String)
    case other(Unicode.Scalar)
  }

  private let input: [Unicode.Scalar]
  private(set) var position = 0
  /// After an operator: the next word may hold what no field does.
  private var expectsValue = false

  init(_ text: String) { input = Array(text.unicodeScalars) }

  /// The next character, untouched.
  var next: Unicode.Scalar? { position < input.count ? input[position] : nil }

  /// The next token and where it begins.
  mutating func scan() throws(FilterSyntaxError) -> (start: Int, token: Token) {
    while let scalar = next, scalar.properties.isWhitespace { position += 1 }
    let start = position
    guard let first = next else { return (start, .end) }
    position += 1
    switch first {
    case "\0": throw FilterSyntaxError(position: start, message: "a NUL")
    case "\"", "/", "|":
      try skipQuoted(first, from: start)
      return (start, .quoted(Array(input[start..<position])))
    case ",", ".":
      expectsValue = false
      return (start, .separator(first))
    case "=", "!", "~":
      skip { "=!~".unicodeScalars.contains($0) }
      expectsValue = true
      return (start, .sign(text(from: start)))
    default: break
    }
    if expectsValue {
      skip(while: Self.isOfValue)
      expectsValue = false
      return (start, .value(text(from: start)))
    }
    guard Self.isOfField(first) else { return (start, .other(first)) }
    skip(while: Self.isOfField)
    return (start, .field(text(from: start)))
  }

  private mutating func skip(while isWanted: (Unicode.Scalar) -> Bool) {
    while let scalar = next, isWanted(scalar) { position += 1 }
  }

  private func text(from start: Int) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: input[start..<position])
    return String(text)
  }

  /// To behind the closing quote; a backslash takes the next character with it.
  private mutating func skipQuoted(_ quote: Unicode.Scalar, from start: Int)
    throws(FilterSyntaxError)
  {
    while let scalar = next, scalar != "\n", scalar != "\0" {
      position += scalar == "\\" && position + 1 < input.count ? 2 : 1
      if scalar == quote { return }
    }
    throw FilterSyntaxError(position: start, message: "the quoted text does not end")
  }

  private static func isOfField(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "_", "0"..."9", "A"..."Z", "a"..."z": true
    default: false
    }
  }

  private static func isOfValue(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == "," || scalar.properties.isWhitespace { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator:
      return false
    default: return true
    }
  }
}
