internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift run`: runs a command in a new container.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a command in a new container.",
    usage: "unionfs-swift run [--rm] [<option> …] <image> [<command> …]",
    discussion: """
      The container runs in runc or crun, whichever is on the PATH; its root is a union mount. The \
      status is the command's own, or 128 and the signal's number.

      EXAMPLES
        unionfs-swift run --rm debian:12 ls /
        unionfs-swift run -it --name web -v /srv:/srv:ro debian:12 bash
        unionfs-swift run --rm --net none busybox ip link
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var container: ContainerArguments
  @OptionGroup var runtime: RuntimeOptions
  @Flag(name: .customLong("rm"), help: "Remove the container when it has ended.")
  var isRemoved = false
  @Argument(
    help: ArgumentHelp("The image.", valueName: "image"), completion: Completion.images)
  var image: String
  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("What it runs, instead of the image's command.", valueName: "command"))
  var command: [String] = []

  func run() throws {
    let opened = try store.changing()
    let state = opened.layout.own.appending("run")
    let runtime = try runtime.runtime(state: state)
    if container.tty, !Program.isTerminal(0) {
      throw Failure(
        .usage, "standard input is no terminal", advice: "leave -t out")
    }
    let signals: CInt
    do throws(Errno) { signals = try ProcessCall.signalDescriptor() } catch {
      throw Failure(.failed, "signals cannot be waited for: \(error)")
    }
    let made = try opened.createContainer(
      of: image, options, resolver: HostFiles.resolver)
    let catalog = try opened.catalog()
    let found = try catalog.container(made.id.hex)
    defer {
      if isRemoved { try? Self.remove(made.id, opened) }
    }
    let running = RunningContainer(found, opened, runtime)
    let status = try running.run(
      network: self.runtime.network, isInteractive: container.interactive, signals: signals)
    if status != 0 {
      if isRemoved { try Self.remove(made.id, opened) }
      throw SilentExit(status: status)
    }
  }

  private var options: ContainerOptions {
    var options = container.options(command)
    options.network = runtime.network.rawValue
    return options
  }

  private static func remove(_ id: ObjectID, _ store: LayerStore) throws(Failure) {
    let transaction = try store.transaction()
    try transaction.publish { catalog, _, changes throws(Failure) in
      guard let found = catalog.containers[id] else { return }
      try Rm.remove(found, force: true, store, &changes)
    }
  }
}

/// What runs a container, and with which network.
struct RuntimeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The OCI runtime: a name on the PATH, or a path.", valueName: "program"))
  var runtime: String?
  @Option(
    name: [.customLong("net"), .customLong("network")],
    help: ArgumentHelp("The container's network: the host's, or none.", valueName: "host|none"))
  var network = RuntimeSpec.Network.host

  func runtime(state: FilePath) throws(Failure) -> OCIRuntime {
    try OCIRuntime(named: runtime, state: state)
  }
}

extension RuntimeSpec.Network: ExpressibleByArgument {}

/// A container of the store while it runs.
struct RunningContainer {
  private let container: Container
  private let store: LayerStore
  private let runtime: OCIRuntime

  init(_ container: Container, _ store: LayerStore, _ runtime: OCIRuntime) {
    self.container = container
    self.store = store
    self.runtime = runtime
  }

  /// Mounts the container, runs its command, takes the mount away: the command's status.
  func run(
    network: RuntimeSpec.Network, isInteractive: Bool, signals: CInt
  ) throws -> Int32 {
    let layers = try store.layersFile(of: container.layer)
    var branches = [(store.layout.diff(of: container.layer), "rw")]
    branches += layers.parents.map { (store.layout.diff(of: $0.id), "ro+wh") }
    let union = try MountedUnion(branches, at: store.layout.mountPoint(of: container.layer))
    var isOver = false
    defer { if !isOver { union.abandon() } }
    try note(isRunning: true, status: 0)
    let bundle = try RunDirectory(container.id.hex, below: store.layout.own.appending("run"))
    defer { bundle.remove() }
    let status: Int32
    do {
      let spec = try process(network).spec(root: union.point, id: container.id.hex)
      status = try runtime.run(
        spec, id: container.id.hex, bundle: bundle.path,
        input: isInteractive || spec.hasTerminal ? .descriptor(0) : .nothing, signals: signals)
    } catch {
      try? note(isRunning: false, status: 127)
      throw error
    }
    try note(isRunning: false, status: status)
    try union.unmount()
    isOver = true
    return status
  }

  private func process(_ network: RuntimeSpec.Network) -> ContainerProcess {
    let words = [container.json["Path"]?.string ?? ""] + (container.json["Args"]?.strings ?? [])
    let config = container.json["Config"] ?? [:]
    var process = ContainerProcess(config: config, arguments: words)
    process.hostname = config["Hostname"]?.string ?? ""
    process.network = network
    process.hasTerminal = config["Tty"]?.bool ?? false
    let files = store.layout.containers.appending(container.id.hex)
    process.binds = [
      .init(source: files.appending("hosts").string, target: "/etc/hosts"),
      .init(source: files.appending("hostname").string, target: "/etc/hostname"),
      .init(source: files.appending("resolv.conf").string, target: "/etc/resolv.conf"),
    ]
    for point in container.json["MountPoints"]?.object?.values.map({ $0 }) ?? [] {
      guard let source = point["Source"]?.string, let target = point["Destination"]?.string else {
        continue
      }
      process.binds.append(
        .init(source: source, target: target, isReadOnly: point["RW"]?.bool == false))
    }
    return process
  }

  private func note(isRunning: Bool, status: Int32) throws(Failure) {
    try store.update(container.id) { json in
      let now = JSONValue.string(Timestamp.now.rfc3339)
      var state = json["State"] ?? [:]
      state["Running"] = .bool(isRunning)
      state["Pid"] = .integer(isRunning ? Int64(Invocation.process) : 0)
      state["ExitCode"] = .integer(Int64(status))
      state[isRunning ? "StartedAt" : "FinishedAt"] = now
      json["State"] = state
      json["HasBeenStartedBefore"] = true
    }
  }
}
