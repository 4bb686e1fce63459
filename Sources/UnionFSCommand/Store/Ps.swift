internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import UnionCore

/// `unionfs-swift ps`: lists the containers.
struct Ps: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ps", abstract: "List the containers of a layer store.",
    usage: "unionfs-swift ps [-a] [-q] [--no-trunc] [--json | --format <template>]",
    discussion: """
      Those that run, or with -a all; the newest first.

      For --format: .ID .Image .Command .CreatedAt .RunningFor .Status .Ports .Names .Labels \
      .Mountpoint

      EXAMPLES
        unionfs-swift ps -a
        unionfs-swift ps -aq
        unionfs-swift ps -a --format '{{.Names}}: {{.Status}}'
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var listing: ListingOptions
  @Flag(name: .shortAndLong, help: "Show those that do not run, too.")
  var all = false
  @Flag(name: .shortAndLong, help: "Write ids alone.")
  var quiet = false
  @Flag(help: "Do not shorten ids and commands.")
  var noTrunc = false

  func run() throws {
    let (opened, catalog) = try store.catalog()
    let table = try MountTable.current()
    let chosen = catalog.containers.values.filter { all || $0.isRunning }.sorted {
      ($1.created?.seconds ?? .min, $1.created?.nanoseconds ?? 0, $0.id.hex)
        < ($0.created?.seconds ?? .min, $0.created?.nanoseconds ?? 0, $1.id.hex)
    }
    if quiet, !listing.json, listing.format == nil {
      let ids = chosen.map { (noTrunc ? $0.id.hex : $0.id.short) + "\n" }
      return Text.writeOutput(Array(ids.joined().utf8))
    }
    var list = Listing(
      [
        ("ID", "CONTAINER ID"), ("Image", "IMAGE"), ("Command", "COMMAND"),
        ("RunningFor", "CREATED"), ("CreatedAt", "CREATED AT"), ("Status", "STATUS"),
        ("Ports", "PORTS"), ("Names", "NAMES"), ("Labels", "LABELS"),
        ("Mountpoint", "MOUNTPOINT"),
      ], shown: ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"])
    for container in chosen {
      let mounted = MountedContainer(container, opened, table).point
      add(container, mounted, catalog, to: &list)
    }
    try list.write(listing)
  }

  private func add(
    _ container: Container, _ mounted: String?, _ catalog: Catalog, to list: inout Listing
  ) {
    let json = container.json
    let words = [json["Path"]?.string ?? ""] + (json["Args"]?.strings ?? [])
    let command = words.joined(separator: " ")
    let labels = (json["Config"]?["Labels"]?.object ?? [:]).sorted { $0.key < $1.key }
      .map { "\($0.key)=\($0.value.string ?? "")" }.joined(separator: ",")
    let image = Self.imageName(of: container, catalog)
    list.add(
      [
        "ID": noTrunc ? container.id.hex : container.id.short, "Image": image,
        "Command": "\"\(noTrunc ? command : Units.shortened(command, 20))\"",
        "RunningFor": Units.since(container.created), "CreatedAt": Units.moment(container.created),
        "Status": Self.status(container), "Ports": "", "Names": container.name, "Labels": labels,
        "Mountpoint": mounted ?? "",
      ],
      [
        "id": .string(container.id.hex), "name": .string(container.name), "image": .string(image),
        "imageId": container.image.map { .string($0.hex) } ?? .null,
        "command": .array(words.map { .string($0) }),
        "created": container.created.map { .string($0.rfc3339) } ?? .null,
        "status": .string(Self.status(container)), "running": .bool(container.isRunning),
        "mountPoint": mounted.map { .string($0) } ?? .null,
      ])
  }

  /// The name by which it was made, while that is the same image's.
  static func imageName(of container: Container, _ catalog: Catalog) -> String {
    let name = container.json["Config"]?["Image"]?.string ?? ""
    if let id = container.image {
      if let found = try? catalog.imageID(name), found == id { return name }
      return id.short
    }
    return name
  }

  /// docker's words.
  static func status(_ container: Container) -> String {
    let state = container.json["State"]
    let time = { (name: String) -> Timestamp? in
      (state?[name]?.string).flatMap { Timestamp(rfc3339: $0) }
    }
    let since = { (from: Timestamp?) -> String in
      Units.duration(seconds: max(0, Timestamp.now.seconds &- (from?.seconds ?? 0)))
    }
    if container.isRunning {
      let paused = state?["Paused"]?.bool == true ? " (Paused)" : ""
      return "Up \(since(time("StartedAt")))\(paused)"
    }
    if state?["Dead"]?.bool == true { return "Dead" }
    guard time("StartedAt") != nil else { return "Created" }
    let code = state?["ExitCode"]?.integer ?? 0
    return "Exited (\(code))" + (time("FinishedAt").map { " \(since($0)) ago" } ?? "")
  }
}

/// Whether a container is mounted, and where.
struct MountedContainer {
  /// nil where it is not, or elsewhere than at its own mount point.
  let point: String?

  init(_ container: Container, _ store: LayerStore, _ table: MountTable) {
    let path = store.layout.mountPoint(of: container.layer)
    let real = (try? Invocation.realPath(path)) ?? path
    point = table.topmost(at: real).map { "\($0.mountPoint)" }
  }
}
