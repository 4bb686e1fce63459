public import UnionCore

/// Docker's rules of `rmi`: values in, what is untagged and deleted out.
public struct ImageRemoval {
  /// What became of what was asked for, in order; docker's lines.
  public enum Record: Sendable, Equatable {
    case untagged(String)
    case deleted(ObjectID)
  }

  public struct Options: Sendable {
    /// Whether tags and stopped containers count for nothing.
    public var force: Bool
    /// Whether parents go that nothing names any more.
    public var prunesParents: Bool

    public init(force: Bool = false, prunesParents: Bool = true) {
      self.force = force
      self.prunesParents = prunesParents
    }
  }

  private let catalog: Catalog
  private let used: Set<ObjectID>
  private let options: Options
  private var gone: Set<ObjectID> = []
  private var records: [Record] = []
  private var tags: Tags

  /// Removes an image by a name, as `publish` is to do it.
  ///
  /// - Returns: docker's records, in order.
  public static func remove(
    _ text: String, _ options: Options = Options(), catalog: Catalog, used: Set<ObjectID>,
    changes: inout Changes
  ) throws(Failure) -> [Record] {
    var removal = ImageRemoval(
      catalog: catalog, used: used, options: options, gone: Set(changes.removedImages),
      tags: changes.tags)
    try removal.remove(text)
    changes.tags = removal.tags
    for case .deleted(let id) in removal.records { changes.removeImage(id) }
    return removal.records
  }

  /// Removes all images that nothing names and nothing lies on, or all that no container needs.
  public static func prune(
    all: Bool, catalog: Catalog, used: Set<ObjectID>, changes: inout Changes
  ) throws(Failure) -> [Record] {
    var removal = ImageRemoval(
      catalog: catalog, used: used, options: Options(force: all),
      gone: Set(changes.removedImages), tags: changes.tags)
    removal.prune(all)
    changes.tags = removal.tags
    for case .deleted(let id) in removal.records { changes.removeImage(id) }
    return removal.records
  }

  /// From the heads down: an image goes once nothing lies on it any more.
  private mutating func prune(_ all: Bool) {
    var pending = Set(catalog.images.keys)
    for id in catalog.images.keys.sorted() {
      var next: ObjectID? = id
      while let id = next, pending.contains(id), !isUsed(id), children(of: id).isEmpty,
        !isNeededByBroken(id),
        all || tags.tags(of: id).isEmpty
      {
        pending.remove(id)
        for tag in tags.tags(of: id) { untag(tag) }
        gone.insert(id)
        records.append(.deleted(id))
        next = catalog.images[id]?.parent
      }
    }
  }

  private init(
    catalog: Catalog, used: Set<ObjectID>, options: Options, gone: Set<ObjectID>, tags: Tags
  ) {
    (self.catalog, self.used, self.options, self.gone) = (catalog, used, options, gone)
    self.tags = tags
  }

  private mutating func remove(_ text: String) throws(Failure) {
    let id = try catalog.imageID(text)
    guard !gone.contains(id) else { throw Catalog.noImage(text) }
    var hasUntagged = false
    if let reference = reference(text, of: id) {
      try checkUntagging(reference, of: id)
      untag(reference)
      if !tags.tags(of: id).isEmpty { return }
      hasUntagged = true
    } else if let only = tags.tags(of: id).first, tags.tags(of: id).count == 1 {
      // Docker takes the one name that an id has for the id itself.
      if let conflict = conflict(id, force: options.force, ignoresTags: true) { throw conflict }
      untag(only)
    }
    try delete(id, force: options.force, quiet: hasUntagged)
  }

  /// The tag that the text names; nil where it is an id.
  private func reference(_ text: String, of id: ObjectID) -> Tag? {
    guard !id.hex.hasPrefix(text), let reference = try? Reference(text),
      tags.image(reference) == id
    else { return nil }
    return Tag(name: reference.name, tag: reference.tagOrDefault, image: id)
  }

  /// The last name of what a container was made from is not taken away without force.
  private func checkUntagging(_ tag: Tag, of id: ObjectID) throws(Failure) {
    let names = Set(tags.tags(of: id).map(\.name))
    guard !options.force, names.count < 2, let container = catalog.containers(of: id).first else {
      return
    }
    throw Failure(
      .failed,
      "conflict: unable to remove repository reference \"\(tag.reference)\" (must force) - container "
        + "\(container.id.short) is using its referenced image \(id.short)",
      advice: "remove the container with 'rm' first, or add -f")
  }

  private mutating func untag(_ tag: Tag) {
    tags.remove(tag)
    records.append(.untagged(tag.reference))
  }

  /// - Parameter quiet: a conflict is not told: what was asked for is done.
  private mutating func delete(_ id: ObjectID, force: Bool, quiet: Bool) throws(Failure) {
    var (next, force, quiet): (ObjectID?, Bool, Bool) = (id, force, quiet)
    while let id = next, catalog.images[id] != nil || catalog.broken[id] != nil {
      if let conflict = conflict(id, force: force) {
        let isDangling = tags.tags(of: id).isEmpty && children(of: id).isEmpty
        if quiet, !isDangling || isUsed(id) { return }
        throw conflict
      }
      for tag in tags.tags(of: id) { untag(tag) }
      gone.insert(id)
      records.append(.deleted(id))
      if !options.prunesParents { return }
      // What lies below goes while nothing keeps it.
      (next, force, quiet) = (catalog.images[id]?.parent, false, true)
    }
  }

  private func children(of id: ObjectID) -> [ObjectID] {
    catalog.children(of: id).filter { !gone.contains($0) }
  }

  /// Without it a file that cannot be read for a moment would cost what lies below it.
  private func isNeededByBroken(_ id: ObjectID) -> Bool {
    guard catalog.broken[id] == nil else { return false }
    return catalog.neededByBroken?.contains(id) ?? true
  }

  private func isUsed(_ id: ObjectID) -> Bool {
    used.contains(id) || !catalog.containers(of: id).isEmpty
  }

  private func conflict(_ id: ObjectID, force: Bool, ignoresTags: Bool = false) -> Failure? {
    func failure(_ reason: String, cannot: Bool, _ advice: String) -> Failure {
      let force = cannot ? "cannot be forced" : "must be forced"
      return Failure(
        .failed, "conflict: unable to delete \(id.short) (\(force)) - \(reason)", advice: advice)
    }
    if used.contains(id) {
      return failure(
        "image is in use by another command", cannot: true, "try again when that has ended")
    }
    if !children(of: id).isEmpty {
      return failure(
        "image has dependent child images", cannot: true, "'tree' shows them; remove them first")
    }
    if isNeededByBroken(id) {
      return failure(
        "image may be needed by what is broken in the store", cannot: true,
        "'check --root' tells what; mend or remove that first")
    }
    let containers = catalog.containers(of: id)
    if let running = containers.first(where: \.isRunning) {
      return failure(
        "image is being used by running container \(running.id.short)", cannot: true,
        "stop it and remove it with 'rm'")
    }
    if force { return nil }
    if !ignoresTags, !tags.tags(of: id).isEmpty {
      return failure(
        "image is referenced in one or more repositories", cannot: false,
        "remove its names one by one, or add -f")
    }
    if let container = containers.first {
      return failure(
        "image is being used by stopped container \(container.id.short)", cannot: false,
        "remove it with 'rm' first, or add -f")
    }
    return nil
  }
}
