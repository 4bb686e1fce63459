import TestSupport
import Testing

/// Images to archives and back, also through other programs.
@Suite(.serialized, .enabled(if: runsContainers, "needs root, runc and busybox-static"))
struct Archives {
  /// Base, a layer with a deletion, one of metadata alone.
  private func makeImage(_ store: TestStore) throws {
    try (store.base / "etc/passwd").setAttribute("user.a", "1")
    try (store.base / "etc/group").link(to: store.base / "etc/same")
    try (store.base / "etc/null").mknod(.character, mode: 0o622, major: 1, minor: 3)
    try (store.base / "etc/group").setTimes(modified: Moment(1_234_567_890, 123_456_789))
    try store.importBase()
    let text = "FROM base\nRUN rm /etc/null && echo n > /n && echo x >> /etc/same\nLABEL a=b\n"
    let end = try store.build(text, ["-t", "app:1"])
    #expect(end.status == 0, "\(end.errors)")
  }

  /// Names, types, modes, owners, times, attributes and links of what an image shows.
  private func view(_ store: TestStore, _ image: String) throws -> [String] {
    let point = store.folder / "view"
    try point.mkdir()
    try store.output("mount", "--image", image, "\(point)")
    defer {
      _ = try? run([Server.binary, "umount", "\(point)"])
      try? point.rmdir()
    }
    return try tree(point)
  }

  private func tree(_ folder: Path) throws -> [String] {
    try walk(folder).map { node in
      let status = node.status
      let times = status.kind == .symlink ? "" : "\(status.modified)"
      return "\(node.detail) links \(status.kind == .directory ? 0 : status.links) \(times)"
    }.sorted()
  }

  private func config(of archive: Path) throws -> String {
    let manifest = try shell("tar", "-xOf", "\(archive)", "manifest.json")
    return String(manifest.split(separator: "\"Config\":\"").last?.prefix(64) ?? "")
  }

  @Test func whatIsSavedLoadsAsTheSameImage() throws {
    let (store, other) = (try TestStore(), try TestStore())
    try makeImage(store)
    let archive = store.folder / "app.tar"
    try store.output("save", "-o", "\(archive)", "app:1")
    #expect(try other.output("load", "-i", "\(archive)") == "Loaded image: app:1")
    #expect(try view(other, "app:1") == view(store, "app:1"))
    #expect(
      try other.output("history", "--format", "{{.CreatedBy}} {{.Size}}", "app:1")
        == store.output("history", "--format", "{{.CreatedBy}} {{.Size}}", "app:1"))
    #expect(try other.inside("app:1", "/bin/cat", "/n") == "n\n")
    // Loading it again changes nothing; what comes out is what went in.
    let id = try other.output("images", "-q", "--no-trunc", "app:1")
    try other.output("load", "-i", "\(archive)")
    #expect(try other.output("images", "-q", "--no-trunc", "app:1") == id)
    let again = other.folder / "again.tar"
    try other.output("save", "-o", "\(again)", "app:1")
    #expect(try config(of: again) == config(of: archive))
    try other.expectSound()
    try store.expectSound()
  }

  @Test(arguments: [["oci-dir"], ["oci-archive"], ["oci-archive", "--compression", "zstd"]])
  func layoutsRoundTripToo(_ format: [String]) throws {
    let (store, other) = (try TestStore(), try TestStore())
    try makeImage(store)
    let output = store.folder / "layout"
    try store.call(["save", "-o", "\(output)", "--format"] + format + ["app:1"])
      .requireSuccess("save")
    try other.output("load", "-i", "\(output)")
    #expect(try view(other, "app:1") == view(store, "app:1"))
    try other.expectSound()
  }

  @Test(.enabled(if: has(program: "skopeo") && has(program: "umoci"), "needs skopeo and umoci"))
  func otherProgramsReadAndWriteTheSame() throws {
    let (store, other) = (try TestStore(), try TestStore())
    try makeImage(store)
    let archive = store.folder / "app.tar"
    try store.output("save", "-o", "\(archive)", "app:1")
    let layout = store.folder / "layout"
    try shell("skopeo", "copy", "-q", "docker-archive:\(archive)", "oci:\(layout):app")
    let bundle = store.folder / "bundle"
    try shell("umoci", "unpack", "--image", "\(layout):app", "\(bundle)")
    #expect(try tree(bundle / "rootfs") == view(store, "app:1"))
    // And back: skopeo's layout, skopeo's archive.
    try other.output("load", "-t", "layout:1", "-i", "\(layout)")
    #expect(try view(other, "layout:1") == view(store, "app:1"))
    let back = store.folder / "back.tar"
    try shell("skopeo", "copy", "-q", "oci:\(layout):app", "docker-archive:\(back):back:2")
    #expect(try other.output("load", "-i", "\(back)") == "Loaded image: back:2")
    #expect(try view(other, "back:2") == view(store, "app:1"))
    try other.expectSound()
  }

  @Test(arguments: ["gzip", "xz", "bzip2", "zstd"])
  func aCompressedArchiveIsReadFromAPipe(_ program: String) throws {
    let (store, other) = (try TestStore(), try TestStore())
    try makeImage(store)
    let archive = store.folder / "app.tar"
    try store.output("save", "-o", "\(archive)", "app:1")
    let output = try shell(
      "sh", "-c",
      "\(program) -c '\(archive)' | '\(Server.binary)' load --root '\(other.root)'")
    #expect(output == "Loaded image: app:1\n")
    #expect(try view(other, "app:1") == view(store, "app:1"))
  }

  @Test func whatIsDamagedIsRefusedAndNothingIsLoaded() throws {
    let (store, other) = (try TestStore(), try TestStore())
    try makeImage(store)
    let archive = store.folder / "app.tar"
    try store.output("save", "-o", "\(archive)", "app:1")
    let bytes = try archive.bytesOfFile()
    // In the content of a layer's file, in the middle of it, and near its end.
    for position in [bytes.count / 3, bytes.count / 2] {
      var damaged = bytes
      damaged[position] ^= 0x40
      let file = store.folder / "damaged.tar"
      try file.write(bytes: damaged)
      let end = try other.call("load", "-i", "\(file)")
      #expect(end.status != 0 && end.errors.contains("damaged.tar"), "\(end.errors)")
    }
    let short = store.folder / "short.tar"
    try short.write(bytes: Array(bytes.prefix(bytes.count / 2)))
    #expect(try other.call("load", "-i", "\(short)").status != 0)
    #expect(try other.output("images", "-aq") == "")
    #expect(try (other.root / "aufs/diff").names() == [])
    try other.expectSound()
  }

  @Test func aNewTagTakesTheNameOfTheOldOne() throws {
    let (store, other) = (try TestStore(), try TestStore())
    try makeImage(store)
    let archive = store.folder / "app.tar"
    try store.output("save", "-o", "\(archive)", "app:1")
    try other.importBase()
    try other.output("tag", "base", "app:1")
    let end = try other.call("load", "-i", "\(archive)")
    #expect(end.status == 0 && end.errors.contains("app:1 was the image"))
    #expect(try other.output("images", "-q", "base") != "")
  }

  @Test func aLayerThatHasChangedGoesOutAsItIs() throws {
    let (store, other) = (try TestStore(), try TestStore())
    try store.importBase()
    let id = try store.output("images", "-q", "--no-trunc", "base")
    try (store.root / "aufs/diff" / Path(id) / "etc/passwd").write("changed")
    let archive = store.folder / "base.tar"
    let end = try store.call("save", "-o", "\(archive)", "base")
    #expect(end.status == 0 && end.errors.contains("is not as it came"), "\(end.errors)")
    try other.output("load", "-i", "\(archive)")
    #expect(try other.inside("base", "/bin/cat", "/etc/passwd") == "changed")
  }

  @Test func aSquashedImageShowsTheSameWithOneLayer() throws {
    let store = try TestStore()
    try makeImage(store)
    let id = try store.output("squash", "app:1", "one:1")
    #expect(try view(store, "one:1") == view(store, "app:1"))
    #expect(try store.output("history", "-q", "one:1").split(separator: "\n").count == 1)
    #expect(try store.output("inspect", "--format", "{{.Config.Labels.a}}", "one:1") == "b")
    #expect(!(store.root / "aufs/diff" / Path(id) / "etc/.wh.null").exists)
    try store.expectSound()
  }

  @Test func nothingIsWrittenWhereAnImageIsMissing() throws {
    let store = try TestStore()
    let file = store.folder / "x.tar"
    #expect(try store.call("save", "-o", "\(file)", "none").status != 0)
    #expect(!file.exists)
    #expect(try store.folder.names().filter { $0.hasPrefix("x.tar") } == [])
  }
}
