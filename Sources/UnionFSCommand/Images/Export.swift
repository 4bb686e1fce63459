internal import ArgumentParser
internal import ImageArchive
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift export`: a container's whole root as a tar.
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a container's root file system as a tar.",
    usage: "unionfs-swift export [-o <file>] <container>",
    discussion: """
      EXAMPLES
        unionfs-swift export -o web.tar web
        unionfs-swift export web | tar -t
      """)

  @OptionGroup var store: StoreOptions
  @Option(
    name: .shortAndLong, help: ArgumentHelp("A file instead of standard output.", valueName: "file")
  )
  var output: CommandArgument?
  @Flag(name: .shortAndLong, help: "No progress on a terminal.")
  var quiet = false
  @Argument(
    help: ArgumentHelp("A container's name or id.", valueName: "container"),
    completion: Completion.containers)
  var container: String

  func run() throws {
    let (opened, catalog) = try store.catalog()
    let found = try catalog.container(container)
    let work = try LongWork("exporting", quiet: quiet)
    try work.run {
      let target = try ArchiveOutput(output?.path)
      let view = try ContainerView(found, opened)
      defer { view.end() }
      let sink = DescriptorSink(target.descriptor, name: target.name, watch: work.watch)
      let packed = try Layer.pack(
        view.root, name: "\(view.point)", to: sink, options: PackingOptions(view: .flat),
        watch: work.watch)
      NewImage.tell(packed.notes)
      try work.checkpoint()
      try target.publish()
    }
  }
}

/// A container's root: its mount where it is mounted, else one for the command's own time, however that ends.
/// Nobody else sees it where this process may have a mount namespace of its own; an unprivileged user's has a name
/// until it is open. Its server takes it away when the command is gone.
final class ContainerView {
  let root: CInt
  let point: FilePath
  private let lifeline: Lifeline?

  init(_ container: Container, _ store: LayerStore) throws {
    let mounted = MountedContainer(container, store, try MountTable.current())
    var own: MountedUnion?
    if let there = mounted.point {
      point = FilePath(there)
      lifeline = nil
    } else {
      let layers = try store.layersFile(of: container.layer)
      var branches = [(store.layout.diff(of: container.layer), "ro+wh")]
      branches += layers.parents.map { (store.layout.diff(of: $0.id), "ro+wh") }
      point = store.layout.mountPoint(of: container.layer)
      let lifeline = try Lifeline()
      self.lifeline = lifeline
      try? Mounts.leaveNamespace()
      own = try MountedUnion(branches, at: point, lifeline: lifeline)
    }
    defer { own?.abandon() }
    do throws(Errno) {
      root = try FileSystemCall.open(path: point, OpenFlag.readOnly | OpenFlag.directory)
    } catch { throw Disk.failure(error, "\(point)") }
  }

  func end() { FileSystemCall.close(root) }
}
