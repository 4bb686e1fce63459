internal import JSONValue
internal import UnionCore

/// Reads one instruction.
struct InstructionParser {
  private let line: LogicalLine
  private let path: String
  private let escape: Character
  private var rest: Substring
  private var flags: [Instruction.Pair] = []
  private let keyword: String

  init(_ line: LogicalLine, path: String, escape: Character) {
    self.line = line
    self.path = path
    self.escape = escape
    let text = line.text.trimmed
    keyword = text.prefix { !$0.isBlank }.uppercased()
    rest = text.drop { !$0.isBlank }.trimmed
  }

  mutating func parse() throws(Failure) -> Instruction {
    if Self.flagNames[keyword] != nil { try takeFlags() }
    let text = ([keyword] + (rest.isEmpty ? [] : [String(rest)])).joined(separator: " ")
    let flagText = flags.map { "--\($0.name)=\($0.value)" }
    let shown =
      flagText.isEmpty ? text : "\(keyword) \((flagText + [String(rest)]).joined(separator: " "))"
    return Instruction(kind: try kind(), line: line.number, text: shown)
  }

  private func kind() throws(Failure) -> Instruction.Kind {
    switch keyword {
    case "FROM": return try from()
    case "RUN": return try run()
    case "COPY": return .copy(try transfer())
    case "ADD": return .add(try transfer())
    case "ENV": return .env(try pairs())
    case "LABEL": return .label(try pairs())
    case "ARG": return .arg(try arguments())
    case "WORKDIR": return .workdir(try whole("a directory"))
    case "USER": return .user(try whole("a user"))
    case "EXPOSE": return .expose(try words("a port"))
    case "VOLUME": return .volume(try list("a directory"))
    case "CMD": return .cmd(command())
    case "ENTRYPOINT": return .entrypoint(command())
    case "SHELL": return .shell(try shell())
    case "STOPSIGNAL": return .stopSignal(try whole("a signal"))
    case "MAINTAINER": return .maintainer(try whole("a name"))
    case "HEALTHCHECK": return .healthCheck(try healthCheck())
    case "ONBUILD": return .onBuild(try trigger())
    default:
      throw failure(
        "unknown instruction '\(keyword)'", "known are \(Self.keywords.joined(separator: " "))")
    }
  }

  static let keywords = [
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
  ]

  /// The flags that an instruction may have.
  private static let flagNames: [String: Set<String>] = [
    "FROM": ["platform"],
    "COPY": ["from", "chown", "chmod", "link"],
    "ADD": ["chown", "chmod", "link"],
    "RUN": [],
    "HEALTHCHECK": ["interval", "timeout", "start-period", "start-interval", "retries"],
  ]

  func failure(_ what: String, _ advice: String) -> Failure {
    Failure(.malformedInput, "\(path) line \(line.number): \(what)", advice: advice)
  }

  // MARK: Flags

  private mutating func takeFlags() throws(Failure) {
    let known = Self.flagNames[keyword] ?? []
    while rest.hasPrefix("--") {
      let word = rest.prefix { !$0.isBlank }
      rest = rest.dropFirst(word.count).trimmedStart
      if word == "--" { return }
      let parts = word.dropFirst(2).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts.first ?? "")
      guard known.contains(name) else {
        let list = known.sorted().map { "--\($0)" }.joined(separator: " ")
        throw failure(
          "\(keyword) has no '--\(name)' here", list.isEmpty ? "remove it" : "it has \(list)")
      }
      if parts.count < 2 && name != "link" {
        throw failure("'--\(name)' has no value", "write '--\(name)=VALUE'")
      }
      flags.append(.init(name, parts.count == 2 ? String(parts[1]) : "true"))
    }
  }

  private func flag(_ name: String) -> String? { flags.last { $0.name == name }?.value }

  // MARK: Forms

  /// A JSON array of strings, nil where it is none.
  private func json() -> [String]? {
    guard rest.hasPrefix("[") else { return nil }
    return (try? JSONValue(parsing: rest.utf8))?.strings
  }

  private func command() -> Instruction.Command {
    json().map { .exec($0) } ?? .shell(String(rest))
  }

  private func whole(_ what: String) throws(Failure) -> String {
    guard !rest.isEmpty else { throw needs(what) }
    return String(rest)
  }

  private func words(_ what: String) throws(Failure) -> [String] {
    guard !rest.isEmpty else { throw needs(what) }
    return rest.split(whereSeparator: \.isBlank).map(String.init)
  }

  private func list(_ what: String) throws(Failure) -> [String] {
    if let list = json() {
      if list.isEmpty { throw needs(what) }
      return list
    }
    return try words(what)
  }

  private func needs(_ what: String) -> Failure {
    failure("\(keyword) names nothing", "write '\(keyword) ' and \(what)")
  }

  private func from() throws(Failure) -> Instruction.Kind {
    let words = try words("an image")
    if words.count == 1 { return .from(image: words[0], stage: nil, platform: flag("platform")) }
    guard words.count == 3, words[1].uppercased() == "AS" else {
      throw failure("FROM has too many words", "write 'FROM IMAGE' or 'FROM IMAGE AS NAME'")
    }
    let name = words[2].lowercased()
    let isPlain = name.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || "_-.".contains($0))
    }
    guard isPlain, name.first?.isLetter ?? false else {
      throw failure(
        "'\(words[2])' is no stage's name", "use letters, digits, '_', '-', '.', a letter first")
    }
    return .from(image: words[0], stage: name, platform: flag("platform"))
  }

  private func run() throws(Failure) -> Instruction.Kind {
    guard !rest.isEmpty else { throw needs("a command") }
    return .run(command(), documents: line.documents)
  }

  private func transfer() throws(Failure) -> Instruction.Transfer {
    var words = try list("sources and a destination")
    let names = Set(line.documents.map(\.name))
    guard words.count > 1 else {
      throw failure("\(keyword) has no destination", "write '\(keyword) SOURCE… DESTINATION'")
    }
    let destination = words.removeLast()
    if !names.isEmpty { words.removeAll { HereMark($0).map { names.contains($0.name) } ?? false } }
    return .init(
      sources: words, destination: destination, from: flag("from"), owner: flag("chown"),
      mode: flag("chmod"), documents: line.documents)
  }

  private func shell() throws(Failure) -> [String] {
    guard let list = json(), !list.isEmpty else {
      throw failure("SHELL is no JSON array", #"write 'SHELL ["/bin/sh", "-c"]'"#)
    }
    return list
  }

  private func healthCheck() throws(Failure) -> Instruction.HealthCheck {
    let word = rest.prefix { !$0.isBlank }.uppercased()
    if word == "NONE" { return .init(command: nil, options: flags) }
    guard word == "CMD" else {
      throw failure("HEALTHCHECK is neither CMD nor NONE", "write 'HEALTHCHECK CMD COMMAND'")
    }
    var inner = self
    inner.rest = rest.dropFirst(3).trimmedStart
    return .init(command: inner.command(), options: flags)
  }

  private func trigger() throws(Failure) -> String {
    let inner = try Dockerfile.trigger(try whole("an instruction"), path: path)
    switch inner.kind {
    case .from, .maintainer, .onBuild:
      throw failure(
        "ONBUILD may not hold this instruction", "FROM, MAINTAINER, ONBUILD are refused")
    default: return String(rest)
    }
  }

  // MARK: Names and values

  /// `ARG a b=c`: each word by itself.
  private func arguments() throws(Failure) -> [Instruction.Argument] {
    var found: [Instruction.Argument] = []
    for word in try quotedWords("a name") {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = parts.first, !name.isEmpty else {
        throw failure("'\(word)' has no name", "write 'ARG NAME' or 'ARG NAME=VALUE'")
      }
      found.append(.init(name: String(name), value: parts.count == 2 ? String(parts[1]) : nil))
    }
    return found
  }

  /// `NAME=VALUE …`, or the old `NAME the rest`.
  private func pairs() throws(Failure) -> [Instruction.Pair] {
    let words = try quotedWords("a name and a value")
    guard let first = words.first else { throw needs("a name and a value") }
    if !first.contains("=") {
      let name = rest.prefix { !$0.isBlank }
      let value = rest.dropFirst(name.count).trimmedStart
      guard !value.isEmpty else {
        throw failure("\(keyword) gives '\(name)' no value", "write '\(keyword) NAME=VALUE'")
      }
      return [.init(String(name), String(value))]
    }
    var found: [Instruction.Pair] = []
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw failure("'\(word)' is no NAME=VALUE", "quote a value that has blanks")
      }
      found.append(.init(String(parts[0]), String(parts[1])))
    }
    return found
  }

  /// Words that blanks part, quotes and escapes still in them.
  private func quotedWords(_ what: String) throws(Failure) -> [String] {
    guard !rest.isEmpty else { throw needs(what) }
    var words: [String] = []
    var word = ""
    var quote: Character?
    var characters = rest.makeIterator()
    while let character = characters.next() {
      if character == escape, quote != "'" {
        word.append(character)
        if let next = characters.next() { word.append(next) }
      } else if let open = quote {
        word.append(character)
        if character == open { quote = nil }
      } else if character.isBlank {
        if !word.isEmpty { words.append(word) }
        word = ""
      } else {
        if character == "\"" || character == "'" { quote = character }
        word.append(character)
      }
    }
    if let quote { throw failure("a \(quote) is not closed", "close the quotation") }
    if !word.isEmpty { words.append(word) }
    return words
  }
}
