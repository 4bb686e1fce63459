internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// A layer that a transaction makes.
public struct NewLayer: Sendable {
  /// What it will be called.
  public let id: ObjectID
  /// Its files; empty, 0755 and root's, as Docker makes it.
  public let diff: StoreDirectory
}

extension Transaction {
  /// Makes a layer of a new random id, in its place at once: it can be mounted before it is
  /// published.
  public func makeLayer(on parent: LayerID?) throws(Failure) -> NewLayer {
    let id = ObjectID.random()
    return NewLayer(id: id, diff: try makeLayer(id.layer, on: parent))
  }

  /// The same by a name that holds a new random id.
  func makeLayer(_ layer: LayerID, on parent: LayerID?) throws(Failure) -> StoreDirectory {
    let chain = try chain(on: parent)
    try note("add", [layer])
    let diff = try makeDirectory(layer)
    try describe(layer, chain)
    return diff
  }

  /// Makes a layer of an id that follows from what it holds, so that somebody else may be making the
  /// same: whoever publishes first has made it.
  public func stageLayer(_ id: ObjectID, on parent: ObjectID?) throws(Failure) -> NewLayer {
    let chain = try chain(on: parent?.layer)
    let place = ObjectID.random().layer
    try note("add", [place])
    let diff = try makeDirectory(place)
    movingLayers.append(MovingLayer(id: id, place: place, parents: chain))
    parents[id.layer] = chain
    return NewLayer(id: id, diff: diff)
  }

  /// Gives an empty new layer what a temporary directory of this transaction holds, with that directory's
  /// own mode, owner and times; the directory is gone then.
  public func move(_ temporary: String, into layer: NewLayer) throws(Failure) {
    let diffs = try store.place("aufs/diff")
    let staged = staged
    try about(layer.diff.path) { () throws(Errno) in
      guard let name = layer.diff.path.lastComponent?.string else { throw Errno.invalidArgument }
      // Over the empty directory, which has to be opened anew for what follows.
      try FileSystemCall.rename(
        at: staged.descriptor, temporary.name, to: diffs.descriptor, name.name)
    }
  }

  /// The parents of a new layer.
  private func chain(on parent: LayerID?) throws(Failure) -> [LayerID] {
    guard let parent else { return [] }
    if let known = parents[parent] { return [parent] + known }
    return [parent] + (try store.layersFile(of: parent).parents.map(\.id))
  }

  private func makeDirectory(_ layer: LayerID) throws(Failure) -> StoreDirectory {
    let diff = try store.place("aufs/diff")
    return try about(diff.path(layer.name)) { () throws(Errno) in
      try diff.make(layer.name, mode: 0o755)
    }
  }

  /// Writes `layers/ID` and makes the mount point.
  private func describe(_ layer: LayerID, _ chain: [LayerID]) throws(Failure) {
    let (layers, mnt) = (try store.place("aufs/layers"), try store.place("aufs/mnt"))
    let lines = chain.flatMap { $0.bytes + [UInt8(ascii: "\n")] }
    try about(layers.path(layer.name)) { () throws(Errno) in
      try layers.write(layer.name, lines, mode: 0o644)
    }
    try about(mnt.path(layer.name)) { () throws(Errno) in
      _ = try mnt.make(layer.name, mode: 0o755)
    }
  }

  /// Gives a staged layer its name, under the lock.
  func move(_ layer: MovingLayer) throws(Failure) {
    let diff = try store.place("aufs/diff")
    let (id, place) = (layer.id.layer, layer.place)
    let isTaken = try about(diff.path(id.name)) { () throws(Errno) in try diff.exists(id.name) }
    if isTaken {
      throw Failure(
        .failed, "\(diff.path(id.name)) is there, but no image of that id",
        advice: "'check --root' tells what the store holds too much")
    }
    try note("add", [id])
    try about(diff.path(id.name)) { () throws(Errno) in
      try FileSystemCall.rename(
        at: diff.descriptor, place.name, to: diff.descriptor, id.name,
        flags: FileSystemCall.RenameFlag.noReplace)
    }
    try describe(id, layer.parents)
  }
}
