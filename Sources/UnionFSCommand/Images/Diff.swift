internal import ArgumentParser
internal import ImageArchive
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift diff`: what a container has changed.
struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff", abstract: "Show what a container has added, changed and deleted.",
    usage: "unionfs-swift diff [--json] [--tar] <container>",
    discussion: """
      A line a path: A (added), C (changed) or D (deleted). --tar writes the container's layer as a \
      tar with aufs's whiteouts, as images keep it.

      EXAMPLES
        unionfs-swift diff web
        unionfs-swift diff --tar web > layer.tar
      """)

  @OptionGroup var store: StoreOptions
  @Flag(help: "Write a JSON array of objects with kind and path.")
  var json = false
  @Flag(help: "Write a tar to standard output.")
  var tar = false
  @Argument(
    help: ArgumentHelp("A container's name or id.", valueName: "container"),
    completion: Completion.containers)
  var container: String

  func run() throws {
    let (opened, catalog) = try store.catalog()
    let found = try catalog.container(container)
    try MountedContainer(found, opened, try MountTable.current()).flush()
    if tar { return try writeTar(found, opened) }
    let changes = try ContainerChange.all(of: found, in: opened)
    if json {
      let objects = changes.map { change in
        "  {"
          + [
            WhichReport.member("kind", Array(change.kind.rawValue.utf8)),
            WhichReport.member("path", change.path),
          ].joined(separator: ", ") + "}"
      }
      let text = objects.isEmpty ? "[]" : "[\n" + objects.joined(separator: ",\n") + "\n]"
      return Text.writeOutput(Array((text + "\n").utf8))
    }
    var text: [UInt8] = []
    for change in changes {
      text += Array("\(change.kind.rawValue) ".utf8) + Text.terminal(change.path) + [0x0A]
    }
    Text.writeOutput(text)
  }

  private func writeTar(_ container: Container, _ store: LayerStore) throws {
    if Program.isTerminal(1) {
      throw Failure(.usage, "standard output is a terminal", advice: "redirect it to a file")
    }
    let work = try LongWork("packing", quiet: true)
    try work.run {
      let diff = try store.diff(of: container.layer)
      let sink = DescriptorSink(1, name: "standard output", watch: work.watch)
      let packed = try Layer.pack(
        diff.descriptor, name: "\(diff.path)", to: sink, watch: work.watch)
      NewImage.tell(packed.notes)
    }
  }
}

extension MountedContainer {
  /// What the kernel has collected of writes reaches the container's layer.
  func flush() throws(Failure) {
    guard let point else { return }
    do throws(Errno) { try ProcessCall.syncFileSystem(at: point) } catch {
      throw Disk.failure(error, "the container's mount \(point)")
    }
  }
}
