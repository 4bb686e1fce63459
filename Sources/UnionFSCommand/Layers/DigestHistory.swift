internal import JSONValue
internal import LayerStore
internal import SystemPackage
internal import UnionCore

/// What the configurations of Docker 1.10 and later tell of layers: their histories have an entry a layer, and
/// others that change no files.
struct DigestHistory {
  private struct Entry {
    var history: JSONValue
    var tags: [String] = []
  }

  private var entries: [LayerID: Entry] = [:]
  private(set) var warnings: [String] = []

  /// nil where there is no such Docker's root.
  init?(root: FilePath) {
    guard Disk.isThere(root.appending("image/aufs/imagedb")) else { return nil }
    let catalog: Catalog
    do throws(Failure) { catalog = try LayerStore(reading: root).catalog() } catch {
      warnings = ["\(root)/image/aufs is left out: \(error.message)"]
      return
    }
    warnings = catalog.warnings.map(\.message)
    for image in catalog.images.values.sorted(by: { $0.id < $1.id }) { add(image, catalog) }
  }

  private mutating func add(_ image: Image, _ catalog: Catalog) {
    let told = (image.json["history"]?.array ?? []).filter { $0["empty_layer"]?.bool != true }
    guard told.count == image.layers.count else { return }
    for (history, layer) in zip(told, image.layers.reversed()) {
      entries[layer.id] = entries[layer.id] ?? Entry(history: history)
    }
    guard let top = image.layers.first else { return }
    let tags = catalog.tags.tags(of: image.id).filter { !$0.isDigest }
    entries[top.id]?.tags += tags.map(\.reference)
  }

  func tell(_ id: LayerID, _ source: inout LayerSource) {
    guard let entry = entries[id] else { return }
    source.tags = entry.tags
    source.created = entry.history["created"]?.string
    source.command = entry.history["created_by"]?.string
    if let author = entry.history["author"]?.string, !author.isEmpty { source.author = author }
  }
}
