internal import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// Something that is wrong in a store.
public struct StoreFinding: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    /// A file that cannot be read, or is not what it should be.
    case broken
    /// An image lies on one that is not there, or on itself.
    case brokenChain = "broken-chain"
    /// `layers/ID` and the json of the images disagree.
    case differingChains = "differing-chains"
    /// An image or a container has no `diff/ID` or no `layers/ID`.
    case missingLayer = "missing-layer"
    /// A mount point is missing.
    case missingMountPoint = "missing-mount-point"
    /// No image and no container has this layer.
    case orphanLayer = "orphan-layer"
    /// A tag names an image that is not there.
    case danglingTag = "dangling-tag"
    /// A container was made from an image that is not there.
    case missingImage = "missing-image"
    /// `layersize` is not what the layer holds.
    case wrongSize = "wrong-size"
    /// A command was killed; the next change of the store ends what it left.
    case unfinished
    /// `ID-removing`, or something in `tmp/` that no transaction names.
    case leftover
  }

  public let kind: Kind
  /// Below the root.
  public let path: String
  public let message: String
  public let advice: String
}

extension LayerStore {
  /// Tells what is wrong in the store, by its rules; changes nothing.
  ///
  /// - Parameter measures: whether each layer's size is compared with its files, which reads them all.
  public func check(measures: Bool = false) throws(Failure) -> [StoreFinding] {
    try whileLocked(exclusively: false) { () throws(Failure) in
      let catalog = try readCatalog()
      var check = StoreCheck(store: self, catalog: catalog)
      try check.run(measures: measures)
      return check.findings
    }
  }
}

private struct StoreCheck {
  let store: LayerStore
  let catalog: Catalog
  var findings: [StoreFinding] = []
  private var diff: Set<LayerID> = []
  private var layers: Set<LayerID> = []
  private var mnt: Set<LayerID> = []
  /// What living or dead transactions own.
  private var owned: Set<LayerID> = []

  init(store: LayerStore, catalog: Catalog) {
    self.store = store
    self.catalog = catalog
  }

  mutating func run(measures: Bool) throws(Failure) {
    try transactions()
    diff = try names("aufs/diff")
    layers = try names("aufs/layers")
    mnt = try names("aufs/mnt")
    for warning in catalog.warnings { add(.broken, "", warning.message, warning.advice) }
    for id in catalog.images.keys.sorted() { try checkImage(id) }
    for container in catalog.containers.values.sorted(by: { $0.id < $1.id }) {
      try checkContainer(container)
    }
    for tag in catalog.tags.all
    where catalog.images[tag.image] == nil && catalog.broken[tag.image] == nil {
      add(
        .danglingTag, "repositories-aufs",
        "\(tag.reference) names \(tag.image), which is not there",
        "'rmi' cannot help; restore the image or edit the file")
    }
    orphans()
    if measures { try sizes() }
  }

  private mutating func add(
    _ kind: StoreFinding.Kind, _ path: String, _ message: String, _ advice: String
  ) {
    findings.append(StoreFinding(kind: kind, path: path, message: message, advice: advice))
  }

  private mutating func names(_ place: String) throws(Failure) -> Set<LayerID> {
    guard let directory = try store.placeIfThere(place) else {
      // A store that nobody has made yet has none of its places.
      if store.root != nil, !catalog.images.isEmpty || !catalog.containers.isEmpty {
        add(.broken, place, "the directory does not exist", "restore it from a copy of the store")
      }
      return []
    }
    var found: Set<LayerID> = []
    let all = try about(directory.path) { () throws(Errno) in try directory.names() }
    for name in all {
      guard let id = try? LayerID(name.dropLast().map { UInt8(bitPattern: $0) }) else { continue }
      if id.description.hasSuffix(LayerStore.removing) {
        if !owned.contains(where: { id.description.hasPrefix($0.description) }) {
          add(
            .leftover, "\(place)/\(id)", "a removal that was not finished",
            "the next command that changes the store deletes it")
        }
        continue
      }
      found.insert(id)
    }
    return found
  }
}

/// Images and containers.
extension StoreCheck {
  private mutating func checkImage(_ id: ObjectID) throws(Failure) {
    let json: [LayerID]
    do throws(Failure) { json = try catalog.layers(of: id).map(\.id) } catch {
      return add(.brokenChain, "graph/\(id)/json", error.message, error.advice)
    }
    guard let top = json.first else { return }
    for layer in catalog.kind == .graph ? [top] : json { try checkLayer(layer, of: "image \(id)") }
    guard layers.contains(top) else { return }
    let chain: [LayerID]
    do throws(Failure) { chain = try store.layersFile(of: top).parents.map(\.id) } catch {
      return add(.broken, "aufs/layers/\(top)", error.message, error.advice)
    }
    if chain != Array(json.dropFirst()) {
      add(
        .differingChains, "aufs/layers/\(top)", "it tells another chain than the image's json",
        "'history' and 'history --layers' show both; mounts follow this file")
    }
  }

  private mutating func checkLayer(_ layer: LayerID, of owner: String) throws(Failure) {
    for (place, there) in [("diff", diff), ("layers", layers)] where !there.contains(layer) {
      add(
        .missingLayer, "aufs/\(place)/\(layer)", "the \(owner) has it, but it does not exist",
        "restore it from a copy of the store")
    }
    if diff.contains(layer), !mnt.contains(layer) {
      add(
        .missingMountPoint, "aufs/mnt/\(layer)", "the \(owner) has it, but it does not exist",
        "make it with mkdir, or name another mount point")
    }
  }

  private mutating func checkContainer(_ container: Container) throws(Failure) {
    try checkLayer(container.layer, of: "container \(container.id)")
    if let image = container.image, catalog.images[image] == nil, catalog.broken[image] == nil {
      add(
        .missingImage, "containers/\(container.id)", "its image \(image) is not there",
        "'rm' removes the container; restore the image to keep it")
    }
    guard layers.contains(container.layer) else { return }
    do throws(Failure) {
      for parent in try store.layersFile(of: container.layer).parents
      where !diff.contains(parent.id) {
        add(
          .missingLayer, "aufs/diff/\(parent.id)",
          "the container \(container.id) lies on it, but it does not exist",
          "restore it from a copy of the store")
      }
    } catch { add(.broken, "aufs/layers/\(container.layer)", error.message, error.advice) }
  }

  private mutating func orphans() {
    var known: Set<LayerID> = owned
    for image in catalog.images.values { known.formUnion(image.layers.map(\.id)) }
    known.formUnion(catalog.broken.keys.map(\.layer))
    for id in catalog.brokenContainers.keys { known.formUnion([id.layer, id.initLayer]) }
    for container in catalog.containers.values {
      let initial = LayerID(unchecked: container.layer.bytes + Array("-init".utf8))
      known.formUnion([container.layer, initial])
    }
    // A newer Docker's layers are nobody's while no image has them: its own to tell.
    if catalog.kind == .digest { return }
    for (place, there) in [("diff", diff), ("layers", layers), ("mnt", mnt)] {
      for layer in there.subtracting(known).sorted(by: { "\($0)" < "\($1)" }) {
        add(
          .orphanLayer, "aufs/\(place)/\(layer)", "no image and no container has it",
          "remove it by hand where no other program uses it")
      }
    }
  }

  private mutating func sizes() throws(Failure) {
    for image in catalog.images.values.sorted(by: { $0.id < $1.id }) {
      guard catalog.kind == .graph, diff.contains(image.id.layer) else { continue }
      let found = try store.measure(image.id.layer)
      guard let told = image.layers.first?.size else {
        add(
          .wrongSize, "graph/\(image.id)/layersize", "it is missing or no number",
          "the layer's files have \(found.total) bytes: write that")
        continue
      }
      // Docker counts the targets of links, other programs do not.
      if told != found.files, told != found.total {
        add(
          .wrongSize, "graph/\(image.id)/layersize",
          "it says \(told), but the layer's files have \(found.total) bytes",
          "the layer has been changed, or lost something; write the number where that is meant")
      }
    }
  }
}

/// What commands have left.
extension StoreCheck {
  private mutating func transactions() throws(Failure) {
    guard catalog.kind == .graph,
      let logs = try store.placeIfThere("unionfs-swift/transactions"),
      let staging = try store.placeIfThere("unionfs-swift/tmp")
    else { return }
    let names = try about(logs.path) { () throws(Errno) in try logs.names() }
    for name in names {
      let log = try about(logs.path(name)) { () throws(Errno) -> TransactionLog? in
        try logs.readIfThere(name).map { TransactionLog(parsing: $0) }
      }
      guard let log else { continue }
      owned.formUnion(log.added + log.removed)
      let isAlive = try about(logs.path(name)) { () throws(Errno) in
        try Self.isAlive(name, in: logs)
      }
      if !isAlive {
        add(
          .unfinished, "unionfs-swift/transactions/\(name.text)",
          "a command was killed before its end",
          "the next command that changes the store ends it")
      }
    }
    let staged = try about(staging.path) { () throws(Errno) in try staging.names() }
    for name in staged where !names.contains(name) {
      // A transaction that has just ended is not one any more.
      let isLeft = try about(staging.path(name)) { () throws(Errno) -> Bool in
        let isStaged = try staging.exists(name)
        let hasLog = try logs.exists(name)
        return isStaged && !hasLog
      }
      if isLeft {
        add(
          .leftover, "unionfs-swift/tmp/\(name.text)", "no transaction has it",
          "remove it while no command changes the store")
      }
    }
  }

  private static func isAlive(_ name: [CChar], in logs: StoreDirectory) throws(Errno) -> Bool {
    let log: CInt
    do throws(Errno) {
      log = try FileSystemCall.open(
        at: logs.descriptor, name, OpenFlag.readOnly | OpenFlag.noFollow)
    } catch {
      // It has ended, or is not ours to judge.
      if error == .noSuchFileOrDirectory || error == .permissionDenied { return true }
      throw error
    }
    defer { FileSystemCall.close(log) }
    do throws(Errno) { try FileSystemCall.lockExclusively(log) } catch {
      if error == .wouldBlock { return true }
      throw error
    }
    return try FileSystemCall.status(of: log).linkCount == 0
  }
}
