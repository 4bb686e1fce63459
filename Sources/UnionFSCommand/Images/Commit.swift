internal import ArgumentParser
internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift commit`: an image of what a container has changed.
struct Commit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "commit", abstract: "Make an image of a container's changes.",
    usage:
      "unionfs-swift commit [-a <author>] [-m <message>] [-c <instruction>] <container> [<name>[:<tag>]]",
    discussion: """
      The container's layer is copied, as its tar would be, and the copy lies on the container's \
      image. Writes the image's id.

      EXAMPLES
        unionfs-swift commit web web:2
        unionfs-swift commit -m 'with nginx' -c 'CMD ["nginx"]' web web:2
      """)

  @OptionGroup var store: StoreOptions
  @Option(name: .shortAndLong, help: ArgumentHelp("Who made it.", valueName: "author"))
  var author: String = ""
  @Option(name: .shortAndLong, help: ArgumentHelp("The image's comment.", valueName: "message"))
  var message: String = ""
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "A Dockerfile's instruction that changes the configuration.", valueName: "instruction"))
  var change: [String] = []
  @Flag(name: .shortAndLong, help: "No progress on a terminal.")
  var quiet = false
  @Argument(
    help: ArgumentHelp("A container's name or id.", valueName: "container"),
    completion: Completion.containers)
  var container: String
  @Argument(help: ArgumentHelp("The image's name.", valueName: "name"))
  var name: String?

  func run() throws {
    let reference = try name.map { (text) throws(Failure) in try Reference(text) }
    let opened = try store.changing()
    let catalog = try opened.catalog()
    let found = try catalog.container(container)
    guard let parent = found.image else {
      throw Failure(
        .malformedInput, "the container \(found.name) does not say of which image it is")
    }
    var changes = ConfigChange(found.json["Config"])
    try changes.apply(change)
    try MountedContainer(found, opened, try MountTable.current()).flush()
    let work = try LongWork("committing", quiet: quiet)
    try NewImage.make(in: opened, on: parent, named: reference, work) { layer, tarData in
      let source = try opened.diff(of: found.layer)
      return try LayerPipe.copy(
        source.descriptor, name: "\(source.path)", PackingOptions(), into: layer.diff.descriptor,
        tarData: tarData, NewImage.extraction, work.watch)
    } json: { size in
      json(found, changes.config, parent, size: size)
    }
  }

  private func json(
    _ container: Container, _ config: JSONValue, _ parent: ObjectID, size: Int64
  ) -> JSONValue {
    let words = [container.json["Path"]?.string ?? ""] + (container.json["Args"]?.strings ?? [])
    var json = NewImage.json(
      parent: parent, created: Timestamp.now.rfc3339, createdBy: words, config: config,
      comment: message, author: author, size: size)
    json["container"] = .string(container.id.hex)
    return json
  }
}
