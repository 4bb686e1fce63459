internal import ArgumentParser
internal import JSONValue
internal import LayerStore
internal import UnionCore

/// `unionfs-swift inspect`: all that the store knows of images and containers, as docker tells it.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show all that is known of images and containers, as JSON.",
    usage: "unionfs-swift inspect [--type image|container] [-f <template>] <name> …",
    discussion: """
      A name is a container's first, then an image's.

      EXAMPLES
        unionfs-swift inspect debian:12
        unionfs-swift inspect -f '{{.Config.Env}}' debian:12
        unionfs-swift inspect -f '{{index .RepoTags 0}} {{json .Config.Cmd}}' 5baf41aa6b
        unionfs-swift inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web
      """)

  enum Kind: String, ExpressibleByArgument, CaseIterable { case image, container }

  @OptionGroup var store: StoreOptions
  @Option(
    name: [.customShort("f"), .long],
    help: ArgumentHelp("A Go template for each, or 'json'.", valueName: "template"))
  var format: String?
  @Option(help: ArgumentHelp("image or container.", valueName: "type"))
  var type: Kind?
  @Flag(help: "As without: the output is JSON.")
  var json = false
  @Argument(help: ArgumentHelp("An image's or a container's name or id.", valueName: "name"))
  var names: [String]

  func run() throws {
    let template = try format.map { format throws(Failure) in
      try GoTemplate(format == "json" ? "{{json .}}" : format)
    }
    let (opened, catalog) = try store.catalog()
    let description = ObjectDescription(store: opened, catalog: catalog)
    var found: [JSONValue] = []
    let outcome = Result {
      try names.forEachTelling { name throws(Failure) in
        let value = try describe(name, description, catalog)
        found.append(value)
        if let template { Text.writeOutput(Array((try template.text(of: value) + "\n").utf8)) }
      }
    }
    if template == nil {
      Text.writeOutput(JSONValue.array(found).prettyBytes + [UInt8(ascii: "\n")])
    }
    try outcome.get()
  }

  private func describe(
    _ name: String, _ description: ObjectDescription, _ catalog: Catalog
  ) throws(Failure) -> JSONValue {
    if type != .image {
      do throws(Failure) { return description.container(try catalog.container(name)) } catch {
        if type == .container || !error.message.hasPrefix("No such container") { throw error }
      }
    }
    do throws(Failure) { return description.image(try catalog.image(name)) } catch {
      guard type == nil, error.message.hasPrefix("No such image") else { throw error }
      throw Failure(
        .failed, "No such object: \(name)", advice: "'images' and 'ps -a' list what there is")
    }
  }
}

/// Images and containers as docker's API describes them.
struct ObjectDescription {
  let store: LayerStore
  let catalog: Catalog

  func image(_ image: Image) -> JSONValue {
    let names = catalog.tags.tags(of: image.id)
    let json = image.json
    let text = { (name: String) -> JSONValue in json[name] ?? "" }
    var value: JSONValue = [
      "Id": .string(catalog.kind == .digest ? "sha256:\(image.id)" : image.id.hex),
      "RepoTags": .array(names.filter { !$0.isDigest }.map { .string($0.reference) }),
      "RepoDigests": .array(names.filter(\.isDigest).map { .string($0.reference) }),
      "Parent": .string(image.parent?.hex ?? ""), "Comment": text("comment"),
      "Created": text("created"), "Container": text("container"),
      "ContainerConfig": json["container_config"] ?? .null, "Config": json["config"] ?? .null,
      "DockerVersion": text("docker_version"), "Author": text("author"),
      "Architecture": text("architecture"), "Os": text("os"),
      "Size": .integer(
        catalog.kind == .graph ? catalog.ownSize(of: image.id) ?? 0 : catalog.size(of: image.id)),
      "VirtualSize": .integer(catalog.size(of: image.id)),
    ]
    if let rootfs = json["rootfs"] {
      value["RootFS"] = ["Type": "layers", "Layers": rootfs["diff_ids"] ?? []]
    }
    value["GraphDriver"] = driver((try? catalog.topLayer(of: image.id)))
    return value
  }

  func container(_ container: Container) -> JSONValue {
    var value = container.json
    value["ID"] = nil
    value["Id"] = .string(container.id.hex)
    value["HostConfig"] = store.hostConfig(of: container.id) ?? .null
    value["GraphDriver"] = driver(container.layer)
    value["Mounts"] = .array(
      (container.json["MountPoints"]?.object ?? [:]).sorted { $0.key < $1.key }.map(\.value))
    value["MountPoints"] = nil
    value["ExecIDs"] = .null
    return value
  }

  private func driver(_ layer: LayerID?) -> JSONValue {
    guard let layer else { return ["Name": "aufs", "Data": .null] }
    return [
      "Name": "aufs",
      "Data": [
        "Diff": .string("\(store.layout.diff)/\(layer)"),
        "Mount": .string("\(store.layout.mnt)/\(layer)"),
        "Layers": .string("\(store.layout.layers)/\(layer)"),
      ],
    ]
  }
}
