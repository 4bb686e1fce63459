internal import ArgumentParser
internal import LayerStore
internal import UnionCore

/// What `create` and `run` say of a container.
struct ContainerArguments: ParsableArguments {
  @Option(help: ArgumentHelp("The container's name; a random one otherwise.", valueName: "name"))
  var name: String?
  @Option(
    name: [.customShort("e"), .customLong("env")],
    help: ArgumentHelp(
      "A variable of the environment; NAME alone takes the caller's.", valueName: "name=value"))
  var environment: [String] = []
  @Option(
    name: [.customShort("w"), .customLong("workdir")],
    help: ArgumentHelp("The directory to begin in.", valueName: "dir"))
  var workingDirectory: String?
  @Option(
    name: [.customShort("u"), .customLong("user")],
    help: ArgumentHelp("The user, as name or id.", valueName: "user[:group]"))
  var user: String?
  @Option(
    name: [.customShort("v"), .customLong("volume")],
    help: ArgumentHelp(
      "A directory of the host and where it appears.", valueName: "host:place[:ro]"))
  var volumes: [String] = []
  @Option(
    help: ArgumentHelp("A program instead of the image's; empty for none.", valueName: "program"))
  var entrypoint: String?
  @Option(
    name: [.customShort("h"), .long],
    help: ArgumentHelp("The host's name inside; the id's beginning otherwise.", valueName: "host"))
  var hostname: String?
  @Option(
    name: [.customShort("l"), .customLong("label")],
    help: ArgumentHelp("A label.", valueName: "name=value"))
  var labels: [String] = []
  @Flag(name: .shortAndLong, help: "Give it a terminal.")
  var tty = false
  @Flag(name: .shortAndLong, help: "Keep standard input open.")
  var interactive = false

  func options(_ command: [String]) -> ContainerOptions {
    var options = ContainerOptions()
    options.name = name
    options.command = command
    options.entrypoint = entrypoint.map { $0.isEmpty ? [] : [$0] }
    options.environment = environment.compactMap(HostFiles.setting)
    options.workingDirectory = workingDirectory
    options.user = user
    options.volumes = volumes
    options.hostname = hostname
    options.labels = labels
    options.hasTerminal = tty
    options.isInteractive = interactive
    return options
  }
}

/// `unionfs-swift create`: makes a container.
struct Create: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make a container of an image.",
    usage: "unionfs-swift create [<option> …] <image> [<command> …]",
    discussion: """
      Writes the container's id. 'mount --container' shows its files; nothing runs.

      EXAMPLES
        unionfs-swift create --name web debian:12
        unionfs-swift create -e LANG=C -v /srv:/srv:ro debian:12 /bin/sh -c 'ls /srv'
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var container: ContainerArguments
  @Argument(
    help: ArgumentHelp("The image.", valueName: "image"), completion: Completion.images)
  var image: String
  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("What it runs, instead of the image's command.", valueName: "command"))
  var command: [String] = []

  func run() throws {
    let opened = try store.changing()
    let made = try opened.createContainer(
      of: image, container.options(command), resolver: HostFiles.resolver)
    Text.writeOutput(Array("\(made.id)\n".utf8))
  }
}
