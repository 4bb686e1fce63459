internal import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// A change of a store. Nothing of it is seen before `publish`, all of it after; what is dropped
/// without that, or killed, has never been.
///
/// Used by one thread.
public final class Transaction {
  public let store: LayerStore
  let name: [CChar]
  /// Locked as long as the transaction lives, and appended to.
  private let log: CInt
  private let logs: StoreDirectory
  let staging: StoreDirectory
  let staged: StoreDirectory
  /// What the log says.
  private(set) var record = TransactionLog(parsing: [])
  /// Layers under a name of their own until they are published, and what they will be.
  var movingLayers: [MovingLayer] = []
  /// Chains of the layers that are not in their place yet.
  var parents: [LayerID: [LayerID]] = [:]
  var images: [StagedImage] = []
  var containers: [ObjectID] = []
  private var hasEnded = false

  static let stagedTags = "repositories-aufs".name

  struct MovingLayer {
    let id: ObjectID
    let place: LayerID
    let parents: [LayerID]
  }

  struct StagedImage {
    let id: ObjectID
    let parent: ObjectID?
  }

  init(of store: LayerStore) throws(Failure) {
    self.store = store
    logs = try store.place("unionfs-swift/transactions")
    staging = try store.place("unionfs-swift/tmp")
    name = ObjectID.random().short.name
    let (logs, staging, name) = (logs, staging, name)
    log = try store.whileLocked(exclusively: false) { () throws(Failure) in
      try about(logs.path(name)) { () throws(Errno) in try Self.create(name, in: logs) }
    }
    do throws(Errno) { staged = try staging.make(name) } catch {
      // It may be there all the same. What cannot be removed now is ended by whoever changes the store next.
      if (try? staging.remove(name)) != nil {
        try? FileSystemCall.unlink(at: logs.descriptor, name)
      }
      FileSystemCall.close(log)
      throw Failure(error, staging.path(name).string)
    }
  }

  /// Under the store's lock, which whoever ends dead transactions has alone.
  private static func create(_ name: [CChar], in logs: StoreDirectory) throws(Errno) -> CInt {
    let flags =
      OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive | OpenFlag.append
      | OpenFlag.noFollow
    let log = try FileSystemCall.open(at: logs.descriptor, name, flags, mode: 0o600)
    do throws(Errno) { try FileSystemCall.lock(log, exclusively: true) } catch {
      FileSystemCall.close(log)
      throw error
    }
    return log
  }

  deinit {
    if !hasEnded { abandon() }
    FileSystemCall.close(log)
  }

  /// Ends the transaction as if it had never been. Nothing where it has ended.
  public func abandon() {
    guard !hasEnded else { return }
    // What was committed, or cannot be removed now, is ended by whoever changes the store next.
    hasEnded = true
    if record.isCommitted { return }
    let victims = record.added
    let log = log
    try? store.whileLocked(exclusively: true) { () throws(Failure) in
      try store.removeNames(of: victims, into: staged)
      try about(staged.path) { () throws(Errno) in try Self.sayDone(log) }
      record.isDone = true
    }
    if record.isDone { try? finish(victims) }
  }

  /// Deletes what has no name any more, then the log.
  private func finish(_ victims: [LayerID]) throws(Failure) {
    try store.removeContent(of: victims)
    let (logs, staging, name) = (logs, staging, name)
    try about(staging.path(name)) { () throws(Errno) in
      try staging.remove(name)
      try FileSystemCall.unlink(at: logs.descriptor, name)
    }
  }

  /// The log's last word: from now on it is of what has no name.
  static func sayDone(_ log: CInt) throws(Errno) {
    try StoreDirectory.writeAll(Array("done\n".utf8), to: log)
    try FileSystemCall.sync(log)
  }

  /// Says something that must be on the disk before it is acted on.
  func note(_ word: String, _ ids: [LayerID], flushing: Bool = true) throws(Failure) {
    var bytes: [UInt8] = []
    for id in ids { bytes += Array("\(word) ".utf8) + id.bytes + [UInt8(ascii: "\n")] }
    try append(bytes, flushing)
    switch word {
    case "add": record.added += ids
    case "remove": record.removed += ids
    default: record.used.formUnion(ids)
    }
  }

  private func append(_ bytes: [UInt8], _ flushing: Bool) throws(Failure) {
    if bytes.isEmpty { return }
    let log = log
    try about(logs.path(name)) { () throws(Errno) in
      let before = try FileSystemCall.status(of: log).size
      do throws(Errno) {
        try StoreDirectory.writeAll(bytes, to: log)
        if flushing { try FileSystemCall.sync(log) }
      } catch {
        // What was not said whole was not said.
        try? FileSystemCall.truncate(log, to: before)
        throw error
      }
    }
  }
}

/// What a command does before it publishes.
extension Transaction {
  /// Nobody removes the image until this transaction has ended.
  ///
  /// - Returns: the image.
  @discardableResult
  public func use(_ image: ObjectID) throws(Failure) -> Image {
    try store.whileLocked(exclusively: false) { () throws(Failure) in
      guard let found = try store.readCatalog().images[image] else {
        throw Catalog.noImage(image.hex)
      }
      try note("use", [image.layer], flushing: false)
      return found
    }
  }

  /// Finds an image by what a person calls it, and keeps it until this transaction has ended.
  public func use(named text: String) throws(Failure) -> (image: Image, catalog: Catalog) {
    try store.whileLocked(exclusively: false) { () throws(Failure) in
      let catalog = try store.readCatalog()
      let image = try catalog.image(text)
      try note("use", [image.id.layer], flushing: false)
      return (image, catalog)
    }
  }

  /// A directory for what belongs to this transaction alone; it is deleted at the end.
  public func temporaryDirectory(_ name: String) throws(Failure) -> StoreDirectory {
    let staged = staged
    return try about(staged.path.appending(name)) { () throws(Errno) in
      try staged.make(name.name)
    }
  }

  /// Begins an image: a directory for `json`, `layersize` and what else belongs to it, which
  /// `publish` moves to `graph/ID`. Its layer is made by `makeLayer` or `stageLayer`.
  ///
  /// - Parameter json: must have the image's `id` and `parent`.
  public func stageImage(
    _ id: ObjectID, parent: ObjectID?, json: [UInt8], layerSize: Int64
  ) throws(Failure) -> StoreDirectory {
    let staged = staged
    let name = "image-\(id)".name
    let directory = try about(staged.path(name)) { () throws(Errno) in
      let made = try staged.make(name, mode: 0o700)
      try made.write("json", json)
      try made.write("layersize", Array("\(layerSize)".utf8))
      return made
    }
    images.append(StagedImage(id: id, parent: parent))
    return directory
  }

  /// Begins a container: a directory which `publish` moves to `containers/ID`.
  func stageContainer(_ id: ObjectID) throws(Failure) -> StoreDirectory {
    let staged = staged
    let name = "container-\(id)".name
    let directory = try about(staged.path(name)) { () throws(Errno) in try staged.make(name) }
    containers.append(id)
    return directory
  }
}

/// What is decided under the lock.
public struct Changes {
  /// The tags as they shall be.
  public var tags: Tags
  public private(set) var removedImages: [ObjectID] = []
  public private(set) var removedContainers: [ObjectID] = []

  init(_ tags: Tags) { self.tags = tags }

  /// For finding out what would be done.
  public init(planning catalog: Catalog) { self.init(catalog.tags) }

  /// Whether something needs the image is the caller's to find out (`ImageRemoval`).
  public mutating func removeImage(_ id: ObjectID) { removedImages.append(id) }
  public mutating func removeContainer(_ id: ObjectID) { removedContainers.append(id) }
}

/// Publishing.
extension Transaction {
  /// Makes everything seen at once, and ends the transaction.
  ///
  /// - Parameters:
  ///   - flushing: whether the layers' files must be on the disk before. Not where they are empty.
  ///   - decide: sets tags and removes, by the catalog as it is now; nobody else changes it meanwhile.
  ///     `images` are those that others use. What it throws leaves everything as it was.
  public func publish(
    flushing: Bool = true,
    _ decide: (Catalog, _ used: Set<ObjectID>, inout Changes) throws(Failure) -> Void = { _, _, _ in
    }
  ) throws(Failure) {
    if flushing, !record.added.isEmpty { try flush() }
    try store.whileLocked(exclusively: true) { () throws(Failure) in
      let used = try store.endDead(names: true)
      let catalog = try store.readCatalog()
      if let failure = catalog.tagsFailure { throw failure }
      // What is not there, or makes no sense, can be reckoned with; what could not be read cannot.
      let unread = catalog.warnings.first { ![.malformedInput, .missingInput].contains($0.code) }
      if let unread { throw unread }
      var changes = Changes(catalog.tags)
      try decide(catalog, used, &changes)
      try place(catalog)
      try check(changes, catalog)
      try commit(changes, catalog)
    }
    hasEnded = true
    try finish(record.removed)
  }

  private func flush() throws(Failure) {
    let staged = staged
    try about(store.layout.root) { () throws(Errno) in
      try FileSystemCall.syncFileSystem(of: staged.descriptor)
    }
    let diff = try store.place("aufs/diff")
    try about(diff.path) { () throws(Errno) in
      let (own, other) = (
        try FileSystemCall.status(of: staged.descriptor).device,
        try FileSystemCall.status(of: diff.descriptor).device
      )
      if own != other { try FileSystemCall.syncFileSystem(of: diff.descriptor) }
    }
  }

  /// Moves what was staged to its place. An image that somebody else has made meanwhile is theirs.
  private func place(_ catalog: Catalog) throws(Failure) {
    let there = Set(images.filter { catalog.images[$0.id] != nil }.map(\.id))
    for image in images where !there.contains(image.id) {
      if let failure = catalog.broken[image.id] { throw failure }
    }
    for layer in movingLayers {
      if there.contains(layer.id) {
        try note("remove", [layer.place])
      } else {
        try move(layer)
      }
    }
    let new = Set(images.map(\.id))
    for image in images where !there.contains(image.id) {
      if let parent = image.parent, catalog.images[parent] == nil, !new.contains(parent) {
        throw Failure(.failed, "the image \(image.id) lies on \(parent), which is not there")
      }
      guard record.added.contains(image.id.layer) else {
        throw Failure(.failed, "the image \(image.id) has no layer")
      }
      try move("image-\(image.id)".name, to: "graph", image.id)
    }
    for container in containers {
      try move("container-\(container)".name, to: "containers", container)
    }
  }

  private func move(_ name: [CChar], to place: String, _ id: ObjectID) throws(Failure) {
    let target = try store.place(place)
    let staged = staged
    try about(target.path(id.hex.name)) { () throws(Errno) in
      try FileSystemCall.rename(
        at: staged.descriptor, name, to: target.descriptor, id.hex.name,
        flags: FileSystemCall.RenameFlag.noReplace)
      try target.sync()
    }
  }

  private func check(_ changes: Changes, _ catalog: Catalog) throws(Failure) {
    let before = Set(catalog.images.keys).union(catalog.broken.keys)
    let after = before.union(images.map(\.id)).subtracting(changes.removedImages)
    let old = Set(catalog.tags.all)
    for tag in changes.tags.all where !after.contains(tag.image) {
      // One that was broken before is `check`'s to tell.
      if old.contains(tag), !before.contains(tag.image) { continue }
      throw Failure(
        .failed, "\(tag.reference) would name the image \(tag.image), which is not there")
    }
  }

  /// The log's last line decides; the rest can be done again by anybody.
  private func commit(_ changes: Changes, _ catalog: Catalog) throws(Failure) {
    try note("remove", changes.removedImages.map(\.layer), flushing: false)
    try note(
      "remove", changes.removedContainers.flatMap { [$0.layer, $0.initLayer] }, flushing: false)
    if changes.tags != catalog.tags {
      let (staged, bytes) = (staged, changes.tags.bytes)
      try about(staged.path(Self.stagedTags)) { () throws(Errno) in
        try staged.write(Self.stagedTags, bytes, mode: 0o600)
      }
    }
    try append(Array("commit\n".utf8), true)
    record.isCommitted = true
    try store.completeCommitted(record, staged)
    let log = log
    try about(staged.path) { () throws(Errno) in try Self.sayDone(log) }
  }
}

extension LayerStore {
  /// Begins a change. The store must have been opened for that.
  public func transaction() throws(Failure) -> Transaction { try Transaction(of: self) }

  /// What follows a commit, from wherever it was left.
  func completeCommitted(_ log: TransactionLog, _ staged: StoreDirectory) throws(Failure) {
    guard let root else { return }
    try about(layout.repositories) { () throws(Errno) in
      if try staged.moveIfThere(Transaction.stagedTags, to: root, "repositories-aufs".name) {
        try root.sync()
      }
    }
    try removeNames(of: log.removed, into: staged)
  }
}
