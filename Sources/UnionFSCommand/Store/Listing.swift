internal import ArgumentParser
internal import JSONValue
internal import UnionCore

/// `--format` and `--json`, of every listing.
struct ListingOptions: ParsableArguments {
  @Flag(help: "Write a JSON array with an object for each line.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "A Go template for each line ('{{.ID}} {{json .}}'), 'table …' with a head, or 'json'.",
      valueName: "template"))
  var format: String?
}

/// Rows under docker's names, written as a table, by a template, or as JSON.
struct Listing {
  struct Column {
    /// As a template names it.
    let name: String
    /// As the table's head has it.
    let title: String
  }

  /// All that a template may name.
  let columns: [Column]
  /// Those of the plain table.
  let shown: [String]
  private var rows: [[String: String]] = []
  private var objects: [JSONValue] = []

  init(_ columns: [(String, String)], shown: [String]) {
    self.columns = columns.map { Column(name: $0.0, title: $0.1) }
    self.shown = shown
  }

  /// - Parameters:
  ///   - row: what people see, by the columns' names.
  ///   - object: what `--json` writes.
  mutating func add(_ row: [String: String], _ object: JSONValue) {
    rows.append(row)
    objects.append(object)
  }

  func write(_ options: ListingOptions) throws(Failure) {
    if options.json, options.format != nil {
      throw Failure(.usage, "--json and --format exclude each other")
    }
    if options.json {
      Text.writeOutput(JSONValue.array(objects).prettyBytes + [UInt8(ascii: "\n")])
      return
    }
    guard let format = options.format, format != "table" else { return writeTable() }
    if format == "json" { return try write(GoTemplate("{{json .}}"), head: false) }
    let isTable = format.hasPrefix("table ")
    try write(GoTemplate(isTable ? String(format.dropFirst(6)) : format), head: isTable)
  }

  private func writeTable() {
    let titles = shown.map { name in columns.first { $0.name == name }?.title ?? name }
    Text.writeOutput(Table.text([titles] + rows.map { row in shown.map { row[$0] ?? "" } }))
  }

  private func write(_ template: GoTemplate, head: Bool) throws(Failure) {
    var lines: [String] = []
    if head {
      let titles = columns.map { ($0.name, JSONValue.string($0.title)) }
      lines.append(
        try template.text(of: .object(Dictionary(titles, uniquingKeysWith: { first, _ in first }))))
    }
    for row in rows {
      var values: [String: JSONValue] = [:]
      for column in columns { values[column.name] = .string(row[column.name] ?? "") }
      lines.append(try template.text(of: .object(values)))
    }
    if rows.isEmpty, !head { try check(template) }
    if head {
      let cells = lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
      Text.writeOutput(Table.text(cells.map { $0.map { String($0) } }))
    } else {
      Text.writeOutput(Array(lines.map { $0 + "\n" }.joined().utf8))
    }
  }

  /// A wrong field is one though there is nothing to show.
  private func check(_ template: GoTemplate) throws(Failure) {
    let empty = columns.map { ($0.name, JSONValue.string("")) }
    _ = try template.text(of: .object(Dictionary(empty, uniquingKeysWith: { first, _ in first })))
  }
}

/// Columns as docker's tables have them: three blanks between, ten wide at least.
enum Table {
  static func text(_ rows: [[String]]) -> [UInt8] {
    var widths: [Int] = []
    for row in rows {
      for (index, cell) in row.dropLast().enumerated() {
        if index == widths.count { widths.append(10) }
        widths[index] = max(widths[index], cell.count + 3)
      }
    }
    var text: [UInt8] = []
    for row in rows {
      for (index, cell) in row.enumerated() {
        text += Text.terminal(Array(cell.utf8))
        if index + 1 < row.count {
          text += Array(repeating: UInt8(ascii: " "), count: max(0, widths[index] - cell.count))
        }
      }
      text.append(UInt8(ascii: "\n"))
    }
    return text
  }
}
