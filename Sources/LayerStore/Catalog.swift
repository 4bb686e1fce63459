public import UnionCore

/// What a store holds, as one moment had it.
public struct Catalog: Sendable {
  public let kind: LayerStore.Kind
  public internal(set) var images: [ObjectID: Image] = [:]
  public internal(set) var containers: [ObjectID: Container] = [:]
  public internal(set) var tags = Tags()
  /// What is broken, each file by its name; the rest of the store is as it should be.
  public internal(set) var warnings: [Failure] = []
  /// Why an image that is there cannot be used.
  var broken: [ObjectID: Failure] = [:]
  var brokenContainers: [ObjectID: Failure] = [:]
  /// The images that what is broken may need; nil where nobody can tell which.
  var neededByBroken: Set<ObjectID>? = []
  /// Why the tags cannot be told, nor changed.
  var tagsFailure: Failure?

  init(kind: LayerStore.Kind) { self.kind = kind }

  /// The images that lie directly on one.
  public func children(of image: ObjectID) -> [ObjectID] {
    images.values.filter { $0.parent == image }.map(\.id).sorted()
  }

  /// The images that another lies on.
  public var parents: Set<ObjectID> { Set(images.values.compactMap(\.parent)) }

  /// Leaves a container out, for finding out what its removal would free.
  public mutating func forget(container: ObjectID) { containers[container] = nil }

  public func containers(of image: ObjectID) -> [Container] {
    containers.values.filter { $0.image == image }.sorted { $0.id < $1.id }
  }
}

/// Finding by name.
extension Catalog {
  /// An image by NAME[:TAG], by its id, or by the beginning of its id that no other has.
  public func image(_ text: String) throws(Failure) -> Image {
    let id = try imageID(text)
    if let image = images[id] { return image }
    throw broken[id] ?? Self.noImage(text)
  }

  /// Its id. The first kind of name that fits is it, in the order above.
  public func imageID(_ text: String) throws(Failure) -> ObjectID {
    guard let id = try imageIfThere(text) else { throw Self.noImage(text) }
    return id
  }

  func imageIfThere(_ text: String) throws(Failure) -> ObjectID? {
    let bare = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
    if let id = ObjectID(bare), images[id] != nil || broken[id] != nil { return id }
    var flaw: Failure?
    do throws(Failure) {
      if let id = tags.image(try Reference(text)) { return id }
    } catch {
      flaw = error
    }
    if let id = try Self.match(bare, Array(images.keys) + Array(broken.keys)) { return id }
    if let flaw, ObjectID(bare) == nil { throw flaw }
    return nil
  }

  /// A container by its name, its id, or the beginning of its id that no other has.
  public func container(_ text: String) throws(Failure) -> Container {
    let name = text.hasPrefix("/") ? String(text.dropFirst()) : text
    if let id = ObjectID(text) {
      if let found = containers[id] { return found }
      if let failure = brokenContainers[id] { throw failure }
    }
    if let found = containers.values.filter({ $0.name == name }).min(by: { $0.id < $1.id }) {
      return found
    }
    let ids = Array(containers.keys) + Array(brokenContainers.keys)
    guard let id = try Self.match(text, ids) else {
      throw Failure(.failed, "No such container: \(text)", advice: "'ps -a' lists them")
    }
    if let found = containers[id] { return found }
    throw brokenContainers[id] ?? Failure(.failed, "No such container: \(text)")
  }

  private static func match(_ prefix: String, _ ids: [ObjectID]) throws(Failure) -> ObjectID? {
    guard !prefix.isEmpty, prefix.utf8.allSatisfy(ObjectID.isDigit) else { return nil }
    let found = ids.filter { $0.hex.hasPrefix(prefix) }
    if found.count > 1 {
      throw Failure(
        .failed, "'\(prefix)' is the beginning of \(found.count) ids", advice: "give more digits")
    }
    return found.first
  }

  static func noImage(_ text: String) -> Failure {
    let shown = (try? Reference(text)).map { $0.tag == nil ? $0.description : text } ?? text
    return Failure(.failed, "No such image: \(shown)", advice: "'images' lists them")
  }
}

/// Chains.
extension Catalog {
  /// An image and those below it, itself first. Throws what names the file where one is missing or
  /// stands above itself.
  public func chain(of id: ObjectID) throws(Failure) -> [Image] {
    var chain: [Image] = []
    var seen: Set<ObjectID> = []
    var next: ObjectID? = id
    while let id = next {
      guard let image = images[id] else {
        guard let child = chain.last else { throw broken[id] ?? Self.noImage(id.hex) }
        throw broken[id]
          ?? Failure(
            .malformedInput, "graph/\(child.id)/json: the parent \(id) is not there",
            advice: "restore it, or remove the image with 'rmi'")
      }
      if !seen.insert(id).inserted {
        throw Failure(
          .malformedInput, "graph/\(id)/json: the image is its own ancestor, a cycle",
          advice: "restore the file from a copy of the store")
      }
      chain.append(image)
      next = image.parent
    }
    return chain
  }

  /// All layers of an image, topmost first.
  public func layers(of id: ObjectID) throws(Failure) -> [Layer] {
    switch kind {
    case .graph: return try chain(of: id).flatMap(\.layers)
    case .digest:
      guard let image = images[id] else { throw broken[id] ?? Self.noImage(id.hex) }
      return image.layers
    }
  }

  /// Bytes of an image with all that it lies on; what the store does not tell counts as nothing.
  public func size(of id: ObjectID) -> Int64 {
    var total: Int64 = 0
    for layer in (try? layers(of: id)) ?? [] {
      total = total.addingReportingOverflow(max(layer.size ?? 0, 0)).partialValue
    }
    return total
  }

  /// Bytes of an image's own layer; nil where the store does not tell.
  public func ownSize(of id: ObjectID) -> Int64? { images[id]?.layers.first?.size }
}
