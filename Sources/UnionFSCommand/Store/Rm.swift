internal import ArgumentParser
internal import LayerStore
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift rm`: removes containers.
struct Rm: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove containers with their files.",
    usage: "unionfs-swift rm [-f] <container> …",
    discussion: """
      One that runs, or is mounted, stays unless -f is given, which detaches its mount.

      EXAMPLES
        unionfs-swift rm web
        unionfs-swift rm -f $(unionfs-swift ps -aq)
      """)

  @OptionGroup var store: StoreOptions
  @Flag(name: .shortAndLong, help: "Remove it though it runs or is mounted.")
  var force = false
  @Flag(name: .shortAndLong, help: "Accepted for old scripts: volumes are the host's, and stay.")
  var volumes = false
  @Argument(
    help: ArgumentHelp("A container's name or id.", valueName: "container"),
    completion: Completion.containers)
  var containers: [String]

  func run() throws {
    let opened = try store.changing()
    try containers.forEachTelling { name throws(Failure) in
      let transaction = try opened.transaction()
      try transaction.publish { catalog, _, changes throws(Failure) in
        try Self.remove(try catalog.container(name), force: force, opened, &changes)
      }
      Text.writeOutput(Array("\(name)\n".utf8))
    }
  }

  static func remove(
    _ container: Container, force: Bool, _ store: LayerStore, _ changes: inout Changes
  ) throws(Failure) {
    try LayerStore.checkRemoval(of: container, force: force)
    let mounted = MountedContainer(container, store, try MountTable.current())
    if let point = mounted.point {
      if !force {
        throw Failure(
          .busy, "the container \(container.name) is mounted at \(point)",
          advice: "'umount --container \(container.name)' first, or add -f")
      }
      try Umount.unmount(FilePath(point), lazy: true)
    }
    changes.removeContainer(container.id)
  }
}
