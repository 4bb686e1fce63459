internal import JSONValue
internal import UnionCore

/// Reads a template: text, and actions between `{{` and `}}`.
struct GoTemplateParser {
  private enum Piece {
    case text(String)
    case action([Token])
  }

  private enum Token: Equatable {
    case word(String)
    /// `.` alone, or `.Name` after it: a chain of fields is tokens without a blank between.
    case dot
    case field(String)
    case variable(String)
    case text(String)
    case number(Int64)
    case symbol(Character)
  }

  private var pieces: ArraySlice<Piece>

  init(_ source: String) throws(Failure) {
    var found: [Piece] = []
    var rest = Substring(Self.unescaped(source))
    while let open = rest.firstRange(of: "{{") {
      guard let close = rest[open.upperBound...].firstRange(of: "}}") else {
        throw GoTemplate.wrong("'{{' is not closed")
      }
      var text = String(rest[..<open.lowerBound])
      var action = rest[open.upperBound..<close.lowerBound]
      rest = rest[close.upperBound...]
      if action.hasPrefix("- ") {
        while text.last?.isWhitespace ?? false { text.removeLast() }
        action = action.dropFirst(2)
      }
      if action.hasSuffix(" -") {
        action = action.dropLast(2)
        rest = rest.drop(while: \.isWhitespace)
      }
      if !text.isEmpty { found.append(.text(text)) }
      found.append(.action(try Self.tokens(action)))
    }
    if !rest.isEmpty { found.append(.text(String(rest))) }
    pieces = found[...]
  }

  /// docker takes `\t` and `\n` for what they mean.
  private static func unescaped(_ text: String) -> String {
    text.replacing("\\t", with: "\t").replacing("\\n", with: "\n")
  }

  mutating func parse() throws(Failure) -> [GoTemplate.Node] {
    let (nodes, end) = try list()
    if let end { throw GoTemplate.wrong("'\(end)' ends nothing") }
    return nodes
  }

  /// Nodes up to `end` or `else`, which is taken too.
  private mutating func list() throws(Failure) -> ([GoTemplate.Node], end: String?) {
    var nodes: [GoTemplate.Node] = []
    while let piece = pieces.popFirst() {
      switch piece {
      case .text(let text): nodes.append(.text(text))
      case .action(let tokens):
        guard let first = tokens.first else { throw GoTemplate.wrong("'{{}}' says nothing") }
        if tokens.count == 1, first == .word("end") || first == .word("else") {
          return (nodes, first == .word("end") ? "end" : "else")
        }
        nodes.append(try node(tokens))
      }
    }
    return (nodes, nil)
  }

  private mutating func node(_ tokens: [Token]) throws(Failure) -> GoTemplate.Node {
    let rest = Array(tokens.dropFirst())
    switch tokens.first {
    case .word("if"), .word("with"):
      let condition = try Self.pipeline(rest)
      let (yes, no) = try branches()
      return .choice(condition, yes, no, rebinds: tokens.first == .word("with"))
    case .word("range"):
      var (key, value): (String?, String?) = (nil, nil)
      var list = rest
      if let assigned = rest.firstIndex(of: .symbol("=")) {
        let names = rest[..<assigned].compactMap { token in
          if case .variable(let name) = token { name } else { nil }
        }
        (key, value) = names.count > 1 ? (names[0], names[1]) : (nil, names.first)
        list = Array(rest[(assigned + 1)...])
      }
      let source = try Self.pipeline(list)
      let (body, otherwise) = try branches()
      return .range(key: key, value: value, source, body, otherwise)
    default: return .value(try Self.pipeline(tokens))
    }
  }

  private mutating func branches() throws(Failure) -> ([GoTemplate.Node], [GoTemplate.Node]) {
    let (first, end) = try list()
    guard let end else { throw GoTemplate.wrong("an 'end' is missing") }
    if end == "end" { return (first, []) }
    let (second, last) = try list()
    guard last == "end" else { throw GoTemplate.wrong("an 'end' is missing") }
    return (first, second)
  }
}

/// Expressions.
extension GoTemplateParser {
  private static func pipeline(_ tokens: [Token]) throws(Failure) -> GoTemplate.Expression {
    var rest = tokens[...]
    let found = try pipeline(&rest)
    if let more = rest.first { throw GoTemplate.wrong("'\(shown(more))' is not expected") }
    return found
  }

  private static func pipeline(
    _ tokens: inout ArraySlice<Token>
  ) throws(Failure) -> GoTemplate.Expression {
    var value = try command(&tokens)
    while tokens.first == .symbol("|") {
      tokens.removeFirst()
      guard case .word(let name) = tokens.popFirst() else {
        throw GoTemplate.wrong("after '|' a function is expected")
      }
      value = .call(try function(name), try operands(&tokens) + [value])
    }
    return value
  }

  private static func command(
    _ tokens: inout ArraySlice<Token>
  ) throws(Failure) -> GoTemplate.Expression {
    if case .word(let name) = tokens.first, name != "true", name != "false", name != "nil" {
      tokens.removeFirst()
      return .call(try function(name), try operands(&tokens))
    }
    guard let value = try operand(&tokens) else { throw GoTemplate.wrong("a value is missing") }
    return value
  }

  private static func function(_ name: String) throws(Failure) -> String {
    if GoTemplate.functions[name] == nil { _ = try GoTemplate.call(name, []) }
    return name
  }

  private static func operands(
    _ tokens: inout ArraySlice<Token>
  ) throws(Failure) -> [GoTemplate.Expression] {
    var found: [GoTemplate.Expression] = []
    while let operand = try operand(&tokens) { found.append(operand) }
    return found
  }

  private static func operand(
    _ tokens: inout ArraySlice<Token>
  ) throws(Failure) -> GoTemplate.Expression? {
    var value: GoTemplate.Expression
    switch tokens.first {
    case .dot: value = .dot
    case .variable(let name): value = .variable(name)
    case .text(let text): value = .literal(.string(text))
    case .number(let number): value = .literal(.integer(number))
    case .word("true"): value = .literal(true)
    case .word("false"): value = .literal(false)
    case .word("nil"): value = .literal(.null)
    case .symbol("("):
      tokens.removeFirst()
      value = try pipeline(&tokens)
      guard tokens.first == .symbol(")") else { throw GoTemplate.wrong("a ')' is missing") }
    default: return nil
    }
    tokens.removeFirst()
    while case .field(let name) = tokens.first {
      tokens.removeFirst()
      value = .field(value, name)
    }
    return value
  }

  private static func shown(_ token: Token) -> String {
    switch token {
    case .word(let word): word
    case .dot: "."
    case .field(let name): ".\(name)"
    case .variable(let name): "$\(name)"
    case .text(let text): "\"\(text)\""
    case .number(let number): "\(number)"
    case .symbol(let symbol): "\(symbol)"
    }
  }
}

/// Words of an action.
extension GoTemplateParser {
  private static func tokens(_ action: Substring) throws(Failure) -> [Token] {
    var tokens: [Token] = []
    var rest = action
    var isAfterValue = false
    while let character = rest.first {
      if character.isWhitespace {
        rest.removeFirst()
        isAfterValue = false
        continue
      }
      if character == "." {
        rest.removeFirst()
        let name = rest.prefix(while: isNameCharacter)
        rest = rest.dropFirst(name.count)
        if !isAfterValue { tokens.append(.dot) }
        if !name.isEmpty { tokens.append(.field(String(name))) }
      } else {
        tokens.append(try token(&rest, character))
      }
      isAfterValue = character != "(" && character != "|"
    }
    return tokens
  }

  private static func token(
    _ rest: inout Substring, _ character: Character
  ) throws(Failure) -> Token {
    if character == "\"" || character == "`" {
      rest.removeFirst()
      guard let end = rest.firstIndex(of: character) else {
        throw GoTemplate.wrong("a text is not closed")
      }
      let text = String(rest[..<end])
      rest = rest[rest.index(after: end)...]
      return .text(text)
    }
    if character == "$" {
      rest.removeFirst()
      let name = rest.prefix(while: isNameCharacter)
      rest = rest.dropFirst(name.count)
      return .variable(String(name))
    }
    if "()|,".contains(character) {
      rest.removeFirst()
      return .symbol(character)
    }
    if rest.hasPrefix(":=") {
      rest = rest.dropFirst(2)
      return .symbol("=")
    }
    let word = rest.prefix { isNameCharacter($0) || $0 == "-" }
    guard !word.isEmpty else { throw GoTemplate.wrong("'\(character)' is not expected") }
    rest = rest.dropFirst(word.count)
    if let number = Int64(word) { return .number(number) }
    return .word(String(word))
  }

  private static func isNameCharacter(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || character == "_"
  }
}
