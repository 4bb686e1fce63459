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
  @Argument(
    help: ArgumentHelp("The image.", valueName: "image"), completion: Completion.images)
  var image: String
  @Argument(help: ArgumentHelp("The new image's name.", valueName: "name"))
  var name: String?

  func run() throws {
    let reference = try name.map { (text) throws(Failure) in try Reference(text) }
    let opened = try store.changing()
    let work = try LongWork("squashing", quiet: quiet)
    let view = try ImageView(image, in: opened)
    defer { view.end() }
    let found = view.image
    try NewImage.make(in: opened, on: nil, named: reference, work) { layer, tarData in
      try LayerPipe.copy(
        view.context.root, name: image, PackingOptions(view: .flat), into: layer.diff.descriptor,
        tarData: tarData, NewImage.extraction, work.watch)
    } json: { size in
      NewImage.json(
        parent: nil, created: Timestamp.now.rfc3339, createdBy: [], config: found.config,
        comment: message ?? "Squashed from \(image)",
        author: found.json["author"]?.string ?? "", size: size)
    }
  }
}
