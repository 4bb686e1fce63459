internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import UnionCore

/// `unionfs-swift du`: what each image takes, and shares.
struct Du: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "du", abstract: "Show what each image takes on the disk, alone and shared.",
    usage: "unionfs-swift du [--no-trunc] [--json | --format <template>]",
    discussion: """
      SHARED SIZE is what other listed images have too; UNIQUE SIZE would be free without the image.

      For --format: as for 'images'

      EXAMPLES
        unionfs-swift du
        unionfs-swift du --format '{{.UniqueSize}}\\t{{.Repository}}:{{.Tag}}'
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var listing: ListingOptions
  @Flag(help: "Do not shorten ids.")
  var noTrunc = false

  func run() throws {
    let (_, catalog) = try store.catalog()
    try ImageListing(catalog, noTrunc: noTrunc).listing(
      all: false, name: nil,
      shown: [
        "Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers",
      ]
    ).write(listing)
  }
}

/// `unionfs-swift df`: what images and containers take together.
struct Df: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "df", abstract: "Show what images and containers take on the disk.",
    usage: "unionfs-swift df [--json | --format <template>]",
    discussion: """
      RECLAIMABLE is what images without a container take, and containers that do not run. The sizes of \
      containers are measured, which reads their directories.

      For --format: .Type .TotalCount .Active .Size .Reclaimable

      EXAMPLES
        unionfs-swift df
        unionfs-swift df --json
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var listing: ListingOptions

  func run() throws {
    let (opened, catalog) = try store.catalog()
    var list = Listing(
      [
        ("Type", "TYPE"), ("TotalCount", "TOTAL"), ("Active", "ACTIVE"), ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
      ], shown: ["Type", "TotalCount", "Active", "Size", "Reclaimable"])
    let images = Self.images(catalog)
    add("Images", images, &list)
    add("Containers", try Self.containers(opened, catalog), &list)
    try list.write(listing)
  }

  struct Share {
    var total = 0
    var active = 0
    var size: Int64 = 0
    var free: Int64 = 0
  }

  private func add(_ type: String, _ share: Share, _ list: inout Listing) {
    let percent =
      share.size > 0
      ? " (\(share.free.multipliedReportingOverflow(by: 100).partialValue / share.size)%)" : ""
    list.add(
      [
        "Type": type, "TotalCount": "\(share.total)", "Active": "\(share.active)",
        "Size": Units.size(share.size), "Reclaimable": Units.size(share.free) + percent,
      ],
      [
        "type": .string(type), "total": .integer(Int64(share.total)),
        "active": .integer(Int64(share.active)), "size": .integer(share.size),
        "reclaimable": .integer(share.free),
      ])
  }

  static func images(_ catalog: Catalog) -> Share {
    var share = Share()
    let used = Set(catalog.containers.values.compactMap(\.image))
    let listed = SharedSizes(catalog).listed
    var kept: Set<LayerID> = []
    for id in used { kept.formUnion(((try? catalog.layers(of: id)) ?? []).map(\.id)) }
    var seen: Set<LayerID> = []
    for image in catalog.images.values {
      for layer in image.layers where seen.insert(layer.id).inserted {
        let size = max(layer.size ?? 0, 0)
        share.size = share.size.addingReportingOverflow(size).partialValue
        if !kept.contains(layer.id) {
          share.free = share.free.addingReportingOverflow(size).partialValue
        }
      }
    }
    share.total = listed.count
    share.active = listed.intersection(used).count
    return share
  }

  static func containers(_ store: LayerStore, _ catalog: Catalog) throws(Failure) -> Share {
    var share = Share()
    for container in catalog.containers.values {
      let size: Int64
      do throws(Failure) { size = try store.measure(container.layer).total } catch {
        Text.writeError("warning: \(error)")
        size = 0
      }
      share.total += 1
      share.size = share.size.addingReportingOverflow(size).partialValue
      if container.isRunning {
        share.active += 1
      } else {
        share.free = share.free.addingReportingOverflow(size).partialValue
      }
    }
    return share
  }
}
