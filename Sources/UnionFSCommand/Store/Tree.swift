internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import UnionCore

/// `unionfs-swift tree`: the images as a tree.
struct Tree: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tree", abstract: "Show which images lie on which, with their sizes.",
    usage: "unionfs-swift tree [--no-trunc] [--json] [<image>]",
    discussion: """
      For each image: its id, what its own layer holds, what it holds with all below it, its names, \
      and its containers. What several lie on is there once.

      EXAMPLES
        unionfs-swift tree
        unionfs-swift tree debian:12
      """)

  @OptionGroup var store: StoreOptions
  @Flag(help: "Do not shorten ids.")
  var noTrunc = false
  @Flag(help: "Write JSON: each image with those that lie on it.")
  var json = false
  @Argument(
    help: ArgumentHelp("Only what lies on this one.", valueName: "image"),
    completion: Completion.images)
  var image: String?

  func run() throws {
    let (_, catalog) = try store.catalog()
    let forest = Forest(catalog)
    let roots =
      try image.map { name throws(Failure) in [try catalog.image(name).id] } ?? forest.roots
    if json {
      let values = roots.map { forest.json($0) }
      return Text.writeOutput(JSONValue.array(values).prettyBytes + [UInt8(ascii: "\n")])
    }
    var text = ""
    for root in roots { forest.write(root, noTrunc, to: &text) }
    Text.writeOutput(Text.terminalLines(text))
  }
}

/// The images, each below the one that it lies on.
private struct Forest {
  let catalog: Catalog
  let roots: [ObjectID]
  private let children: [ObjectID: [ObjectID]]
  private let names: [ObjectID: [Tag]]
  private let containers: [ObjectID: [Container]]
  private let sizes: [ObjectID: Int64]

  init(_ catalog: Catalog) {
    self.catalog = catalog
    var children: [ObjectID: [ObjectID]] = [:]
    var roots: [ObjectID] = []
    for image in catalog.images.values.sorted(by: { $0.id < $1.id }) {
      if let parent = image.parent, catalog.images[parent] != nil {
        children[parent, default: []].append(image.id)
      } else {
        roots.append(image.id)
      }
    }
    var sizes: [ObjectID: Int64] = [:]
    for root in roots {
      var pending: [(ObjectID, Int64)] = [(root, 0)]
      while let (id, below) = pending.popLast() {
        let total =
          catalog.kind == .graph
          ? below.addingReportingOverflow(catalog.ownSize(of: id) ?? 0).partialValue
          : catalog.size(of: id)
        sizes[id] = total
        for child in children[id] ?? [] { pending.append((child, total)) }
      }
    }
    self.children = children
    self.roots = roots
    self.sizes = sizes
    names = catalog.tags.byImage
    containers = Dictionary(
      grouping: catalog.containers.values.filter { $0.image != nil },
      by: { $0.image ?? $0.id })
  }

  private func line(_ id: ObjectID, _ noTrunc: Bool) -> String {
    let own = catalog.ownSize(of: id).map { Units.size($0) } ?? "N/A"
    var line = "\(noTrunc ? id.hex : id.short)  +\(own)  \(Units.size(sizes[id] ?? 0))"
    let tags = (names[id] ?? []).map(\.reference).sorted()
    if !tags.isEmpty { line += "  " + tags.joined(separator: ", ") }
    let users = (containers[id] ?? []).map(\.name).sorted()
    if !users.isEmpty { line += "  (container \(users.joined(separator: ", ")))" }
    return line
  }

  /// A chain may be thousands of images long: no recursion.
  func write(_ root: ObjectID, _ noTrunc: Bool, to text: inout String) {
    var pending: [(id: ObjectID, lead: String, rest: String)] = [(root, "", "")]
    while let (id, lead, rest) = pending.popLast() {
      text += lead + line(id, noTrunc) + "\n"
      let below = children[id] ?? []
      // A single one is a smaller step to the right: chains are long.
      let isOnly = below.count == 1
      for (index, child) in below.enumerated().reversed() {
        let isLast = index + 1 == below.count
        pending.append(
          (child, rest + (isLast ? "└─ " : "├─ "), rest + (isOnly ? " " : isLast ? "   " : "│  ")))
      }
    }
  }

  func json(_ root: ObjectID) -> JSONValue {
    var order: [ObjectID] = []
    var pending = [root]
    while let id = pending.popLast() {
      order.append(id)
      pending += children[id] ?? []
    }
    var values: [ObjectID: JSONValue] = [:]
    for id in order.reversed() {
      values[id] = [
        "id": .string(id.hex), "size": .integer(sizes[id] ?? 0),
        "ownSize": catalog.ownSize(of: id).map { .integer($0) } ?? .null,
        "tags": .array((names[id] ?? []).map { .string($0.reference) }),
        "containers": .array((containers[id] ?? []).map { .string($0.name) }),
        "children": .array((children[id] ?? []).compactMap { values[$0] }),
      ]
    }
    return values[root] ?? .null
  }
}
