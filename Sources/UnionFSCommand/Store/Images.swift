internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import UnionCore

/// `unionfs-swift images`: lists the images.
struct Images: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "images", abstract: "List the images of a layer store.",
    usage:
      "unionfs-swift images [-a] [-q] [--no-trunc] [--json | --format <template>] [<repo>[:<tag>]]",
    discussion: """
      The newest first. SIZE counts all layers of an image. A name may hold * and ?.

      For --format: .ID .Repository .Tag .Digest .CreatedSince .CreatedAt .Size .UniqueSize \
      .SharedSize .VirtualSize .Containers

      EXAMPLES
        unionfs-swift images
        unionfs-swift images -q 'debian:*'
        unionfs-swift images --format 'table {{.Repository}}:{{.Tag}}\\t{{.Size}}'
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var listing: ListingOptions

  @Flag(name: .shortAndLong, help: "Show intermediate images too.")
  var all = false
  @Flag(name: .shortAndLong, help: "Write ids alone.")
  var quiet = false
  @Flag(help: "Do not shorten ids.")
  var noTrunc = false
  @Flag(help: "Show the registry's digests.")
  var digests = false
  @Argument(help: ArgumentHelp("Only those of that name.", valueName: "repo[:tag]"))
  var name: String?

  func run() throws {
    let (_, catalog) = try store.catalog()
    let images = ImageListing(catalog, noTrunc: noTrunc)
    if quiet, !listing.json, listing.format == nil {
      var seen: Set<ObjectID> = []
      let ids = images.chosen(all: all, name: name).map(\.image.id)
        .filter { seen.insert($0).inserted }
      return Text.writeOutput(Array(ids.map { (noTrunc ? $0.hex : $0.short) + "\n" }.joined().utf8))
    }
    let shown =
      ["Repository", "Tag"] + (digests ? ["Digest"] : []) + ["ID", "CreatedSince", "Size"]
    try images.listing(all: all, name: name, shown: shown).write(listing)
  }
}

/// Images as `images` and `du` list them.
struct ImageListing {
  let catalog: Catalog
  let noTrunc: Bool

  init(_ catalog: Catalog, noTrunc: Bool) {
    self.catalog = catalog
    self.noTrunc = noTrunc
  }

  struct Line {
    let image: Image
    var name: String?
    var tag: String?
    var digest: String?
  }

  func listing(all: Bool, name: String?, shown: [String]) -> Listing {
    let shares = SharedSizes(catalog)
    var list = Listing(
      [
        ("Repository", "REPOSITORY"), ("Tag", "TAG"), ("Digest", "DIGEST"), ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"), ("CreatedAt", "CREATED AT"), ("Size", "SIZE"),
        ("VirtualSize", "SIZE"), ("SharedSize", "SHARED SIZE"), ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
      ], shown: shown)
    for line in chosen(all: all, name: name) { add(line, shares, to: &list) }
    return list
  }

  private func add(_ line: Line, _ shares: SharedSizes, to list: inout Listing) {
    let image = line.image
    let size = catalog.size(of: image.id)
    let unique = shares.unique(of: image.id)
    let containers = catalog.containers(of: image.id).count
    list.add(
      [
        "Repository": line.name ?? "<none>", "Tag": line.tag ?? "<none>",
        "Digest": line.digest ?? "<none>", "ID": noTrunc ? image.id.hex : image.id.short,
        "CreatedSince": Units.since(image.created), "CreatedAt": Units.moment(image.created),
        "Size": Units.size(size), "VirtualSize": Units.size(size),
        "SharedSize": Units.size(size &- unique), "UniqueSize": Units.size(unique),
        "Containers": "\(containers)",
      ],
      [
        "id": .string(image.id.hex), "parent": (image.parent?.hex).map { .string($0) } ?? .null,
        "repository": line.name.map { .string($0) } ?? .null,
        "tag": line.tag.map { .string($0) } ?? .null,
        "digest": line.digest.map { .string($0) } ?? .null,
        "created": (image.created?.rfc3339).map { .string($0) } ?? .null, "size": .integer(size),
        "uniqueSize": .integer(unique), "containers": .integer(Int64(containers)),
      ])
  }

  /// A line for each name, and for each image that has none and carries no other.
  func chosen(all: Bool, name: String?) -> [Line] {
    let byImage = catalog.tags.byImage
    let parents = catalog.parents
    var lines: [Line] = []
    let newestFirst = catalog.images.values.sorted {
      ($1.created?.seconds ?? .min, $1.created?.nanoseconds ?? 0, $0.id.hex)
        < ($0.created?.seconds ?? .min, $0.created?.nanoseconds ?? 0, $1.id.hex)
    }
    for image in newestFirst {
      let names = (byImage[image.id] ?? []).sorted()
      let tags = names.filter { !$0.isDigest }
      for tag in tags {
        let digest = names.first { $0.isDigest && $0.name == tag.name }?.tag
        lines.append(Line(image: image, name: tag.name, tag: tag.tag, digest: digest))
      }
      for digest in names where digest.isDigest && !tags.contains(where: { $0.name == digest.name })
      {
        lines.append(Line(image: image, name: digest.name, digest: digest.tag))
      }
      if names.isEmpty, all || !parents.contains(image.id) { lines.append(Line(image: image)) }
    }
    guard let name else { return lines }
    let parts = NamePattern(name)
    return lines.filter { line in parts.matches(line.name, line.tag) }
  }
}

/// `REPO[:TAG]` with `*` and `?`.
struct NamePattern {
  private let name: String
  private let tag: String?

  init(_ text: String) {
    if let colon = text.lastIndex(of: ":"), !text[colon...].contains("/") {
      tag = String(text[text.index(after: colon)...])
      name = String(text[..<colon])
    } else {
      (name, tag) = (text, nil)
    }
  }

  func matches(_ name: String?, _ tag: String?) -> Bool {
    guard let name, Self.matches(Array(self.name.utf8)[...], Array(name.utf8)[...]) else {
      return false
    }
    guard let wanted = self.tag else { return true }
    return tag.map { Self.matches(Array(wanted.utf8)[...], Array($0.utf8)[...]) } ?? false
  }

  private static func matches(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
    // Back to the last star only: the time is the product of both lengths at most.
    var (pattern, text) = (pattern, text)
    var retry: (ArraySlice<UInt8>, ArraySlice<UInt8>)?
    while true {
      if let first = pattern.first, first == UInt8(ascii: "*") {
        pattern = pattern.dropFirst()
        retry = (pattern, text)
      } else if let first = pattern.first, let byte = text.first,
        first == byte || first == UInt8(ascii: "?")
      {
        (pattern, text) = (pattern.dropFirst(), text.dropFirst())
      } else if pattern.isEmpty, text.isEmpty {
        return true
      } else if let (after, from) = retry, !from.isEmpty {
        (pattern, text) = (after, from.dropFirst())
        retry = (after, text)
      } else {
        return false
      }
    }
  }
}

/// How much of each image no other image has.
struct SharedSizes {
  private var users: [LayerID: Int] = [:]
  private let catalog: Catalog
  private let heads: Set<ObjectID>

  /// Counted are the images that `images` lists: named ones, and those that carry no other.
  init(_ catalog: Catalog) {
    self.catalog = catalog
    let parents = catalog.parents
    let named = Set(catalog.tags.byImage.keys)
    heads = Set(catalog.images.keys.filter { named.contains($0) || !parents.contains($0) })
    for id in heads {
      for layer in (try? catalog.layers(of: id)) ?? [] { users[layer.id, default: 0] += 1 }
    }
  }

  var listed: Set<ObjectID> { heads }

  func unique(of id: ObjectID) -> Int64 {
    let limit = heads.contains(id) ? 1 : 0
    let layers = (try? catalog.layers(of: id)) ?? []
    return layers.filter { users[$0.id, default: 0] <= limit }
      .reduce(0) { $0.addingReportingOverflow(max($1.size ?? 0, 0)).partialValue }
  }
}
