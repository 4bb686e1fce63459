internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import UnionCore

/// `unionfs-swift history`: the images that an image was made through.
struct History: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history", abstract: "Show how an image was made, layer by layer.",
    usage: "unionfs-swift history [--layers] [--no-trunc] [-q] [--no-human] <image>",
    discussion: """
      The newest first, by the images' json; with --layers by the layer's own list of parents. Where \
      the two differ, a line says so and the status is 1.

      For --format: .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment

      EXAMPLES
        unionfs-swift history debian:12
        unionfs-swift history --layers --no-trunc app
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var listing: ListingOptions
  @Flag(help: "Follow aufs/layers instead of the images' json.")
  var layers = false
  @Flag(help: "Do not shorten ids and commands.")
  var noTrunc = false
  @Flag(name: .shortAndLong, help: "Write ids alone.")
  var quiet = false
  @Flag(
    name: [.customShort("H"), .long], inversion: .prefixedNo,
    help: "Sizes and times for people, not in bytes and as dates.")
  var human = true
  @Argument(
    help: ArgumentHelp("The image.", valueName: "image"), completion: Completion.images)
  var image: String

  func run() throws {
    let (opened, catalog) = try store.catalog()
    let found = try catalog.image(image)
    let difference = try Self.difference(found, opened, catalog)
    // A broken chain of json is no hindrance where the other is asked for.
    let entries =
      layers
      ? try HistoryEntry.byLayers(of: found, opened, catalog)
      : try HistoryEntry.all(of: found, catalog)
    if quiet {
      let ids = entries.map { ($0.id.map { noTrunc ? $0.hex : $0.short } ?? "<missing>") + "\n" }
      Text.writeOutput(Array(ids.joined().utf8))
    } else {
      try list(entries).write(listing)
    }
    if let difference {
      Text.writeError(difference)
      throw SilentExit(status: Failure.Code.failed.rawValue)
    }
  }

  /// What the two chains disagree about, in words.
  static func difference(
    _ image: Image, _ store: LayerStore, _ catalog: Catalog
  ) throws(Failure) -> String? {
    let layers = try store.layersFile(of: catalog.topLayer(of: image.id)).parents.map(\.id)
    let json: [LayerID]
    do throws(Failure) { json = try catalog.layers(of: image.id).dropFirst().map(\.id) } catch {
      return "the two chains differ: \(error)"
    }
    if layers == json { return nil }
    let first = zip(layers, json).first { $0 != $1 }
    let place =
      if let first { "'\(first.0)' stands where json has '\(first.1)'" } else {
        "\(layers.count) parents stand against \(json.count) of json"
      }
    return "the two chains differ: in layers/\(image.id) \(place)"
  }

  private func list(_ entries: [HistoryEntry]) -> Listing {
    var list = Listing(
      [
        ("ID", "IMAGE"), ("CreatedSince", "CREATED"), ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"), ("Size", "SIZE"), ("Comment", "COMMENT"),
      ], shown: ["ID", human ? "CreatedSince" : "CreatedAt", "CreatedBy", "Size", "Comment"])
    for entry in entries {
      let command = entry.createdBy.map { $0 == "\t" || $0 == "\n" ? " " : String($0) }.joined()
      list.add(
        [
          "ID": entry.id.map { noTrunc ? $0.hex : $0.short } ?? "<missing>",
          "CreatedSince": Units.since(entry.created),
          "CreatedAt": entry.created?.rfc3339 ?? "N/A",
          "CreatedBy": noTrunc ? command : Units.shortened(command, 45),
          "Size": entry.size.map { human ? Units.size($0) : "\($0)" } ?? "N/A",
          "Comment": entry.comment,
        ],
        [
          "id": entry.id.map { .string($0.hex) } ?? .null,
          "created": entry.created.map { .string($0.rfc3339) } ?? .null,
          "createdBy": .string(entry.createdBy), "comment": .string(entry.comment),
          "size": entry.size.map { .integer($0) } ?? .null,
          "tags": .array(entry.tags.map { .string($0) }),
          "layer": entry.layer.map { .string("\($0)") } ?? .null,
        ])
    }
    return list
  }
}
