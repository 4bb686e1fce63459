internal import Glibc

/// The root of a Docker 20.10 with the aufs driver, every digest in it true: an image of two layers and four steps,
/// and a container that has changed it. Gone with its last owner.
public final class Docker20Tree {
  public let folder: Path
  public var root: Path { folder / "docker" }
  /// The image's id, without `sha256:`.
  public private(set) var image = ""
  /// The lowest first.
  public private(set) var layers: [LayerTar] = []
  public let container = ImageStore.id("c0de")
  /// The container's layer.
  public let mount = ImageStore.id("a1")
  private let caches = ["5ef0", "6ef1"].map(ImageStore.id)

  public static let name = "me/app:2"
  public static let containerName = "calm_curie"

  /// What the image shows.
  public static let shown = [
    "app/", "app/run=run", "etc/", "etc/os=bullseye", "etc/same=bullseye", "opaque/",
    "opaque/new=n",
  ]

  public init() throws {
    folder = Path("/tmp/unionfs-docker20.\(UInt32.random(in: .min ... .max))")
    try folder.mkdir()
    for name in [
      "", "aufs", "aufs/diff", "aufs/layers", "aufs/mnt", "buildkit", "containers", "image",
      "image/aufs", "image/aufs/distribution", "image/aufs/imagedb", "image/aufs/imagedb/content",
      "image/aufs/imagedb/content/sha256", "image/aufs/imagedb/metadata",
      "image/aufs/imagedb/metadata/sha256", "image/aufs/layerdb", "image/aufs/layerdb/mounts",
      "image/aufs/layerdb/sha256", "image/aufs/layerdb/tmp", "network", "volumes",
    ] { try (root / Path(name)).mkdir(0o700) }
    let items: [[Item]] = [
      [
        .file("etc/os", "bullseye"), .hardLink("etc/same", of: "etc/os"), .file("gone", "1"),
        .directory("opaque"), .file("opaque/old", "o"),
      ],
      [
        .whiteout("gone"), .file("app/run", "run", mode: 0o755), .opaque("opaque"),
        .file("opaque/new", "n"),
      ],
    ]
    for (index, items) in items.enumerated() {
      let below = Array(caches[..<index].reversed())
      try makeLayer(caches[index], below, items)
      layers.append(
        try LayerTar(of: root / Path("aufs/diff/\(caches[index])"), folder / Path("\(index)")))
    }
    try makeChains()
    try makeImage()
    try makeContainer()
  }

  deinit { try? folder.removeTree() }

  public func diff(_ index: Int) -> Path { root / Path("aufs/diff/\(caches[index])") }

  /// The chain ids of all layers, the lowest first.
  public private(set) var chains: [String] = []

  private func makeLayer(_ id: String, _ parents: [String], _ items: [Item]) throws {
    try (root / Path("aufs/diff/\(id)")).mkdir()
    try (root / Path("aufs/mnt/\(id)")).mkdir()
    try (root / Path("aufs/layers/\(id)")).write(parents.map { $0 + "\n" }.joined())
    try build(items, in: root / Path("aufs/diff/\(id)"), owner: nil, marks: .aufs)
  }

  private func makeChains() throws {
    for (layer, cache) in zip(layers, caches) {
      let below = chains.last
      chains.append(
        try below.map { "sha256:" + (try sha256("\($0) \(layer.diffID)")) } ?? layer.diffID)
      let place = root / Path("image/aufs/layerdb/sha256/\(chains[chains.count - 1].dropFirst(7))")
      try place.mkdir()
      try (place / "cache-id").write(cache)
      try (place / "diff").write(layer.diffID)
      if let below { try (place / "parent").write(below) }
      try (place / "size").write("\(layer.size)")
      try (place / "tar-split.json.gz").write(bytes: try layer.tarSplit.bytesOfFile())
    }
  }

  private func sha256(_ text: String) throws -> String {
    let file = folder / "hashed"
    try file.write(text)
    return String(try shell("sha256sum", "\(file)").prefix(64))
  }

  private func makeImage() throws {
    let images = root / "image/aufs"
    let diffs = layers.map { #""\#($0.diffID)""# }.joined(separator: ",")
    let config =
      #"{"architecture":"amd64","config":{"Cmd":["bash"],"Env":["A=1"],"Labels":{"b":"<&>"}},"container":"\#(ImageStore.id("9"))","created":"2022-01-02T03:04:05.123456789Z","docker_version":"20.10.24","history":[{"created":"2022-01-01T00:00:00Z","created_by":"/bin/sh -c #(nop) ADD file:1 in / "},{"created":"2022-01-01T00:00:01Z","created_by":"/bin/sh -c #(nop)  CMD [\"bash\"]","empty_layer":true},{"created":"2022-01-02T03:04:05Z","created_by":"/bin/sh -c #(nop) COPY dir:2 in /app "},{"created":"2022-01-02T03:04:05.123456789Z","created_by":"/bin/sh -c #(nop)  ENV A=1","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":[\#(diffs)]}}"#
    image = try sha256(config)
    try (images / Path("imagedb/content/sha256/\(image)")).write(config)
    try (images / "repositories.json").write(
      #"{"Repositories":{"me/app":{"\#(Self.name)":"sha256:\#(image)"}}}"#)
  }

  private func makeContainer() throws {
    let below = Array(caches.reversed())
    try makeLayer(mount + "-init", below, [.file(".dockerenv", "", mode: 0o755)])
    try makeLayer(
      mount, [mount + "-init"] + below,
      [.file("note", "mine"), .whiteout("etc/os"), .file("app/run", "changed", mode: 0o755)])
    let layer = root / Path("image/aufs/layerdb/mounts/\(container)")
    try layer.mkdir()
    try (layer / "mount-id").write(mount)
    try (layer / "init-id").write(mount + "-init")
    try (layer / "parent").write(chains[chains.count - 1])
    let folder = root / Path("containers/\(container)")
    try folder.mkdir()
    try (folder / "config.v2.json").write(
      #"{"StreamConfig":{},"State":{"Running":false,"Pid":0,"ExitCode":7,"StartedAt":"2022-01-03T00:00:01Z","FinishedAt":"2022-01-03T00:00:02Z"},"ID":"\#(container)","Created":"2022-01-03T00:00:00Z","Path":"bash","Args":["-c","exit 7"],"Config":{"Image":"\#(Self.name)","Env":["A=1"],"Labels":{}},"Image":"sha256:\#(image)","Name":"/\#(Self.containerName)","Driver":"aufs"}"#
    )
    try (folder / "hostconfig.json").write("{}")
  }
}
