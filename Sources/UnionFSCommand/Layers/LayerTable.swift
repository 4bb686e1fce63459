internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The layers as a table for a terminal.
struct LayerTable {
  struct Style {
    /// Where the lines end; nil for as long as they are.
    var columns: Int?
    var isColoured = false

    static var ofStandardOutput: Style {
      guard let columns = Terminal.columns(of: FileDescriptor.standardOutput.rawValue) else {
        return Style()
      }
      return Style(columns: columns < 40 ? 80 : columns, isColoured: !Terminal.isPlain)
    }

    fileprivate func paint(_ text: String, _ colour: Colour) -> String {
      isColoured ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }
  }

  fileprivate enum Colour: String {
    case heading = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case magenta = "35"
  }

  private let sources: [LayerSource]
  private let analysis: LayerAnalysis
  private let top: Int
  private let style: Style

  init(_ sources: [LayerSource], _ analysis: LayerAnalysis, top: Int, style: Style) {
    self.sources = sources
    self.analysis = analysis
    self.top = top
    self.style = style
  }

  var bytes: [UInt8] {
    var lines = layerLines + [""] + totals
    if top > 0 {
      lines += wasters + largest
    }
    return Array((lines.joined(separator: "\n") + "\n").utf8)
  }

  /// What the layer of a branch's index is called: 1 is the bottom.
  private func number(_ layer: Int) -> String { String(sources.count - layer) }
  private func number(_ layer: UInt16) -> String { number(Int(layer)) }

  // MARK: The layers

  private struct Column {
    var heading: String
    var cells: [String]
    var colour: Colour?
    var isText = false

    var width: Int { (cells + [heading]).map(\.count).max() ?? 0 }

    /// Blanks before a number, behind a text.
    func padded(_ cell: String) -> String {
      let blanks = String(repeating: " ", count: max(0, width - cell.count))
      return isText ? cell + blanks : blanks + cell
    }
  }

  private var columns: [Column] {
    let layers = analysis.layers
    var columns = [
      Column(heading: "#", cells: layers.indices.map { number($0) }),
      Column(heading: "LAYER", cells: sources.map { clipped($0.shortID, 32) }, isText: true),
    ]
    if sources.contains(where: { $0.created != nil }) {
      columns.append(
        Column(
          heading: "CREATED",
          cells: sources.map { Text.printable(Array(($0.shortTime ?? "-").utf8)) },
          isText: true))
    }
    columns += [
      Column(heading: "SIZE", cells: layers.map { Units.size($0.files.bytes) }),
      Column(heading: "ADDED", cells: layers.map { "+\($0.added)" }, colour: .green),
      Column(heading: "CHANGED", cells: layers.map { "~\($0.changed)" }, colour: .yellow),
      Column(
        heading: "REMOVED",
        cells: layers.map { "-\($0.removedFiles.names + $0.removedDirectories)" },
        colour: .red),
      Column(
        heading: "WASTED", cells: layers.map { Units.size($0.wasted.bytes) }, colour: .magenta),
    ]
    return columns
  }

  private var layerLines: [String] {
    let columns = columns
    let hasCommands = sources.contains { $0.instruction != nil }
    let used = columns.reduce(0) { $0 + $1.width + 2 }
    var heading = columns.map { $0.padded($0.heading) }
    if hasCommands { heading.append("COMMAND") }
    let last = heading.removeLast()
    var lines = [
      style.paint(
        (heading + [hasCommands ? last : last]).joined(separator: "  "), .heading)
    ]
    for row in sources.indices {
      var cells = columns.map { column in
        let cell = column.cells[row]
        let isZero = cell.dropFirst() == "0" || cell == "0B"
        return column.colour.map { style.paint(column.padded(cell), isZero ? .dim : $0) }
          ?? column.padded(cell)
      }
      if let instruction = sources[row].instruction {
        cells.append(command(instruction, from: used))
      }
      lines.append(Self.withoutBlanksAtTheEnd(cells.joined(separator: "  ")))
    }
    return lines
  }

  private func command(_ text: String, from column: Int) -> String {
    let line = Text.printable(Array(text.utf8))
    return style.columns.map { clipped(line, max(12, $0 - column)) } ?? line
  }

  private func clipped(_ text: String, _ width: Int) -> String {
    text.count > width ? text.prefix(width - 1) + "…" : text
  }

  private static func withoutBlanksAtTheEnd(_ line: String) -> String {
    var line = line
    while line.hasSuffix(" ") { line.removeLast() }
    return line
  }

  // MARK: What they come to

  private var totals: [String] {
    let stored = analysis.storedBytes
    let wasted = analysis.wastedBytes
    let names = analysis.visibleFiles + analysis.visibleDirectories
    var lines = [
      "\(sources.count) \(sources.count == 1 ? "layer" : "layers") hold \(Units.size(stored)); "
        + "\(names) names with \(Units.size(analysis.visibleBytes)) are seen, "
        + style.paint("\(Units.size(wasted)) are wasted", wasted > 0 ? .magenta : .dim)
        + "; efficiency \(Self.percent(analysis.efficiency))"
    ]
    for (index, layer) in analysis.layers.enumerated() {
      let copies = layer.attributeCopies.names + layer.identicalCopies.names
      if copies == 0 { continue }
      let bytes = layer.attributeCopies.bytes + layer.identicalCopies.bytes
      lines.append(
        "layer \(number(index)) copies \(copies) \(copies == 1 ? "file" : "files") with "
          + "\(Units.size(bytes)) for nothing but mode or owner")
    }
    return lines
  }

  /// Cut, not rounded: 100.0 % is all of it.
  static func percent(_ part: Double) -> String {
    let tenths = Int(max(0, min(1, part)) * 1000)
    return "\(tenths / 10).\(tenths % 10) %"
  }

  private var wasters: [String] {
    let wasters = analysis.wasters(top)
    if wasters.isEmpty { return [] }
    let sizes = wasters.map { Units.size($0.bytes) }
    return ["", style.paint("WASTED MOST", .heading)]
      + zip(wasters, Self.aligned(sizes)).map { waster, size in
        let copies = analysis.tree.copies(of: waster.node).filter { $0.isWasted && $0.size > 0 }
        let fates = copies.map { "layer \(number($0.layer)), \(fate($0))" }
        return "\(style.paint(size, .magenta))  \(path(waster.node))  "
          + style.paint("(\(fates.joined(separator: "; ")))", .dim)
      }
  }

  private var largest: [String] {
    let largest = analysis.largest(top).all
    if largest.isEmpty { return [] }
    let sizes = largest.map { Units.size($0.copy.size) }
    return ["", style.paint("LARGEST FILES", .heading)]
      + zip(largest, Self.aligned(sizes)).map { file, size in
        let fate = file.copy.isWasted ? ", \(fate(file.copy))" : ""
        return "\(size)  \(path(file.node))  "
          + style.paint("(layer \(number(file.copy.layer))\(fate))", .dim)
      }
  }

  private func fate(_ copy: LayerCopy) -> String {
    switch copy.fate {
    case .visible: "seen"
    case .merged: "merged"
    case .replaced: "replaced by \(number(copy.hider))"
    case .removed: "removed by \(number(copy.hider))"
    }
  }

  private func path(_ node: Int) -> String {
    "/" + Text.printable(analysis.tree.path(of: node))
  }

  private static func aligned(_ cells: [String]) -> [String] {
    let width = cells.map(\.count).max() ?? 0
    return cells.map { String(repeating: " ", count: width - $0.count) + $0 }
  }
}
