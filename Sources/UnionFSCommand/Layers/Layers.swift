internal import ArgumentParser
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift layers`: what each layer of a stack adds, changes, removes and wastes.
struct Layers: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "layers",
    abstract: "Show what each layer adds, changes, removes and wastes.",
    usage: """
      unionfs-swift layers [<option> …] [--root <dir>] <image>
      unionfs-swift layers [<option> …] [--diff-dir <dir>] <layersfile>
      unionfs-swift layers [<option> …] --branch <dir>=<perm> …
      """,
    discussion: """
      Reads the layers without mounting them and changes nothing. A line for each layer, the top one \
      first; then what is stored and what of it is seen, the names that waste most, and the largest \
      files. --html writes the same and more as one page that needs no network: the layers as a map, \
      their history, and a search for the layer that a path comes from.

      EXAMPLES
        unionfs-swift layers debian:12
        unionfs-swift layers /var/lib/docker/aufs/layers/ID
        unionfs-swift layers --html layers.html /store/layers/ID
        unionfs-swift layers --branch /top=rw --branch /base=ro+wh
      """)

  @OptionGroup var store: StoreOptions

  @Option(help: ArgumentHelp("How many names and files to list.", valueName: "n"))
  var top = 10

  @Flag(help: "Write JSON instead of the table.")
  var json = false

  @Flag(help: "With --json: tell of every path.")
  var paths = false

  @Option(help: ArgumentHelp("Write a page instead of the table.", valueName: "file"))
  var html: CommandArgument?

  @Option(
    help: ArgumentHelp("Where the layers lie, instead of ROOT/diff.", valueName: "dir"),
    completion: .directory)
  var diffDir: CommandArgument?

  @Option(
    help: ArgumentHelp(
      "A branch, top first: rw, ro or rr, with +wh or +nolwh.", valueName: "dir=perm"))
  var branch: [CommandArgument] = []

  @Argument(help: ArgumentHelp("An image of the store, or a layers file.", valueName: "image"))
  var operands: [CommandArgument] = []

  func run() throws {
    if top < 0 { throw Failure(.usage, "--top is \(top)", advice: "name 0 or more") }
    if paths, !json {
      throw Failure(.usage, "--paths goes with --json", advice: "add --json")
    }
    let request = MountRequest(
      options: MountOptions(), branches: branch, diffDirectory: diffDir,
      operands: try branch.isEmpty ? operands.map(layersFile) : operands,
      user: Invocation.effectiveUser)
    let (sources, warnings) = try request.layerSources()
    for warning in warnings { Text.writeError(warning) }
    try Self.show(sources, top: top, json: json, paths: paths, html: html?.path)
  }

  /// An operand that is no file is an image's name: its layers file.
  private func layersFile(_ operand: CommandArgument) throws(Failure) -> CommandArgument {
    guard diffDir == nil, !Disk.isThere(operand.path) else { return operand }
    let text = String(decoding: operand.bytes, as: UTF8.self)
    // What can be no name is a path that is wrong.
    guard !text.hasPrefix("/"), !text.hasPrefix("."), (try? Reference(text)) != nil else {
      return operand
    }
    let (opened, catalog) = try store.catalog()
    let layer = try catalog.topLayer(of: try catalog.image(text).id)
    return CommandArgument(bytes: opened.layout.layersFile(of: layer).pathBytes)
  }

  /// - Parameter sources: top first.
  static func show(
    _ sources: [LayerSource], top: Int, json: Bool, paths: Bool, html: FilePath?
  ) throws(Failure) {
    let branches = try BranchSet(
      unmounted: sources.map {
        BranchSpecification(
          path: $0.directory, permission: .readOnly, honoursWhiteouts: $0.honoursWhiteouts)
      }, locked: [])
    let analysis = LayerAnalysis(branches)
    if let html { try LayerPage(sources, analysis).write(to: html) }
    if json {
      LayerJSON(sources, analysis, top: top).write(paths: paths)
    } else if html == nil {
      Text.writeOutput(
        LayerTable(sources, analysis, top: top, style: .ofStandardOutput).bytes)
    }
    if let first = analysis.problems.first {
      let path = sources[first.layer].directory.pathBytes + [UInt8(ascii: "/")] + first.path
      let more = analysis.problemCount - 1
      throw Failure(
        .failed,
        "\(Text.printable(path)) cannot be read: \(first.error)"
          + (more > 0 ? ", and \(more) more" : ""),
        advice: "the figures lack what is in it; run the command as a user who may")
    }
  }
}
