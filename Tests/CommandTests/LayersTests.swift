import Foundation
import Testing

/// `layers` on layers that nothing mounts.
@Suite struct LayersTests {
  /// Three layers, `app` over `middle` over `base`.
  func store() throws -> Store {
    let store = try Store(["app": "middle\nbase\n", "middle": "base\n", "base": ""])
    for (name, size) in [
      ("base/etc/hosts", 100), ("base/lib/old", 2000), ("base/lib/kept", 3_000_000),
      ("base/doc/one", 10), ("base/doc/two", 20), ("middle/etc/hosts", 120),
      ("middle/lib/.wh.old", 0), ("app/.wh.doc", 0), ("app/new", 5),
    ] {
      let folder = name.split(separator: "/").dropLast().joined(separator: "/")
      try store.makeDirectory("diff/\(folder)")
      try store.write(String(repeating: "x", count: size), to: "diff/\(name)")
    }
    return store
  }

  func layers(_ store: Store, _ options: String...) throws -> Outcome {
    try spawn(["layers"] + options + [store.path("layers/app")])
  }

  func object(_ run: Outcome) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  @Test func aTableTellsWhatEachLayerDoes() throws {
    let run = try layers(try store())
    #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    #expect(
      run.output == """
        #  LAYER   SIZE  ADDED  CHANGED  REMOVED  WASTED
        3  app       5B     +1       ~0       -3      0B
        2  middle  120B     +0       ~1       -1      0B
        1  base     3MB     +8       ~0       -0  2.13kB

        3 layers hold 3MB; 5 names with 3MB are seen, 2.13kB are wasted; efficiency 99.9 %

        WASTED MOST
         2kB  /lib/old  (layer 1, removed by 2)
        100B  /etc/hosts  (layer 1, replaced by 2)
         20B  /doc/two  (layer 1, removed by 3)
         10B  /doc/one  (layer 1, removed by 3)

        LARGEST FILES
         3MB  /lib/kept  (layer 1)
         2kB  /lib/old  (layer 1, removed by 2)
        120B  /etc/hosts  (layer 2)
        100B  /etc/hosts  (layer 1, replaced by 2)
         20B  /doc/two  (layer 1, removed by 3)
         10B  /doc/one  (layer 1, removed by 3)
          5B  /new  (layer 3)

        """)
    let short = try layers(try store(), "--top", "1").output
    #expect(short.hasSuffix("LARGEST FILES\n3MB  /lib/kept  (layer 1)\n"), "\(short)")
    #expect(try layers(try store(), "--top", "0").output.hasSuffix("efficiency 99.9 %\n"))
  }

  @Test func theStoresHistoryIsShownWhereItIs() throws {
    let store = try store()
    // ROOT/aufs/layers and ROOT/graph.
    try FileManager.default.createDirectory(
      at: store.root.appending(path: "root/aufs"), withIntermediateDirectories: true)
    for part in ["layers", "diff"] {
      try FileManager.default.moveItem(
        atPath: store.path(part), toPath: store.path("root/aufs/\(part)"))
    }
    for (id, command) in [
      ("app", ["/bin/sh", "-c", "#(nop) CMD [\"sh\"]"]), ("middle", ["/bin/sh", "-c", "a\nb"]),
    ] {
      try store.makeDirectory("root/graph/\(id)")
      let json: [String: Any] = [
        "created": "2015-10-21T07:28:00.5Z", "container_config": ["Cmd": command], "author": "me",
      ]
      try JSONSerialization.data(withJSONObject: json)
        .write(to: store.root.appending(path: "root/graph/\(id)/json"))
    }
    try store.makeDirectory("root/graph/base")
    try store.write("no json", to: "root/graph/base/json")
    try store.write(
      #"{"Repositories": {"example": {"1": "app", "2": "middle"}}}"#, to: "root/repositories-aufs")
    let path = store.path("root/aufs/layers/app")
    let run = try spawn(["layers", "--top", "0", path])
    #expect(run.status == 0)
    #expect(run.errorLines.count == 1 && run.error.contains("graph/base/json is left out"))
    let lines = run.output.split(separator: "\n")
    #expect(lines[1].contains("  2015-10-21 07:28  ") && lines[1].hasSuffix("  CMD [\"sh\"]"))
    #expect(lines[2].hasSuffix("  RUN a\\012b"), "\(lines[2])")
    #expect(lines[3].contains("  -  "), "\(lines[3])")
    let json = try object(try spawn(["layers", "--json", path]))
    let first = try #require((json["layers"] as? [[String: Any]])?.first)
    #expect(first["command"] as? String == "/bin/sh -c #(nop) CMD [\"sh\"]")
    #expect(first["tags"] as? [String] == ["example:1"] && first["author"] as? String == "me")
  }

  @Test func jsonTellsAllOfIt() throws {
    let store = try store()
    let json = try object(try layers(store, "--json", "--paths"))
    let layers = try #require(json["layers"] as? [[String: Any]])
    #expect(layers.map { $0["number"] as? Int } == [3, 2, 1])
    #expect(layers.map { $0["bytes"] as? Int } == [5, 120, 3_002_130])
    let removed = try #require(layers[0]["removed"] as? [String: Int])
    #expect(removed == ["files": 2, "bytes": 30, "directories": 1])
    let total = try #require(json["total"] as? [String: Double])
    #expect(total["visible_files"] == 3 && total["visible_directories"] == 2)
    #expect(total["wasted_bytes"] == 2130 && total["names"] == 9)
    let paths = try #require(json["paths"] as? [[String: Any]])
    #expect(
      paths.compactMap { $0["path"] as? String } == [
        "/doc", "/etc", "/lib", "/new", "/doc/one", "/doc/two", "/etc/hosts", "/lib/kept",
        "/lib/old",
      ])
    let hosts = try #require(paths[6]["copies"] as? [[String: Any]])
    #expect(hosts[0]["change"] as? String == "changed" && hosts[0]["state"] as? String == "visible")
    #expect(hosts[1]["state"] as? String == "replaced" && hosts[1]["by"] as? Int == 2)
  }

  @Test func aFileOfSeveralNamesIsCountedOnceAndSeenByAnyOfThem() throws {
    let store = try store()
    for name in ["base/a", "base/lib/z"] {
      try FileManager.default.linkItem(
        atPath: store.path("diff/base/lib/kept"), toPath: store.path("diff/\(name)"))
    }
    try store.write("", to: "diff/middle/.wh.a")
    try store.write("", to: "diff/app/lib")
    try store.remove("diff/app/lib")
    try store.makeDirectory("diff/app/lib")
    try store.write("", to: "diff/app/lib/.wh.kept")
    let figures = {
      try #require(try object(try self.layers(store, "--json"))["layers"] as? [[String: Any]])
    }
    let seen = try figures()
    #expect(seen[2]["bytes"] as? Int == 3_002_130 && seen[2]["files"] as? Int == 7)
    #expect((seen[2]["visible"] as? [String: Int])?["bytes"] == 3_000_000)
    #expect((seen[0]["removed"] as? [String: Int])?["bytes"] == 30)
    try store.write("", to: "diff/app/lib/.wh.z")
    let gone = try figures()
    #expect((gone[2]["visible"] as? [String: Int])?["bytes"] == 0)
    #expect((gone[0]["removed"] as? [String: Int])?["bytes"] == 3_000_030)
  }

  @Test func copiesForModeOrOwnerAloneAreTold() throws {
    let store = try store()
    try store.makeDirectory("diff/app/lib")
    try FileManager.default.copyItem(
      atPath: store.path("diff/base/lib/kept"), toPath: store.path("diff/app/lib/kept"))
    let past = Date(timeIntervalSince1970: 1_000_000_000)
    for layer in ["base", "app"] {
      let path = store.path("diff/\(layer)/lib/kept")
      try FileManager.default.setAttributes([.modificationDate: past], ofItemAtPath: path)
    }
    let message = "layer 3 copies 1 file with 3MB for nothing but mode or owner"
    #expect(try layers(store).output.contains(message))
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o700], ofItemAtPath: store.path("diff/app/lib/kept"))
    #expect(try layers(store).output.contains(message))
    try store.write("another", to: "diff/app/lib/kept")
    #expect(!(try layers(store).output.contains(message)))
  }

  @Test func namesAreEscapedAndLinksNotFollowed() throws {
    let store = try store()
    try store.write("1234", to: "diff/app/new\nline\u{1b}")
    try FileManager.default.createSymbolicLink(
      atPath: store.path("diff/app/usr"), withDestinationPath: "/usr")
    let run = try layers(store)
    #expect(run.output.contains("4B  /new\\012line\\033  (layer 3)"), "\(run.output)")
    #expect(run.output.contains("\n3  app       9B     +3 "), "\(run.output)")
  }

  @Test func namesThatAreNotUTF8StandBesideTheirSpelling() throws {
    let store = try store()
    let made = ("\(store.path("diff/app"))/").utf8.map { CChar(bitPattern: $0) } + [-1, 0x62, 0]
    let file = open(made, O_CREAT | O_WRONLY, 0o600)
    try #require(file >= 0 && write(file, "123456", 6) == 6 && close(file) == 0)
    let json = try object(try layers(store, "--json"))
    let largest = try #require(json["largest"] as? [[String: Any]])
    #expect(largest.contains { $0["path_escaped"] as? String == "/\\377b" })
    let page = try layers(store, "--html", "-").output
    #expect(page.contains(#"\\377b"#))
  }

  @Test func aPageHoldsItsDataWithoutAWayOutOfIt() throws {
    let store = try store()
    try store.makeDirectory("diff/app/<")
    try store.write("1", to: "diff/app/</script><script>alert(1)<")
    try store.write("1", to: "diff/app/<img src=x onerror=alert(2)>")
    try store.write("1", to: "diff/app/\u{202E}turned\u{2028}")
    let file = store.path("page.html")
    let run = try layers(store, "--html", file)
    #expect(run.status == 0 && run.output.isEmpty && run.error.isEmpty, "\(run)")
    let page = try String(contentsOfFile: file, encoding: .utf8)
    #expect(page.components(separatedBy: "<script").count == 3)
    #expect(page.components(separatedBy: "</script>").count == 3)
    #expect(!page.contains("<img") && page.contains("\\u003cimg src=x"))
    #expect(page.contains(#"\\342\\200\\256turned\\342\\200\\250"#))
    #expect(page.contains("default-src 'none'; script-src 'sha256-"))
    #expect(!page.contains("http://") && !page.contains("https://"))
    #expect(!page.contains("{{"))
  }

  @Test func whatCannotBeReadIsTold() throws {
    // Root reads everything.
    try #require(getuid() != 0 || access("/usr/bin/setpriv", X_OK) == 0)
    let store = try store()
    try store.makeDirectory("diff/app/closed")
    chmod(store.path("diff/app/closed"), 0)
    defer { chmod(store.path("diff/app/closed"), 0o700) }
    guard getuid() == 0 else {
      let run = try layers(store)
      #expect(run.status == 1 && run.error.contains("/app/closed cannot be read"))
      return
    }
    chmod(store.root.path, 0o755)
    let binary = builtProducts().appending(path: "unionfs-swift").path
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/setpriv")
    process.arguments = [
      "--reuid=65534", "--regid=65534", "--clear-groups", binary, "layers", "--top", "0",
      store.path("layers/app"),
    ]
    let (output, error) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = error
    try process.run()
    let table = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let line = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    // The build may lie where that user cannot run it.
    try #require(process.terminationStatus != 126 && process.terminationStatus != 127)
    #expect(
      process.terminationStatus == 1 && line.contains("/app/closed cannot be read"), "\(line)")
    #expect(table.contains("3 layers hold"), "\(table)")
  }

  @Test(arguments: [
    (["/does/not/exist/layers/x"], 66, "does not exist"),
    (["--top=-1", "/x/layers/x"], 64, "--top is -1"),
    (["--paths", "/x/layers/x"], 64, "--paths goes with --json"),
    (["--branch", "/usr=ro", "/x"], 64, "'/x' is one operand too many"),
    (["--html", "/does/not/exist/page", "--branch", "/var/empty/none=ro"], 66, "does not exist"),
  ])
  func aWrongCommandLineIsRefused(
    _ arguments: [String], _ status: Int32, _ message: String
  ) throws {
    let run = try spawn(["layers"] + arguments)
    #expect(run.status == status && run.errorLines.count == 1, "\(run)")
    #expect(run.error.contains(message), "\(run.error)")
  }
}
