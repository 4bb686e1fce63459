public import UnionCore

/// Replaces variables and takes quotes away, as a build does in most instructions.
public struct Substitution {
  private let value: (String) -> String?
  private let escape: Character
  /// What an error calls the place, `Dockerfile line 3`.
  private let place: String

  public init(escape: Character = "\\", place: String, _ value: @escaping (String) -> String?) {
    self.escape = escape
    self.place = place
    self.value = value
  }

  /// The word with variables replaced, quotes and escapes taken away.
  public func word(_ text: String) throws(Failure) -> String {
    try pieces(text, splits: false).first ?? ""
  }

  /// The same; what a variable outside of quotes holds is split at blanks.
  public func words(_ text: String) throws(Failure) -> [String] { try pieces(text, splits: true) }

  /// Variables alone: quotes stay, as in a here-document.
  public func variables(_ text: String) throws(Failure) -> String {
    var scanner = Scanner(text)
    var result = ""
    while let character = scanner.next() {
      if character == escape, let next = scanner.peek, next == "$" || next == escape {
        result.append(next)
        scanner.skip()
      } else if character == "$" {
        result += try variable(&scanner)
      } else {
        result.append(character)
      }
    }
    return result
  }

  private func pieces(_ text: String, splits: Bool) throws(Failure) -> [String] {
    var scanner = Scanner(text)
    var found: [String] = []
    var word = ""
    var isWord = false
    func endWord() {
      if isWord { found.append(word) }
      (word, isWord) = ("", false)
    }
    while let character = scanner.next() {
      switch character {
      case "'":
        isWord = true
        word += try quoted(&scanner)
      case "\"":
        isWord = true
        word += try doubleQuoted(&scanner)
      case escape:
        isWord = true
        // At the end it stands for itself.
        word.append(scanner.next() ?? character)
      case "$":
        let text = try variable(&scanner)
        if !splits {
          word += text
          isWord = true
          continue
        }
        for (index, part) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isBlank)
          .enumerated()
        {
          if index > 0 { endWord() }
          if !part.isEmpty {
            word += part
            isWord = true
          }
        }
      case _ where splits && character.isBlank: endWord()
      default:
        isWord = true
        word.append(character)
      }
    }
    endWord()
    return found
  }

  private func quoted(_ scanner: inout Scanner) throws(Failure) -> String {
    var text = ""
    while let character = scanner.next() {
      if character == "'" { return text }
      text.append(character)
    }
    throw unclosed("'")
  }

  private func doubleQuoted(_ scanner: inout Scanner) throws(Failure) -> String {
    var text = ""
    while let character = scanner.next() {
      switch character {
      case "\"": return text
      case "$": text += try variable(&scanner)
      case escape:
        guard let next = scanner.next() else { throw unclosed("\"") }
        if next != "\"" && next != "$" && next != escape { text.append(character) }
        text.append(next)
      default: text.append(character)
      }
    }
    throw unclosed("\"")
  }

  /// What follows a `$`.
  private func variable(_ scanner: inout Scanner) throws(Failure) -> String {
    guard let first = scanner.peek else { return "$" }
    if first == "{" {
      scanner.skip()
      return try braced(&scanner)
    }
    let name = scanner.name()
    return name.isEmpty ? "$" : value(name) ?? ""
  }

  /// `${NAME}`, `${NAME:-WORD}`, `${NAME:+WORD}`, `${NAME:?WORD}`, and without the colon.
  private func braced(_ scanner: inout Scanner) throws(Failure) -> String {
    let name = scanner.name()
    guard !name.isEmpty, var mark = scanner.next() else { throw unclosed("${") }
    let found = value(name)
    if mark == "}" { return found ?? "" }
    var isSet = found != nil
    if mark == ":" {
      isSet = !(found ?? "").isEmpty
      guard let next = scanner.next() else { throw unclosed("${") }
      mark = next
    }
    guard let text = scanner.upToBrace() else { throw unclosed("${") }
    let word = try self.word(text)
    switch mark {
    case "-": return isSet ? found ?? "" : word
    case "+": return isSet ? word : ""
    case "?":
      if isSet { return found ?? "" }
      throw Failure(
        .malformedInput, "\(place): \(name): \(word.isEmpty ? "is not set" : word)",
        advice: "give it with ARG, ENV or --build-arg")
    default:
      throw Failure(
        .malformedInput, "\(place): '${\(name)\(mark)…}' is not known here",
        advice: "known are ':-', ':+', ':?', '-', '+', '?'")
    }
  }

  private func unclosed(_ mark: String) -> Failure {
    Failure(.malformedInput, "\(place): a \(mark) is not closed", advice: "close it")
  }
}

/// Characters one after the other.
private struct Scanner {
  private var rest: Substring
  init(_ text: String) { rest = text[...] }

  var peek: Character? { rest.first }
  mutating func skip() { rest = rest.dropFirst() }
  mutating func next() -> Character? { rest.popFirst() }

  /// A variable's name, or one digit.
  mutating func name() -> String {
    func isLetter(_ character: Character) -> Bool {
      character.isASCII && (character.isLetter || character == "_")
    }
    guard let first = rest.first else { return "" }
    if first.isASCII && first.isNumber {
      skip()
      return String(first)
    }
    guard isLetter(first) else { return "" }
    let name = rest.prefix { isLetter($0) || ($0.isASCII && $0.isNumber) }
    rest = rest.dropFirst(name.count)
    return String(name)
  }

  /// The text up to the brace that closes, braces in it counted; nil where none does.
  mutating func upToBrace() -> String? {
    var text = ""
    var depth = 0
    while let character = next() {
      if character == "\\", let after = next() {
        text += [character, after]
        continue
      }
      if character == "{" { depth += 1 }
      if character == "}" {
        if depth == 0 { return text }
        depth -= 1
      }
      text.append(character)
    }
    return nil
  }
}
