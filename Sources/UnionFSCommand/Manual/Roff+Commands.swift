/// How commands are written into a page.
extension Roff {
  /// A command line a line, each with what is to be typed in bold.
  mutating func synopsis(_ usage: String) {
    for line in usage.split(separator: "\n") {
      beginParagraph()
      self.line(Self.typed(String(line)))
    }
  }

  mutating func verb(_ verb: CommandTree, usage: String?) {
    subsection(verb.name)
    synopsis(usage ?? "unionfs-swift \(verb.name) [<option>…]" + Self.operands(verb))
    paragraph(verb.abstract)
    let help = CommandHelp(verb.discussion)
    for text in help.paragraphs { paragraph(text) }
    // What every verb takes is told once.
    for option in verb.arguments where !["--help", "--version"].contains(option.names.last) {
      argument(option)
    }
    if !help.examples.isEmpty { example(help.examples) }
  }

  private static func operands(_ verb: CommandTree) -> String {
    verb.arguments.filter { $0.names.isEmpty }.map { operand in
      let word = "<\(operand.value ?? "")>" + (operand.isRepeating ? "…" : "")
      return " " + (operand.isOptional ? "[\(word)]" : word)
    }.joined()
  }

  mutating func argument(_ argument: CommandTree.Argument) {
    var term = Term()
    for (index, name) in argument.names.enumerated() {
      if index > 0 { term.add(", ") }
      term.add(bold: name)
    }
    if let value = argument.value {
      if !argument.names.isEmpty { term.add(" ") }
      term.add(italic: value)
      if argument.isRepeating { term.add(" …") }
    }
    var text = argument.help
    if !argument.choices.isEmpty {
      text += "\nOne of \(argument.choices.joined(separator: ", "))."
    }
    if let value = argument.defaultValue { text += "\nThe default is \(value)." }
    item(term, text)
  }

  mutating func items(_ name: String, _ items: [(String, String)]) {
    section(name)
    for (term, text) in items { item(Term(bold: term), text) }
  }

  mutating func mountOptions() {
    section("Mount options")
    paragraph(ManualText.mountOptionsLead)
    for (term, text) in ManualText.mountOptions { item(Term(bold: term), text) }
    // Lists come from the table that the options are read by.
    for (lead, words) in OptionTable.listing {
      paragraph(lead)
      paragraph(words.sorted().joined(separator: ", "))
    }
  }

  /// `<word>` and `…` are to be replaced, brackets and bars are neither; the rest is to be typed.
  static func typed(_ usage: String) -> String {
    var term = Term()
    var word = ""
    func isPlain(_ character: Character) -> Bool { "[]|… ".contains(character) }
    var inside = false
    func flush() {
      if inside { term.add(italic: word) } else { term.add(bold: word) }
      word = ""
    }
    for character in usage {
      switch character {
      case "<":
        flush()
        inside = true
      case ">" where inside:
        flush()
        inside = false
      case _ where !inside && isPlain(character):
        flush()
        term.add(String(character))
      default: word.append(character)
      }
    }
    flush()
    return Self.protected(term.source)
  }
}
