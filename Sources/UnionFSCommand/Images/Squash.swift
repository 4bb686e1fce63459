internal import ArgumentParser
internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift squash`: an image of one layer that shows what several show.
struct Squash: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "squash", abstract: "Make one layer of all layers of an image.",
    usage: "unionfs-swift squash [-m <message>] <image> [<name>[:<tag>]]",
    discussion: """
      The new image shows the same files and has the same configuration; what upper layers hide of \
      lower ones is not in it. The old one stays. Writes the image's id.

      EXAMPLES
        unionfs-swift squash web:1 web:small
      """)

  @OptionGroup var store: StoreOptions
  @Option(name: .shortAndLong, help: ArgumentHelp("The image's comment.", valueName: "message"))
  var message: String?
  @Flag(name: .shortAndLong, help: "No progress on a terminal.")
  var quiet = false
  @Argument(help: ArgumentHelp("The image.", valueName: "image"))
  var image: String
  @Argument(help: ArgumentHelp("The new image's name.", valueName: "name"))
  var name: String?

  func run() throws {
    let reference = try name.map { (text) throws(Failure) in try Reference(text) }
    let opened = try store.changing()
    let work = try LongWork("squashing", quiet: quiet)
    let id = try work.run {
      let transaction = try opened.transaction()
      let (found, _) = try transaction.use(named: image)
      let layer = try transaction.makeLayer(on: nil)
      let files = try ImageFiles(transaction)
      let copied = try copy(found, into: layer, files, transaction, work.watch)
      NewImage.tell(copied.notes)
      var json = NewImage.json(
        parent: nil, created: Timestamp.now.rfc3339, createdBy: [], config: found.config,
        comment: message ?? "Squashed from \(image)",
        author: found.json["author"]?.string ?? "", size: copied.size)
      json["id"] = .string(layer.id.hex)
      let new = try transaction.stageImage(
        layer.id, parent: nil, json: json.bytes, layerSize: copied.size)
      try NewImage.describe(new, checksum: copied.diffID)
      try files.moveTarData(to: new)
      try work.checkpoint()
      try transaction.publish { _, _, changes throws(Failure) in
        if let reference { changes.tags.set(reference, to: layer.id) }
      }
      return layer.id
    }
    Text.writeOutput(Array("\(id)\n".utf8))
  }

  private func copy(
    _ image: Image, into layer: NewLayer, _ files: ImageFiles, _ transaction: Transaction,
    _ watch: Watch
  ) throws -> ExtractedLayer {
    let store = transaction.store
    let layers = [image.id.layer] + (try store.layersFile(of: image.id.layer).parents.map(\.id))
    // A layer that is never published: its mount point shows the image.
    let scratch = try store.transaction()
    defer { scratch.abandon() }
    let view = try scratch.makeLayer(on: image.id.layer)
    let union = try MountedUnion(
      layers.map { (store.layout.diff(of: $0), "ro+wh") },
      at: store.layout.mountPoint(of: view.id.layer))
    defer { union.abandon() }
    let context = try BuildContext(union.point, name: image.id.short)
    return try LayerPipe.copy(
      context.root, name: self.image, PackingOptions(view: .flat),
      into: layer.diff.descriptor, tarData: files.tarData, NewImage.extraction, watch)
  }
}
