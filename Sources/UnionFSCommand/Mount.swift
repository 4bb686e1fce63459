internal import ArgumentParser
internal import LayerStore
internal import Logging
internal import SystemCalls
internal import SystemPackage
internal import UnionCore
internal import UnionFS

/// `unionfs-swift mount`: makes a union and serves it.
struct Mount: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mount",
    abstract: "Mount a layers file's chain, or branches named one by one.",
    usage: """
      unionfs-swift mount [-f] [-o <opt>,…] [--diff-dir <dir>] [--upper <dir>] <layersfile> [<mnt>]
      unionfs-swift mount [-f] [-o <opt>,…] [--root <dir>] --container <name> [<mnt>]
      unionfs-swift mount [-f] [-o <opt>,…] [--root <dir>] --image <name> [<mnt>]
      unionfs-swift mount [-f] [-o <opt>,…] --branch <dir>=<perm> … <mnt>
      unionfs-swift mount [-f] -o br:<dir>=<perm>:<dir>=<perm>… <mnt>
      """,
    discussion: """
      LAYERSFILE is ROOT/layers/ID, a list of the layer's parents, nearest first. The union's top is \
      ROOT/diff/ID, and it is mounted at ROOT/mnt/ID where MNT is not given. Without a branch that \
      is rw the mount is read-only. A container of the layer store is mounted by its layers file, an \
      image by that of its top layer, read-only; the mount point is written to standard output. The \
      command returns once the mount is live.

      EXAMPLES
        unionfs-swift mount /var/lib/docker/aufs/layers/ID
        unionfs-swift mount --upper /scratch /store/layers/ID /mnt
        unionfs-swift mount -o ro /store/layers/ID /mnt
        unionfs-swift mount --container web
        unionfs-swift mount --image debian:12 /mnt
        unionfs-swift mount --branch /top=rw --branch /base=ro+wh /mnt
        unionfs-swift mount -o br:/top=rw:/base=ro+wh,nosuid /mnt
      """)

  @Flag(name: .customShort("f"), help: "Stay in the foreground; the log goes to standard error.")
  var foreground = false

  @Option(
    name: .customShort("o", allowingJoined: true),
    help: ArgumentHelp(
      "Mount options, joined by commas; may be repeated.",
      discussion: """
        allow_other, allow_root, [no]suid, [no]dev, [no]exec, ro, [no]atime, [a]sync, dirsync, \
        fsname=, subtype=, auto_unmount, max_read=; aufs's br:, and its options that mean nothing \
        here; sync=auto|strict|volatile (when copied data reaches the disk); \
        rename=materialise|exdev (of directories with lower content); \
        passthrough=auto|stacked|off, writeback=auto|off, serve=near|any (who reads, writes and \
        answers where); readers=coherent|fast (whether an open lower file shows later changes).
        """, valueName: "opt,…"))
  var options: [CommandArgument] = []

  @Option(
    help: ArgumentHelp("Where the layers lie, instead of ROOT/diff.", valueName: "dir"),
    completion: .directory)
  var diffDir: CommandArgument?

  @Option(
    help: ArgumentHelp(
      "A writable top above the layer, which itself is then left unchanged.", valueName: "dir"),
    completion: .directory)
  var upper: CommandArgument?

  @Option(
    help: ArgumentHelp(
      "A branch, top first: rw, ro or rr, with +wh or +nolwh.", valueName: "dir=perm"))
  var branch: [CommandArgument] = []

  @OptionGroup var store: StoreOptions

  @Option(
    help: ArgumentHelp("A container of the layer store.", valueName: "name"),
    completion: Completion.containers)
  var container: String?

  @Option(
    help: ArgumentHelp("An image of the layer store; read-only.", valueName: "name"),
    completion: Completion.images)
  var image: String?

  /// For a command that mounts for its own time, however that ends. Standard input is a pipe.
  @Flag(help: .hidden)
  var endWithInput = false

  @Option(help: ArgumentHelp("The least that is logged.", valueName: "level"))
  var logLevel = LogLevel(.warning)

  @Argument(help: ArgumentHelp("The layers file and the mount point.", valueName: "operand"))
  var operands: [CommandArgument] = []

  func run() throws {
    let logger = Log.start(level: logLevel)
    var request = MountRequest(
      options: try MountOptions(options.map(\.bytes)), branches: branch, upper: upper,
      diffDirectory: diffDir, operands: operands, user: Invocation.effectiveUser)
    if container != nil || image != nil { try name(&request) }
    let plan = try request.plan()
    for note in plan.notes { logger.notice("\(note)") }
    for warning in plan.warnings { logger.warning("\(warning)") }
    if foreground {
      try Server.run(plan.configuration, logger, endsWithInput: endWithInput) {}
    } else {
      try Server.detach(plan.configuration, logger, endsWithInput: endWithInput)
      if container != nil || image != nil {
        Text.writeOutput(Array("\(plan.configuration.mountPoint)\n".utf8))
      }
    }
  }

  /// Puts the layers file of a container or an image before the mount point.
  private func name(_ request: inout MountRequest) throws(Failure) {
    if container != nil, image != nil {
      throw Failure(.usage, "--container and --image exclude each other")
    }
    if !branch.isEmpty || diffDir != nil || request.options.branches != nil {
      throw Failure(
        .usage, "\(container == nil ? "--image" : "--container") names all branches",
        advice: "leave out --branch, br: and --diff-dir")
    }
    if operands.count > 1 {
      throw Failure(
        .usage, "'\(Text.printable(operands[1].bytes))' is one operand too many",
        advice: "the only operand is the mount point")
    }
    let (opened, catalog) = try store.catalog()
    let layer: LayerID
    if let container {
      layer = try catalog.container(container).layer
    } else {
      layer = try catalog.topLayer(of: catalog.image(image ?? "").id)
      if upper == nil { request.options.readOnly = true }
    }
    let file = opened.layout.layersFile(of: layer)
    request.operands.insert(CommandArgument(bytes: file.pathBytes), at: 0)
  }
}
