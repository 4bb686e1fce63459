internal import ArgumentParser
internal import ImageArchive
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift load`: images from archives.
struct Load: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Load images from a docker archive or an OCI layout.",
    usage: "unionfs-swift load [-i <file>|<dir>] [-q] [-t <name>[:<tag>]]",
    discussion: """
      Reads standard input without -i. The archive may be compressed (gzip, xz, bzip2, zstd); its \
      digests are checked before anything is seen of it.

      EXAMPLES
        unionfs-swift load -i debian.tar
        podman save debian | unionfs-swift load
        unionfs-swift load -i layout/ -t debian:12
      """)

  @OptionGroup var store: StoreOptions
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("The archive, or the directory of a layout.", valueName: "file"))
  var input: CommandArgument?
  @Flag(name: .shortAndLong, help: "No progress on a terminal.")
  var quiet = false
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "The name of an image whose archive has none.", valueName: "name[:tag]"))
  var tag: String?
  @Option(
    help: ArgumentHelp(
      "Which image of several for different machines.", valueName: "os/arch[/variant]"))
  var platform: String?
  @OptionGroup var limits: LimitOptions

  func run() throws {
    let named = try tag.map { (text) throws(Failure) in try Reference(text) }
    var options = ImageReadingOptions()
    options.layers = NewImage.extraction
    options.layers.limits = try limits.limits()
    if let platform { options.platform = try Self.platform(platform) }
    let opened = try store.changing()
    let source = try ArchiveInput(input?.path)
    let work = try LongWork("loading", total: source.size, quiet: quiet)
    let lines = try work.run {
      let transaction = try opened.transaction()
      let places = StagedPlaces(transaction, try opened.catalog())
      let loaded = try source.read(into: places, options, work.watch)
      NewImage.tell(loaded.notes)
      var loading = LoadedChain(transaction, places, work.watch)
      var named = named
      for image in loaded.images {
        try loading.add(image, named: named)
        named = nil
      }
      try work.checkpoint()
      let tags = loading.tags
      try transaction.publish { catalog, _, changes throws(Failure) in
        for (reference, image) in tags {
          if let old = catalog.tags.image(reference), old != image {
            Text.writeError(
              "warning: \(reference) was the image \(old.short), which has lost that name")
          }
          changes.tags.set(reference, to: image)
        }
      }
      return loading.lines
    }
    for line in lines { Text.writeOutput(Array((line + "\n").utf8)) }
  }

  private static func platform(_ text: String) throws(Failure) -> Platform {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard (2...3).contains(parts.count), !parts.contains("") else {
      throw Failure(.usage, "'\(text)' is no platform", advice: "write linux/amd64")
    }
    return Platform(
      os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
  }
}

extension ArchiveInput {
  func read(
    into places: any LayerPlaces, _ options: ImageReadingOptions, _ watch: Watch
  ) throws(Failure) -> LoadedImages {
    switch kind {
    case .directory:
      try ImageReader.read(
        directory: descriptor, name: name, into: places, options: options, watch: watch)
    case .stream:
      try ImageReader.read(
        descriptor: descriptor, name: name, into: places, options: options, watch: watch)
    }
  }
}
