import TestSupport
import Testing

/// Trees that a Docker 20.10 and a Docker 1.7 to 1.9 left, without either: what comes out of them is what
/// they held, and they stay as they were.
@Suite(.mounts) struct OldTreeTests {
  private func ours(_ root: Path, _ words: [String]) throws -> Finished {
    try run([Server.binary, words[0], "--root", "\(root)"] + words.dropFirst(), seconds: 120)
  }

  private func output(_ root: Path, _ words: String...) throws -> String {
    let end = try ours(root, words)
    try end.requireSuccess(words.joined(separator: " "))
    #expect(end.errors == "", "\(words)")
    return end.output
  }

  /// What is in a folder beside the tree, made when it is first asked for.
  private func place(_ folder: Path, _ name: Path) throws -> Path {
    let path = folder / name
    if path.exists { try path.removeTree() }
    return path
  }

  private func unpacked(_ archive: Path, in folder: Path) throws -> Path {
    let target = try place(folder, "unpacked")
    try target.mkdir()
    try shell("tar", "-xf", "\(archive)", "-C", "\(target)")
    return target
  }

  private func sha256(_ file: Path) throws -> String {
    "sha256:" + String(try shell("sha256sum", "\(file)").prefix(64))
  }

  /// The values of a list of strings, or of a string, in JSON that has no escapes.
  private func strings(_ name: String, in json: String) -> [String] {
    guard let start = json.end(of: "\"\(name)\":") else { return [] }
    let rest = json[start...].first == "[" ? json[start...].prefix { $0 != "]" } : json[start...]
    let words = rest.split(separator: "\"", omittingEmptySubsequences: false)
    let values = words.enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
    return json[start...].first == "[" ? values : Array(values.prefix(1))
  }

  private func shown(_ root: Path, _ image: String, at point: Path) throws -> [String] {
    if !point.exists { try point.mkdir() }
    _ = try output(root, "mount", "--image", image, "\(point)")
    defer { _ = try? run([Server.binary, "umount", "\(point)"]) }
    return try tree(of: point)
  }

  // MARK: Docker 20.10

  @Test func aLayerOfDocker20IsSavedAsTheVeryTarThatItWas() throws {
    let store = try Docker20Tree()
    let before = try tree(of: store.root)
    let archive = try place(store.folder, "app.tar")
    #expect(try output(store.root, "save", "-o", "\(archive)", Docker20Tree.name) == "")
    let folder = try unpacked(archive, in: store.folder)
    let manifest = try (folder / "manifest.json").text()
    #expect(strings("RepoTags", in: manifest) == [Docker20Tree.name])
    let layers = strings("Layers", in: manifest)
    #expect(try layers.map { try sha256(folder / Path($0)) } == store.layers.map(\.diffID))
    for (name, layer) in zip(layers, store.layers) {
      #expect(try (folder / Path(name)).bytesOfFile() == layer.tar.bytesOfFile())
    }
    let config = try #require(strings("Config", in: manifest).first)
    #expect(config == "\(store.image).json")
    #expect(try sha256(folder / Path(config)) == "sha256:\(store.image)")
    #expect(try tree(of: store.root) == before)
  }

  @Test func aLayoutOfItHasTheLayersDigestsToo() throws {
    let store = try Docker20Tree()
    let layout = try place(store.folder, "layout")
    _ = try output(
      store.root, "save", "--format", "oci-dir", "--compression", "none", "-o", "\(layout)",
      store.image)
    for digest in store.layers.map(\.diffID) + ["sha256:\(store.image)"] {
      let blob = layout / "blobs/sha256" / Path(String(digest.dropFirst(7)))
      #expect(try sha256(blob) == digest)
    }
  }

  @Test func whatItSavedLoadsAndShowsTheSame() throws {
    let store = try Docker20Tree()
    let (archive, other) = (try place(store.folder, "app.tar"), try place(store.folder, "other"))
    _ = try output(store.root, "save", "-o", "\(archive)", Docker20Tree.name)
    #expect(try output(other, "load", "-i", "\(archive)") == "Loaded image: \(Docker20Tree.name)\n")
    let point = store.folder / "mnt"
    #expect(try shown(store.root, Docker20Tree.name, at: point) == Docker20Tree.shown)
    #expect(try shown(other, Docker20Tree.name, at: point) == Docker20Tree.shown)
    let again = try place(store.folder, "again.tar")
    _ = try output(other, "save", "-o", "\(again)", Docker20Tree.name)
    let folder = try unpacked(again, in: store.folder)
    let layers = strings("Layers", in: try (folder / "manifest.json").text())
    #expect(try layers.map { try sha256(folder / Path($0)) } == store.layers.map(\.diffID))
    #expect(try output(other, "check", "--deep") == "")
  }

  @Test func aLayerThatWasChangedIsToldAndSavedAsItIs() throws {
    let store = try Docker20Tree()
    try (store.diff(1) / "app/run").write("other", mode: 0o755)
    let (archive, other) = (try place(store.folder, "app.tar"), try place(store.folder, "other"))
    let end = try ours(store.root, ["save", "-o", "\(archive)", Docker20Tree.name])
    #expect(end.status == 0)
    #expect(end.errors.contains("\(store.diff(1)) is not as it came"), "\(end.errors)")
    let folder = try unpacked(archive, in: store.folder)
    let layers = strings("Layers", in: try (folder / "manifest.json").text())
    let digests = try layers.map { try sha256(folder / Path($0)) }
    #expect(digests[0] == store.layers[0].diffID && digests[1] != store.layers[1].diffID)
    let config = try
      (folder / Path(strings("Config", in: try (folder / "manifest.json").text())[0]))
      .text()
    #expect(strings("diff_ids", in: config) == digests)
    _ = try output(other, "load", "-i", "\(archive)")
    #expect(
      try shown(other, Docker20Tree.name, at: store.folder / "mnt")
        == Docker20Tree.shown.map { $0 == "app/run=run" ? "app/run=other" : $0 })
  }

  @Test func aContainerOfItIsToldAndExported() throws {
    let store = try Docker20Tree()
    let before = try tree(of: store.root)
    #expect(
      try output(store.root, "diff", Docker20Tree.containerName) == """
        C /app/run
        C /etc
        D /etc/os
        A /note

        """)
    let tar = try place(store.folder, "root.tar")
    #expect(try output(store.root, "export", "-o", "\(tar)", Docker20Tree.containerName) == "")
    let folder = try unpacked(tar, in: store.folder)
    #expect(
      try tree(of: folder) == [
        ".dockerenv=", "app/", "app/run=changed", "etc/", "etc/same=bullseye", "note=mine",
        "opaque/", "opaque/new=n",
      ])
    #expect(try (folder / "note").stat().modified == builtTime)
    let layer = try place(store.folder, "layer.tar")
    try shell(
      "sh", "-c", "'\(Server.binary)' diff --root '\(store.root)' --tar calm_curie > '\(layer)'")
    #expect(
      try shell("tar", "-tf", "\(layer)")
        == "app/\napp/run\netc/\netc/.wh.os\nnote\n")
    #expect(
      try output(store.root, "inspect", "-f", "{{.State.ExitCode}} {{.Image}}", "calm_curie")
        == "7 sha256:\(store.image)\n")
    #expect(try tree(of: store.root) == before)
    #expect(try output(store.root, "check") == "")
  }

  @Test func itsHistoryAndLayersAreTold() throws {
    let store = try Docker20Tree()
    #expect(
      try output(
        store.root, "history", "--no-trunc", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}",
        Docker20Tree.name) == """
          \(store.image) /bin/sh -c #(nop)  ENV A=1 0B
          <missing> /bin/sh -c #(nop) COPY dir:2 in /app  4B
          <missing> /bin/sh -c #(nop)  CMD ["bash"] 0B
          <missing> /bin/sh -c #(nop) ADD file:1 in /  18B

          """)
    #expect(
      try output(store.root, "inspect", "-f", "{{json .RootFS.Layers}}", Docker20Tree.name)
        == "[" + store.layers.map { "\"\($0.diffID)\"" }.joined(separator: ",") + "]\n")
    let json = try output(store.root, "layers", "--json", Docker20Tree.name)
    #expect(json.contains(#""command":"/bin/sh -c #(nop) COPY dir:2 in /app ""#), "\(json)")
    #expect(json.contains(#""tags":["\#(Docker20Tree.name)"]"#), "\(json)")
    #expect(try output(store.root, "layers", Docker20Tree.name).contains("gone"))
  }

  // MARK: Docker up to 1.9

  @Test func aTreeOfDocker17IsExportedSavedAndTold() throws {
    let store = try ImageStore.sample()
    try store.addContainer(
      "cc", of: "c2", name: "web", [.file("etc/hosts", "mine"), .whiteout("srv/app")])
    let folder = Path("/tmp/unionfs-store-test.\(UInt32.random(in: .min ... .max))")
    try folder.mkdir()
    defer { try? folder.removeTree() }
    let before = try tree(of: store.root)
    #expect(
      try output(store.root, "diff", "web") == "C /etc/hosts\nC /srv\nD /srv/app\n")
    let tar = folder / "root.tar"
    _ = try output(store.root, "export", "-o", "\(tar)", "web")
    #expect(
      try tree(of: unpacked(tar, in: folder)) == [
        "bin/", "etc/", "etc/hosts=mine", "etc/passwd=root", "srv/",
      ])
    #expect(try output(store.root, "layers", "me/app:1").contains("  ADD file"))
    #expect(
      try output(store.root, "inspect", "-f", "{{.Parent}} {{.DockerVersion}}", "me/app:1")
        == "\(ImageStore.id("b1")) 1.7.1\n")
    let archive = folder / "app.tar"
    _ = try output(store.root, "save", "-o", "\(archive)", "me/app:1")
    #expect(try tree(of: store.root) == before)
    // By the ids that a Docker of its time knows, and by digests.
    let saved = try unpacked(archive, in: folder)
    #expect(
      try (saved / "repositories").text() == #"{"me/app":{"1":"\#(ImageStore.id("c2"))"}}"#)
    for id in ["a0", "b1", "c2"].map(ImageStore.id) {
      #expect(
        try (saved / Path("\(id)/json")).bytesOfFile()
          == (store.root / Path("graph/\(id)/json")).bytesOfFile())
    }
    let manifest = try (saved / "manifest.json").text()
    let config = try (saved / Path(strings("Config", in: manifest)[0])).text()
    #expect(
      try strings("Layers", in: manifest).map { try sha256(saved / Path($0)) }
        == strings("diff_ids", in: config))
    let other = folder / "other"
    _ = try output(other, "load", "-i", "\(archive)")
    #expect(
      try shown(other, "me/app:1", at: folder / "mnt")
        == shown(store.root, "me/app:1", at: folder / "mnt"))
  }

  @Test func aLayerOfDocker19IsSavedAsTheVeryTarThatItWas() throws {
    let store = try ImageStore.sample()
    let folder = Path("/tmp/unionfs-store-test.\(UInt32.random(in: .min ... .max))")
    try folder.mkdir()
    defer { try? folder.removeTree() }
    var layers: [LayerTar] = []
    for head in ["a0", "b1", "c2"] {
      let layer = try LayerTar(of: store.diff(head), folder / Path(head))
      let graph = store.root / Path("graph/\(ImageStore.id(head))")
      try (graph / "tar-data.json.gz").write(bytes: try layer.tarSplit.bytesOfFile())
      try (graph / "checksum").write(layer.diffID)
      layers.append(layer)
    }
    let archive = folder / "app.tar"
    _ = try output(store.root, "save", "-o", "\(archive)", "me/app:1")
    let saved = try unpacked(archive, in: folder)
    for (head, layer) in zip(["a0", "b1", "c2"], layers) {
      #expect(
        try (saved / Path("\(ImageStore.id(head))/layer.tar")).bytesOfFile()
          == layer.tar.bytesOfFile())
    }
    let manifest = try (saved / "manifest.json").text()
    let config = try (saved / Path(strings("Config", in: manifest)[0])).text()
    #expect(strings("diff_ids", in: config) == layers.map(\.diffID))
  }
}

extension String {
  /// What follows a text; nil where it is not there.
  fileprivate func end(of text: String) -> String.Index? {
    var rest = self[...]
    while !rest.isEmpty {
      if rest.hasPrefix(text) { return rest.index(rest.startIndex, offsetBy: text.count) }
      rest = rest.dropFirst()
    }
    return nil
  }
}
