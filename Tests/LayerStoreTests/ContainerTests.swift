import JSONValue
import SystemPackage
import TestSupport
import Testing
import UnionCore

@testable import LayerStore

@Suite struct ContainerTests {
  private func create(
    of image: String, in store: ImageStore, _ change: (inout ContainerOptions) -> Void = { _ in }
  ) throws -> Container {
    var options = ContainerOptions()
    change(&options)
    let opened = try store.changing()
    let made = try opened.createContainer(
      of: image, options, resolver: Array("nameserver x\n".utf8))
    #expect(try opened.check() == [])
    return try opened.catalog().container(made.id.hex)
  }

  private func initial(_ container: Container, in store: ImageStore) -> Path {
    store.root / Path("aufs/diff/\(container.id)-init")
  }

  private let placeholders = [
    ".dockerenv=", "dev/", "dev/console=", "dev/pts/", "dev/shm/", "etc/", "etc/hostname=",
    "etc/hosts=", "etc/mtab->/proc/mounts", "etc/resolv.conf=", "proc/", "sys/",
  ]

  @Test func aContainerHasItsPlaceholdersAndALayerOfItsOwn() throws {
    let store = try ImageStore.sample()
    let made = try create(of: "me/app:1", in: store)
    let initial = initial(made, in: store)
    #expect(try tree(of: initial) == placeholders)
    for node in try walk(initial) where node.status.kind != .symlink {
      #expect(node.status.mode == 0o755, "\(node.path)")
    }
    let own = store.root / Path("aufs/diff/\(made.id)")
    #expect(try own.names() == [])
    #expect(try own.stat().mode == 0o755)
    let chain = ["c2", "b1", "a0"].map { ImageStore.id($0) }
    #expect(
      try (store.root / Path("aufs/layers/\(made.id)")).text()
        == (["\(made.id)-init"] + chain).map { $0 + "\\n" }.joined())
    #expect(
      try (store.root / Path("aufs/layers/\(made.id)-init")).text()
        == chain.map { $0 + "\\n" }.joined())
    #expect(
      try (store.root / Path("containers/\(made.id)")).names()
        == ["config.json", "hostconfig.json", "hostname", "hosts", "resolv.conf"])
  }

  @Test func directoriesOfTheImageKeepWhatTheyAreAndOtherThingsAreCovered() throws {
    let store = try ImageStore()
    try store.add(
      "a0", [.file("real/hosts", "x"), .directory("dev/pts", mode: 0o700), .directory("var")])
    try store.add(
      "b1", on: "a0",
      [
        .symlink("etc", to: "/real"), .symlink("dev/shm", to: "/run/shm"), .file("proc", "no"),
        .special("dev/console", .character, major: 5, minor: 1), .directory("sys", mode: 0o555),
        Item.directory("dev", mode: 0o711).owned(7, 8).attribute("user.a", "b"),
      ], tags: ["x:1"])
    let made = try create(of: "x:1", in: store)
    let initial = initial(made, in: store)
    #expect(
      try tree(of: initial) == [
        ".dockerenv=", "dev/", "dev/console=", "dev/shm/", "dev/shm/.wh..wh..opq", "etc/",
        "etc/.wh..wh..opq", "etc/hostname=", "etc/hosts=", "etc/mtab->/proc/mounts",
        "etc/resolv.conf=", "proc/", "proc/.wh..wh..opq",
      ])
    let dev = try (initial / "dev").stat()
    #expect(dev.mode == 0o711)
    #expect((dev.uid, dev.gid) == (7, 8))
    #expect(try (initial / "dev").attribute("user.a") == Array("b".utf8))
    // The link was never followed.
    #expect(try (store.diff("a0") / "real").names() == ["hosts"])
  }

  @Test func whiteoutsOfTheImageHideWhatLiesBelow() throws {
    let store = try ImageStore()
    try store.add(
      "a0", [.directory("etc", mode: 0o700), .directory("dev/pts"), .directory("dev/shm")])
    try store.add(
      "b1", on: "a0", [.whiteout("etc"), .opaque("dev"), .file("dev/x", "")], tags: ["x:1"])
    let made = try create(of: "x:1", in: store)
    #expect(try tree(of: initial(made, in: store)) == placeholders)
    #expect(try (initial(made, in: store) / "etc").stat().mode == 0o755)
  }

  @Test func theConfigurationIsTheImagesAndTheCallers() throws {
    let store = try ImageStore.sample()
    let made = try create(of: "debian", in: store) { options in
      options.name = "web"
      options.command = ["ls", "-l"]
      options.entrypoint = ["/bin/env"]
      options.environment = ["PATH=/usr/bin", "A=1"]
      options.workingDirectory = "/srv"
      options.hostname = "box.example.org"
      options.volumes = ["/data:/srv/data:ro", "/cache"]
      options.labels = ["c=d"]
    }
    let (json, config) = (made.json, try #require(made.json["Config"]))
    #expect(json["Name"] == "/web")
    #expect(json["Path"] == "/bin/env")
    #expect(json["Args"] == ["ls", "-l"])
    #expect(json["Image"]?.string == ImageStore.id("b1"))
    #expect(config["Env"] == ["PATH=/usr/bin", "A=1"])
    #expect(config["Hostname"] == "box")
    #expect(config["Domainname"] == "example.org")
    #expect(config["Labels"] == ["a": "b", "c": "d"])
    #expect(config["Volumes"] == ["/cache": [:]])
    #expect(json["MountPoints"]?["/srv/data"]?["RW"] == false)
    #expect(json["State"]?["Running"] == false)
    let place = store.root / Path("containers/\(made.id)")
    #expect(try (place / "hostname").text() == "box\\n")
    #expect(try (place / "resolv.conf").text() == "nameserver x\\n")
    let failure = try refusal { _ = try create(of: "debian", in: store) { $0.name = "web" } }
    #expect(failure.message.hasPrefix("Conflict. The name \"web\" is already in use"))
  }

  @Test(
    arguments: [
      { (options: inout ContainerOptions) in options.name = "a b" },
      { options in options.workingDirectory = "srv" }, { options in options.volumes = ["data:/x"] },
      { options in options.volumes = ["/a:b"] }, { options in options.volumes = ["/a:/b:rx"] },
      { options in options.environment = ["=x"] },
      { options in options.volumes = ["/a:/b", "/c:/b"] },
    ] as [@Sendable (inout ContainerOptions) -> Void])
  func aWrongOptionIsRefusedBeforeAnythingIsMade(
    _ change: @Sendable (inout ContainerOptions) -> Void
  ) throws {
    let store = try ImageStore.sample()
    #expect(try refusal { _ = try create(of: "debian", in: store, change) }.code == .usage)
    #expect(try (store.root / "containers").names() == [])
  }
}
