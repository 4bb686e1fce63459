internal import ArgumentParser
internal import ImageArchive
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift save`: images as archives.
struct Save: ParsableCommand {
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case docker = "docker-archive"
    case oci = "oci-archive"
    case ociDirectory = "oci-dir"
  }

  static let configuration = CommandConfiguration(
    commandName: "save", abstract: "Save images as a docker archive or an OCI layout.",
    usage: "unionfs-swift save [-o <file>] [--format <format>] <image> …",
    discussion: """
      A docker archive is loaded by docker of any version, podman and skopeo. A name without a tag \
      stands for all its tags. Layers that were loaded go out as the very bytes that came in.

      EXAMPLES
        unionfs-swift save -o debian.tar debian:12
        unionfs-swift save debian:12 | podman load
        unionfs-swift save --format oci-dir -o layout debian:12
      """)

  @OptionGroup var store: StoreOptions
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("A file, or a directory, instead of standard output.", valueName: "file"))
  var output: CommandArgument?
  @Option(help: ArgumentHelp("docker-archive, oci-archive or oci-dir.", valueName: "format"))
  var format = Format.docker
  @Option(
    help: ArgumentHelp(
      "How an OCI layout's layers are compressed: gzip, zstd or none.", valueName: "how"))
  var compression = "gzip"
  @Flag(name: .shortAndLong, help: "No progress on a terminal.")
  var quiet = false
  @Argument(
    help: ArgumentHelp("The images.", valueName: "image"), completion: Completion.images)
  var images: [String]

  func run() throws {
    guard let compression = Compression(rawValue: compression),
      [.none, .gzip, .zstd].contains(compression)
    else {
      throw Failure(
        .usage, "'\(self.compression)' is no compression of layers",
        advice: "gzip, zstd and none are")
    }
    let (opened, catalog) = try store.catalog()
    let chosen = try chosen(catalog)
    let work = try LongWork("saving", quiet: quiet)
    try work.run {
      let watch = work.watch
      if format == .ociDirectory {
        return try saveDirectory(chosen, opened, catalog, compression, watch)
      }
      let target = try ArchiveOutput(output?.path)
      let sink = DescriptorSink(target.descriptor, name: target.name, watch: watch)
      let saved = try saved(chosen, opened, catalog, watch)
      if format == .docker {
        try ImageWriter.writeDockerArchive(saved, to: sink, watch: watch)
      } else {
        let spool = try Self.spool()
        defer { FileSystemCall.close(spool) }
        try ImageWriter.writeLayout(
          saved, to: sink, compression: compression, spool: spool, watch: watch)
      }
      try work.checkpoint()
      try target.publish()
    }
  }

  /// The images in the order in which they were named, each once, with the names that go out.
  private func chosen(_ catalog: Catalog) throws(Failure) -> [(image: Image, tags: [String])] {
    var chosen: [(image: Image, tags: [String])] = []
    func add(_ image: Image, _ tag: String?) {
      if let index = chosen.firstIndex(where: { $0.image.id == image.id }) {
        if let tag, !chosen[index].tags.contains(tag) { chosen[index].tags.append(tag) }
      } else {
        chosen.append((image, tag.map { [$0] } ?? []))
      }
    }
    for text in images {
      let reference = try? Reference(text)
      let named = catalog.tags.all.filter { tag in
        guard let reference, !tag.isDigest else { return false }
        return tag.name == reference.name && (reference.tag ?? tag.tag) == tag.tag
      }
      if named.isEmpty {
        add(try catalog.image(text), nil)
      } else {
        for tag in named { add(try catalog.image(tag.image.hex), tag.reference) }
      }
    }
    return chosen
  }

  private func saved(
    _ chosen: [(image: Image, tags: [String])], _ store: LayerStore, _ catalog: Catalog,
    _ watch: Watch
  ) throws(Failure) -> [SavedImage] {
    var chain = SavedChain(store, catalog, watch)
    var saved: [SavedImage] = []
    for (image, tags) in chosen { saved.append(try chain.image(image, tags: tags)) }
    return saved
  }

  private func saveDirectory(
    _ chosen: [(image: Image, tags: [String])], _ store: LayerStore, _ catalog: Catalog,
    _ compression: Compression, _ watch: Watch
  ) throws(Failure) {
    guard let path = output?.path, path != "-" else {
      throw Failure(.usage, "an OCI directory has no name", advice: "name it with -o")
    }
    let place = try OutputPlace(path)
    let staged = try OutputDirectory(in: place.directory, name: place.name)
    try ImageWriter.writeLayout(
      try saved(chosen, store, catalog, watch), directory: staged.descriptor,
      compression: compression, watch: watch)
    try watch.pause()
    try staged.publish()
  }

  /// Where files without names hold what has no size yet: $TMPDIR, else /var/tmp.
  private static func spool() throws(Failure) -> CInt {
    let path = Invocation.variable("TMPDIR") ?? "/var/tmp"
    do throws(Errno) {
      return try FileSystemCall.open(path: path, OpenFlag.readOnly | OpenFlag.directory)
    } catch {
      let failure = Disk.failure(error, "\(path)")
      throw Failure(
        failure.code, failure.message, advice: "name a directory for temporary files with TMPDIR")
    }
  }
}
