public import UnionCore

/// A Dockerfile, read: https://docs.docker.com/reference/dockerfile/.
public struct Dockerfile: Sendable, Equatable {
  public var instructions: [Instruction]
  /// What should be changed in the file, though it means something: a sentence each.
  public var warnings: [String] = []

  /// Reads the whole file. `path` is what errors call it.
  ///
  /// - Throws: a `Failure` that names the line.
  public init(_ bytes: [UInt8], path: String) throws(Failure) {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(.malformedInput, "\(path) is not UTF-8", advice: "save it as UTF-8")
    }
    var lines = LogicalLines(text, path: path)
    var instructions: [Instruction] = []
    while let line = try lines.next() {
      var parser = InstructionParser(line, path: path, escape: lines.escape)
      instructions.append(try parser.parse())
    }
    self.instructions = instructions
    warnings = lines.warnings
    try checkOrder(path)
  }

  /// An instruction that stands in an image's ONBUILD.
  public static func trigger(_ text: String, path: String) throws(Failure) -> Instruction {
    let line = LogicalLine(number: 1, text: text, documents: [])
    var parser = InstructionParser(line, path: path, escape: "\\")
    return try parser.parse()
  }

  /// Only ARG may stand before the first FROM.
  private func checkOrder(_ path: String) throws(Failure) {
    for instruction in instructions {
      switch instruction.kind {
      case .from: return
      case .arg: continue
      default:
        throw Failure(
          .malformedInput, "\(path) line \(instruction.line): no FROM stands before this",
          advice: "begin with FROM; only ARG may stand before it")
      }
    }
    throw Failure(
      .malformedInput, "\(path) has no FROM", advice: "begin with 'FROM IMAGE' or 'FROM scratch'")
  }
}

/// An instruction's text: its lines joined, comments taken out.
struct LogicalLine: Equatable {
  var number: Int
  var text: String
  var documents: [Instruction.HereDocument]
}

/// Joins lines that end in the escape character; finds the directives at the top.
struct LogicalLines {
  private(set) var escape: Character = "\\"
  private(set) var warnings: [String] = []
  private let lines: [Substring]
  private var position = 0
  private let path: String

  init(_ text: String, path: String) {
    self.path = path
    // "\r\n" is one Character.
    var lines = text.split(
      omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" })
    if let first = lines.first, first.unicodeScalars.first == "\u{FEFF}" {
      lines[0] = Substring(first.unicodeScalars.dropFirst())
    }
    self.lines = lines
    readDirectives()
  }

  /// `# escape=…` and others count only before anything else.
  private mutating func readDirectives() {
    for line in lines {
      let words = line.trimmed
      guard words.hasPrefix("#") else { return }
      let parts = words.dropFirst().split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { return }
      let name = parts[0].trimmed.lowercased()
      guard ["escape", "syntax", "check"].contains(name) else { return }
      if name == "escape" {
        let value = parts[1].trimmed
        if value == "`" || value == "\\" { escape = value.first ?? escape }
      }
    }
  }

  mutating func next() throws(Failure) -> LogicalLine? {
    var text = ""
    var number: Int?
    while position < lines.count {
      let line = lines[position]
      position += 1
      let trimmed = line.trimmedStart
      if trimmed.hasPrefix("#") { continue }
      if trimmed.trimmed.isEmpty {
        if number != nil {
          warnings.append(
            "\(path) line \(position): an empty line in an instruction is passed over")
        }
        continue
      }
      if number == nil { number = position }
      let (part, goesOn) = Self.continuation(number == position ? trimmed : line, escape)
      text += part
      if !goesOn { break }
    }
    guard let number else { return nil }
    return LogicalLine(number: number, text: text, documents: try documents(of: text, number))
  }

  /// The line without the escape character and the blanks after it.
  private static func continuation(_ line: Substring, _ escape: Character) -> (Substring, Bool) {
    let end = line.trimmedEnd
    guard end.last == escape else { return (line, false) }
    return (end.dropLast(), true)
  }

  /// `<<NAME` of RUN, COPY and ADD: the lines up to NAME are its content.
  private mutating func documents(
    of text: String, _ number: Int
  ) throws(Failure) -> [Instruction.HereDocument] {
    let keyword = text.prefix { !$0.isBlank }.uppercased()
    guard ["RUN", "COPY", "ADD"].contains(keyword), text.contains("<<") else { return [] }
    var found: [Instruction.HereDocument] = []
    for word in text.split(whereSeparator: \.isBlank) {
      guard let mark = HereMark(word) else { continue }
      var content = ""
      while true {
        guard position < lines.count else {
          throw Failure(
            .malformedInput, "\(path) line \(number): the document '\(mark.name)' has no end",
            advice: "end it with a line '\(mark.name)'")
        }
        let line = lines[position]
        position += 1
        let body = mark.stripsTabs ? line.drop { $0 == "\t" } : line
        if body == mark.name { break }
        content += body + "\n"
      }
      found.append(.init(name: mark.name, content: content, expands: mark.expands))
    }
    return found
  }
}

/// A word `[N]<<[-]NAME`, NAME perhaps quoted.
struct HereMark {
  let name: String
  let stripsTabs: Bool
  let expands: Bool

  init?(_ word: some StringProtocol) {
    var rest = word.drop { $0.isNumber }
    guard rest.hasPrefix("<<") else { return nil }
    rest = rest.dropFirst(2)
    stripsTabs = rest.first == "-"
    if stripsTabs { rest = rest.dropFirst() }
    let quote = rest.first.flatMap { $0 == "\"" || $0 == "'" ? $0 : nil }
    expands = quote == nil
    if let quote {
      guard rest.count > 2, rest.last == quote else { return nil }
      rest = rest.dropFirst().dropLast()
    }
    guard !rest.isEmpty, rest.allSatisfy({ $0.isLetter || $0.isNumber || "_-.".contains($0) })
    else {
      return nil
    }
    name = String(rest)
  }
}

extension Character {
  var isBlank: Bool { self == " " || self == "\t" }
}

extension StringProtocol where SubSequence == Substring {
  var trimmedStart: Substring { drop { $0.isBlank } }
  var trimmedEnd: Substring {
    var rest = self[...]
    while let last = rest.last, last.isBlank { rest = rest.dropLast() }
    return rest
  }
  var trimmed: Substring { trimmedStart.trimmedEnd }
}
