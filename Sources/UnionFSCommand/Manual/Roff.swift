/// A page in the macros of man(7): text in, lines of requests out.
struct Roff {
  private(set) var source = ""
  /// After a heading a paragraph begins by itself.
  private var isBelowHeading = false

  init(title: String, section: Int, version: String, manual: String) {
    // Nobody's hyphen is a dash, and no line is stretched.
    source = """
      .TH \(title.uppercased()) \(section) "\(ManualText.date)" "unionfs-swift \(version)" "\(manual)"
      .nh
      .ad l

      """
  }

  mutating func section(_ name: String) {
    line(".SH \(Self.escaped(name.uppercased()))")
    isBelowHeading = true
  }

  mutating func subsection(_ name: String) {
    line(".SS \(Self.escaped(name))")
    isBelowHeading = true
  }

  mutating func paragraph(_ text: String) {
    beginParagraph()
    body(text)
  }

  mutating func beginParagraph() {
    if !isBelowHeading { line(".PP") }
  }

  /// A term, in bold where nothing else is said, and what it means below it.
  mutating func item(_ term: Term, _ text: String) {
    line(".TP")
    line(Self.protected(term.source))
    body(text)
  }

  /// Lines as they are.
  mutating func example(_ text: String) {
    beginParagraph()
    line(".RS 4\n.nf")
    for text in text.split(separator: "\n", omittingEmptySubsequences: false) {
      line(Self.protected(Self.escaped(String(text))))
    }
    line(".fi\n.RE")
  }

  private mutating func body(_ text: String) {
    for text in text.split(separator: "\n") {
      // Lines of the source, which its readers fill anew.
      var filled = ""
      for word in text.split(separator: " ") {
        let word = Self.escaped(String(word))
        if !filled.isEmpty, filled.utf8.count + word.utf8.count >= 78 {
          line(Self.protected(filled))
          filled = ""
        }
        filled += (filled.isEmpty ? "" : " ") + word
      }
      line(Self.protected(filled))
    }
  }

  /// A line of source, as it is.
  mutating func line(_ line: String) {
    source += line + "\n"
    isBelowHeading = false
  }

  /// A line of text that is no request, whatever it begins with.
  static func protected(_ line: String) -> String {
    line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
  }

  /// Text whose every character is shown as it is; what is not ASCII is named by its number.
  static func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\e"
      case "-": escaped += "\\-"
      case "'": escaped += "\\(aq"
      case "`": escaped += "\\(ga"
      case "^": escaped += "\\(ha"
      case "~": escaped += "\\(ti"
      case "…": escaped += "..."
      case _ where scalar.isASCII: escaped.unicodeScalars.append(scalar)
      default:
        let number = String(scalar.value, radix: 16, uppercase: true)
        escaped += "\\[u" + String(repeating: "0", count: max(0, 4 - number.count)) + number + "]"
      }
    }
    return escaped
  }
}

extension Roff {
  /// Words of one line, in bold (to be typed), in italics (to be replaced) and plain.
  struct Term {
    private(set) var source = ""

    init(bold text: String = "") { add(bold: text) }

    mutating func add(bold text: String) { add("B", text) }
    mutating func add(italic text: String) { add("I", text) }
    mutating func add(_ text: String) { source += Roff.escaped(text) }

    private mutating func add(_ font: String, _ text: String) {
      if !text.isEmpty { source += "\\f\(font)\(Roff.escaped(text))\\fR" }
    }
  }
}
