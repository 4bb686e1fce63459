internal import ArgumentParser
internal import Logging
internal import SnapshotService
internal import SnapshotStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift-snapshotter`: a proxy plugin of containerd.
struct Snapshotter: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unionfs-swift-snapshotter",
    abstract: "Keep containerd's snapshots as layers that unionfs-swift mounts.",
    discussion: """
      Serves containerd.services.snapshots.v1 on a unix socket until SIGTERM, SIGINT or SIGHUP. In \
      containerd's configuration:

        [proxy_plugins.unionfs-swift]
          type = "snapshot"
          address = "/run/unionfs-swift-snapshotter/snapshotter.sock"
      """,
    version: "0.1.0")

  @Option(help: ArgumentHelp("Where the layers and the database are kept.", valueName: "folder"))
  var root = "/var/lib/unionfs-swift-snapshotter"

  @Option(help: ArgumentHelp("The socket to serve.", valueName: "path"))
  var address = "/run/unionfs-swift-snapshotter/snapshotter.sock"

  @Option(
    help: ArgumentHelp(
      "What containerd is to mount unions with: a name on its PATH, or an absolute path.",
      valueName: "name"))
  var mountProgram = "unionfs-swift"

  @Option(
    help: ArgumentHelp(
      "The least that is logged: trace, debug, info, notice, warning, error or critical.",
      valueName: "level"))
  var logLevel = "info"

  func run() throws {
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw Failure(
        .usage, "there is no log level '\(logLevel)'",
        advice: "there are \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    LoggingSystem.bootstrap { _ in ErrorOutput(logLevel: level) }
    let log = Logger(label: "unionfs-swift-snapshotter")
    try checkProgram(log)
    // Before any other thread is there, so that all have the signals blocked.
    let signals = try ProcessCall.signalDescriptor()
    Daemon.ignoreBrokenPipes()
    // The socket is nobody else's from the moment it is there. What others may see is told its mode.
    ProcessCall.setMask(0o077)
    let store = try SnapshotStore(root: FilePath(root), program: mountProgram, log: log)
    defer { store.close() }
    try Service(store: store, address: FilePath(address), log: log).run(until: signals)
  }

  /// What containerd cannot run, it will tell at every mount; better to hear it at once.
  private func checkProgram(_ log: Logger) throws {
    let isName =
      !mountProgram.isEmpty && !mountProgram.contains("/") && !mountProgram.hasPrefix("-")
    guard isName || mountProgram.hasPrefix("/") else {
      throw Failure(
        .usage, "'\(mountProgram)' is no program that containerd could find",
        advice: "give a name on its PATH or an absolute path")
    }
    for program in [mountProgram, "mount.fuse3"] where Program.find(program) == nil {
      log.warning("'\(program)' is not found here; containerd needs it to mount")
    }
  }
}
