internal import ArgumentParser
internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift import`: an image of a root file system.
struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make an image of a root file system's tar or directory.",
    usage: "unionfs-swift import [-c <instruction>] [-m <message>] <file>|<dir>|- [<name>[:<tag>]]",
    discussion: """
      The tar may be compressed (gzip, xz, bzip2, zstd). Writes the image's id.

      EXAMPLES
        unionfs-swift import root.tar.xz debian:12
        debootstrap bookworm root && unionfs-swift import root debian:12
        unionfs-swift import -c 'CMD ["/bin/sh"]' - base < base.tar
      """)

  @OptionGroup var store: StoreOptions
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "A Dockerfile's instruction that sets the image's configuration.", valueName: "instruction"))
  var change: [String] = []
  @Option(name: .shortAndLong, help: ArgumentHelp("The image's comment.", valueName: "message"))
  var message: String?
  @Flag(name: .shortAndLong, help: "No progress on a terminal.")
  var quiet = false
  @OptionGroup var limits: LimitOptions
  @Argument(
    help: ArgumentHelp("The tar, the directory, or - for standard input.", valueName: "file"))
  var file: CommandArgument
  @Argument(help: ArgumentHelp("The image's name.", valueName: "name"))
  var name: String?

  func run() throws {
    let reference = try name.map { (text) throws(Failure) in try Reference(text) }
    var changes = ConfigChange(nil)
    try changes.apply(change)
    let opened = try store.changing()
    let input = try ArchiveInput(file.path)
    var options = NewImage.extraction
    options.limits = try limits.limits()
    let work = try LongWork("importing", total: input.size, quiet: quiet)
    try NewImage.make(in: opened, on: nil, named: reference, work) { layer, tarData in
      try extract(input, layer, tarData, options, work.watch)
    } json: { size in
      NewImage.json(
        parent: nil, created: Timestamp.now.rfc3339, createdBy: [], config: changes.config,
        comment: message ?? "Imported from \(input.name)", size: size)
    }
  }

  private func extract(
    _ input: ArchiveInput, _ layer: NewLayer, _ tarData: CInt, _ options: ExtractionOptions,
    _ watch: Watch
  ) throws(Failure) -> ExtractedLayer {
    if input.kind == .directory {
      return try LayerPipe.copy(
        input.descriptor, name: input.name, PackingOptions(view: .flat),
        into: layer.diff.descriptor, tarData: tarData, options, watch)
    }
    let source = try DescriptorSource(input.descriptor, name: input.name, watch: watch)
    return try Layer.extract(
      source, name: input.name, into: layer.diff.descriptor, tarData: tarData,
      options: options, watch: watch)
  }
}
