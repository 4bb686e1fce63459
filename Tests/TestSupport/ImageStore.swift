internal import Glibc

/// A layer store in a folder of its own, laid out by hand as Docker 1.7 leaves one; gone with its last
/// owner. Nothing of the product makes it.
public final class ImageStore {
  public let root: Path

  public init() throws(Errno) {
    root = Path("/tmp/unionfs-store-test.\(UInt32.random(in: .min ... .max))")
    try root.mkdir(0o700)
    for name in [
      "aufs", "aufs/diff", "aufs/layers", "aufs/mnt", "graph", "graph/_tmp", "containers",
      "execdriver", "init", "tmp", "trust", "volumes",
    ] { try (root / Path(name)).mkdir(0o700) }
    try (root / "linkgraph.db").write("SQLite format 3")
  }

  deinit { try? root.removeTree() }

  /// 64 digits that begin with these.
  public static func id(_ head: String) -> String {
    head + String(repeating: "0", count: 64 - head.utf8.count)
  }

  /// Parents, nearest first, by the heads of their ids.
  private var chains: [String: [String]] = [:]
  private var repositories: [String: [String: String]] = [:]

  /// Adds an image.
  ///
  /// - Parameters:
  ///   - head: what its id begins with.
  ///   - config: members of its json, after `id` and `parent`.
  public func add(
    _ head: String, on parent: String? = nil, _ items: [Item] = [], tags: [String] = [],
    day: Int = 1, command: String = "/bin/sh -c #(nop) ADD file", size: Int? = nil,
    config: String = #"{"Env":["PATH=/bin"],"Cmd":["/bin/sh"],"Labels":{"a":"b"}}"#
  ) throws(Errno) {
    let id = Self.id(head)
    let chain = parent.map { [Self.id($0)] + (chains[$0] ?? []) } ?? []
    chains[head] = chain
    try layer(id, chain, items)
    try (root / Path("graph/\(id)")).mkdir(0o700)
    let below = parent.map { #","parent":"\#(Self.id($0))""# } ?? ""
    let created = "2015-06-\(day < 10 ? "0" : "")\(day)T10:20:30.123456789Z"
    try (root / Path("graph/\(id)/json")).write(
      #"{"id":"\#(id)"\#(below),"created":"\#(created)","container":"\#(Self.id("c0ffee"))","container_config":{"Hostname":"x","Cmd":["\#(command)"]},"docker_version":"1.7.1","config":\#(config),"architecture":"amd64","os":"linux","Size":\#(size ?? 0)}"#
    )
    let bytes = items.reduce(0) { $0 + $1.fileSize }
    try (root / Path("graph/\(id)/layersize")).write("\(size ?? bytes)")
    for tag in tags {
      let parts = tag.split(separator: ":").map { String($0) }
      repositories[parts[0], default: [:]][parts[1]] = id
    }
    try writeTags()
  }

  public func layer(_ id: String, _ chain: [String], _ items: [Item] = []) throws(Errno) {
    try (root / Path("aufs/diff/\(id)")).mkdir()
    try (root / Path("aufs/mnt/\(id)")).mkdir()
    try (root / Path("aufs/layers/\(id)")).write(chain.map { $0 + "\n" }.joined())
    try build(items, in: root / Path("aufs/diff/\(id)"), owner: nil, marks: .aufs)
  }

  /// As Docker writes it.
  private func writeTags() throws(Errno) {
    let names = repositories.sorted { $0.key < $1.key }.map { name, tags in
      let list = tags.sorted { $0.key < $1.key }.map { #""\#($0.key)":"\#($0.value)""# }
      return #""\#(name)":{\#(list.joined(separator: ","))}"#
    }
    try (root / "repositories-aufs").write(
      #"{"Repositories":{\#(names.joined(separator: ","))}}"#, mode: 0o600)
  }

  /// Adds a container as Docker 1.7 has it.
  public func addContainer(
    _ head: String, of image: String, name: String, _ items: [Item] = []
  ) throws(Errno) {
    let id = Self.id(head)
    let chain = [Self.id(image)] + (chains[image] ?? [])
    try layer(id + "-init", chain)
    try layer(id, [id + "-init"] + chain, items)
    try (root / Path("containers/\(id)")).mkdir(0o700)
    try (root / Path("containers/\(id)/config.json")).write(
      #"{"State":{"Running":false,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":0,"ExitCode":3,"Error":"","StartedAt":"2015-06-20T10:00:00Z","FinishedAt":"2015-06-20T11:00:00Z"},"ID":"\#(id)","Created":"2015-06-20T09:59:59Z","Path":"/bin/sh","Args":["-c","true"],"Config":{"Hostname":"\#(head)","Env":[],"Cmd":["/bin/sh","-c","true"],"Image":"debian","Labels":{}},"Image":"\#(Self.id(image))","Driver":"aufs","ExecDriver":"native-0.2","Name":"/\#(name)","RestartCount":0}"#
    )
    try (root / Path("containers/\(id)/hostconfig.json")).write(#"{"NetworkMode":"bridge"}"#)
  }

  public func diff(_ head: String) -> Path { root / Path("aufs/diff/\(Self.id(head))") }

  /// Three images, one on the other, and one beside them.
  public static func sample() throws(Errno) -> ImageStore {
    let store = try ImageStore()
    try store.add(
      "a0", [.file("etc/passwd", "root"), .directory("bin", mode: 0o750), .file("bin/sh", "sh!")])
    try store.add(
      "b1", on: "a0", [.file("etc/hosts", "old"), .whiteout("bin/sh")],
      tags: ["debian:8", "debian:latest"], day: 2)
    try store.add("c2", on: "b1", [.file("srv/app", "app")], tags: ["me/app:1"], day: 3)
    try store.add("d3", [.file("x", "y")], day: 4)
    return store
  }
}

/// A store as Docker 20.10's aufs driver leaves one: two layers, an image of three steps, a container.
public final class DigestStore {
  public let root: Path
  public static let image = ImageStore.id("1111")
  public static let lower = "5ef0"
  public static let upper = "6ef1"
  public static let container = ImageStore.id("c0de")

  public init() throws(Errno) {
    root = Path("/tmp/unionfs-store-test.\(UInt32.random(in: .min ... .max))")
    for name in [
      "", "aufs", "aufs/diff", "aufs/layers", "aufs/mnt", "buildkit", "containers", "image",
      "image/aufs", "image/aufs/distribution", "image/aufs/imagedb", "image/aufs/imagedb/content",
      "image/aufs/imagedb/content/sha256", "image/aufs/imagedb/metadata",
      "image/aufs/imagedb/metadata/sha256", "image/aufs/layerdb", "image/aufs/layerdb/mounts",
      "image/aufs/layerdb/sha256", "image/aufs/layerdb/tmp", "network", "volumes",
    ] { try (root / Path(name)).mkdir(0o700) }
    try layer(Self.lower, [], [.file("etc/os", "bullseye"), .file("gone", "1")])
    try layer(Self.upper, [Self.lower], [.whiteout("gone"), .file("app", "app")])
    try chain("7a", diff: "d1", cache: Self.lower, parent: nil, size: 9)
    try chain("7b", diff: "d2", cache: Self.upper, parent: "7a", size: 3)
    try describe()
    try addContainer()
  }

  deinit { try? root.removeTree() }

  private func layer(_ head: String, _ parents: [String], _ items: [Item]) throws(Errno) {
    let id = ImageStore.id(head)
    try makeLayer(id, parents.map { ImageStore.id($0) }, items)
  }

  private func makeLayer(_ id: String, _ parents: [String], _ items: [Item]) throws(Errno) {
    try (root / Path("aufs/diff/\(id)")).mkdir()
    try (root / Path("aufs/mnt/\(id)")).mkdir()
    try (root / Path("aufs/layers/\(id)")).write(parents.map { $0 + "\n" }.joined())
    try build(items, in: root / Path("aufs/diff/\(id)"), owner: nil, marks: .aufs)
  }

  private func chain(
    _ head: String, diff: String, cache: String, parent: String?, size: Int
  ) throws(Errno) {
    let folder = root / Path("image/aufs/layerdb/sha256/\(ImageStore.id(head))")
    try folder.mkdir()
    try (folder / "cache-id").write(ImageStore.id(cache))
    try (folder / "diff").write("sha256:\(ImageStore.id(diff))")
    if let parent { try (folder / "parent").write("sha256:\(ImageStore.id(parent))") }
    try (folder / "size").write("\(size)")
    try (folder / "tar-split.json.gz").write("")
  }

  private func describe() throws(Errno) {
    let images = root / "image/aufs"
    let diffs = ["d1", "d2"].map { #""sha256:\#(ImageStore.id($0))""# }.joined(separator: ",")
    try (images / Path("imagedb/content/sha256/\(Self.image)")).write(
      #"{"architecture":"amd64","config":{"Cmd":["bash"],"Env":["A=1"]},"created":"2022-01-02T03:04:05Z","history":[{"created":"2022-01-01T00:00:00Z","created_by":"ADD rootfs"},{"created":"2022-01-01T00:00:01Z","created_by":"CMD bash","empty_layer":true},{"created":"2022-01-02T03:04:05Z","created_by":"COPY app"}],"os":"linux","rootfs":{"type":"layers","diff_ids":[\#(diffs)]}}"#
    )
    try (images / "repositories.json").write(
      #"{"Repositories":{"me/app":{"me/app:2":"sha256:\#(Self.image)","me/app@sha256:\#(ImageStore.id("ee"))":"sha256:\#(Self.image)"}}}"#
    )
  }

  private func addContainer() throws(Errno) {
    let mount = ImageStore.id("a1")
    let below = [ImageStore.id(Self.upper), ImageStore.id(Self.lower)]
    try makeLayer(mount + "-init", below, [.file(".dockerenv", "", mode: 0o755)])
    try makeLayer(mount, [mount + "-init"] + below, [.file("note", "mine")])
    let layer = root / Path("image/aufs/layerdb/mounts/\(Self.container)")
    try layer.mkdir()
    try (layer / "mount-id").write(mount)
    try (layer / "init-id").write(mount + "-init")
    try (layer / "parent").write("sha256:\(ImageStore.id("7b"))")
    let folder = root / Path("containers/\(Self.container)")
    try folder.mkdir()
    try (folder / "config.v2.json").write(
      #"{"StreamConfig":{},"State":{"Running":false,"Pid":0,"ExitCode":0,"StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"},"ID":"\#(Self.container)","Created":"2022-01-03T00:00:00Z","Path":"bash","Args":[],"Config":{"Image":"me/app:2","Labels":{}},"Image":"sha256:\#(Self.image)","Name":"/calm_curie","Driver":"aufs"}"#
    )
    try (folder / "hostconfig.json").write("{}")
  }
}

extension Item {
  var fileSize: Int {
    if case .file(let bytes) = content { return bytes.count }
    return 0
  }
}
