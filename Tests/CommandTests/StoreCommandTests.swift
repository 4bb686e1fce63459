import Foundation
import TestSupport
import Testing

extension ImageStore {
  /// Runs a verb of the built command on this store.
  func run(_ verb: String, _ arguments: String...) throws -> Outcome {
    try spawn([verb, "--root", root.string] + arguments)
  }

  /// The same, of which the output matters; it must succeed.
  func lines(_ verb: String, _ arguments: String...) throws -> [String] {
    let run = try spawn([verb, "--root", root.string] + arguments)
    #expect(run.status == 0, "\(verb) \(arguments): \(run.error)")
    return run.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .map { String($0) }
  }
}

@Suite struct StoreCommandTests {
  @Test func imagesAreATableTheNewestFirst() throws {
    let store = try ImageStore.sample()
    let lines = try store.lines("images")
    #expect(lines.count == 5)
    #expect(lines[0] == "REPOSITORY   TAG       IMAGE ID       CREATED        SIZE")
    #expect(lines[1].hasPrefix("<none>       <none>    d30000000000   "))
    #expect(lines[1].hasSuffix(" years ago   1B"))
    #expect(lines[2].hasPrefix("me/app       1         c20000000000   "))
    #expect(try store.lines("images", "-a").count == 6)
    #expect(try store.lines("images", "-q", "deb*") == ["b10000000000"])
    #expect(try store.lines("images", "-q", "--no-trunc", "*:8") == [ImageStore.id("b1")])
  }

  @Test(arguments: [
    ("{{.ID}} {{.Repository}}:{{.Tag}}", ["b10000000000 debian:8"]),
    ("{{json .Tag}}\\t{{.Size | upper}}", ["\"8\"\t10B"]),
    ("{{if eq .Tag \"8\"}}yes{{else}}no{{end}}", ["yes"]),
    ("table {{.Tag}}\\t{{.Size}}", ["TAG       SIZE", "8         10B"]),
    ("{{ index (split .Repository \"b\") 1 }}", ["ian"]),
    ("{{range $i, $c := split .Tag \"\"}}{{$i}}={{$c}}{{end}}", ["0=8"]),
    ("{{len .ID}} {{title .Repository}} {{truncate .ID 3}}", ["12 Debian b10"]),
  ])
  func aTemplateIsWrittenForEachLine(_ format: String, _ lines: [String]) throws {
    let store = try ImageStore.sample()
    #expect(try store.lines("images", "--format", format, "debian:8") == lines)
  }

  @Test(arguments: [
    ("{{.Foo}}", "no field 'Foo'; there are Containers"), ("{{foo .ID}}", "no function 'foo'"),
    ("{{.ID", "not closed"), ("{{range .ID}}", "an 'end' is missing"), ("{{end}}", "ends nothing"),
    ("{{.ID)}}", "')' is not expected"), ("{{}}", "says nothing"), ("{{index .ID}}", "arguments"),
    ("{{\"a}}", "not closed"), ("{{.ID.X}}", "no object"), ("{{$x}}", "no variable"),
  ])
  func aWrongTemplateIsStatus64(_ format: String, _ message: String) throws {
    let run = try ImageStore.sample().run("images", "--format", format)
    #expect(run.status == 64)
    #expect(run.error.contains(message), "\(run.error)")
  }

  @Test(arguments: ["images", "ps", "df", "du", "history", "tree", "inspect"])
  func everyListingIsJSONToo(_ verb: String) throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "c2", name: "web")
    let run =
      ["history", "inspect"].contains(verb)
      ? try store.run(verb, "--json", "me/app:1")
      : try store.run(verb, "--json")
    #expect(run.status == 0, "\(run.error)")
    let value = try JSONSerialization.jsonObject(with: Data(run.output.utf8))
    #expect(value is [[String: Any]])
  }

  @Test func inspectAnswersForImagesAndContainersAndSaysWhatIsMissing() throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "c2", name: "web")
    #expect(
      try store.lines("inspect", "-f", "{{.Config.Env}} {{index .RepoTags 0}}", "debian")
        == ["[PATH=/bin] debian:8"])
    #expect(
      try store.lines("inspect", "-f", "{{.Name}} {{.State.ExitCode}} {{json .Args}}", "web")
        == [#"/web 3 ["-c","true"]"#])
    let run = try store.run("inspect", "web", "nope")
    #expect(run.status == 1)
    #expect(run.output.contains(#""Id": "\#(ImageStore.id("cc"))""#))
    #expect(run.error.contains("No such object: nope"))
    #expect(try store.run("inspect", "--type", "image", "web").status == 1)
  }

  @Test func historyFollowsTheJsonOrTheLayersAndSaysWhereTheyDiffer() throws {
    let store = try ImageStore.sample()
    let ids = ["c20000000000", "b10000000000", "a00000000000"]
    #expect(try store.lines("history", "-q", "me/app:1") == ids)
    #expect(try store.lines("history", "--layers", "-q", "me/app:1") == ids)
    #expect(
      try store.lines("history", "--no-human", "--format", "{{.CreatedAt}} {{.Size}}", "debian")
        == ["2015-06-02T10:20:30.123456789Z 3", "2015-06-01T10:20:30.123456789Z 7"])
    try (store.root / Path("aufs/layers/\(ImageStore.id("c2"))")).write(ImageStore.id("a0") + "\n")
    let run = try store.run("history", "--layers", "-q", "me/app:1")
    #expect(run.status == 1)
    #expect(run.output == "c20000000000\na00000000000\n")
    #expect(run.error.contains("the two chains differ"))
  }

  @Test func tagAndRmiChangeNamesAndImages() throws {
    let store = try ImageStore.sample()
    #expect(try store.lines("tag", "c2", "localhost:5000/a/b:t").isEmpty)
    #expect(try store.lines("images", "-q", "localhost:5000/a/b") == ["c20000000000"])
    #expect(try store.lines("rmi", "me/app:1") == ["Untagged: me/app:1"])
    let gone = ["Untagged: localhost:5000/a/b:t", "Deleted: \(ImageStore.id("c2"))"]
    #expect(try store.lines("rmi", "localhost:5000/a/b:t") == gone)
    #expect(!store.diff("c2").exists)
    let run = try store.run("rmi", "nope", "d3", "a0")
    #expect(run.status == 1)
    #expect(run.output == "Deleted: \(ImageStore.id("d3"))\n")
    #expect(run.errorLines.count == 2)
    #expect(try store.run("tag", "debian", "Wrong").status == 64)
    #expect(try store.run("tag", "debian@sha256:0", "x").status == 64)
    #expect(try store.lines("check").isEmpty)
  }

  @Test func pruneSaysWhatItFreesAndKeepsContainers() throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "b1", name: "web", [.file("f", "12345")])
    #expect(
      try store.lines("prune", "--dry-run").last == "Total space that would be reclaimed: 1B")
    #expect(try store.lines("images", "-q").count == 3)
    #expect(try store.lines("prune", "-a").last == "Total reclaimed space: 4B")
    #expect(try store.lines("ps", "-aq") == ["cc0000000000"])
    #expect(try store.lines("prune", "-a", "--containers").last == "Total reclaimed space: 15B")
    #expect(try store.lines("images", "-aq").isEmpty)
    #expect(try (store.root / "aufs/diff").names() == [])
  }

  @Test func createWritesTheIdThatPsAndRmKnow() throws {
    let store = try ImageStore.sample()
    let id = try #require(
      try store.lines("create", "--name", "web", "-e", "A=1", "debian", "ls", "-la").first)
    #expect(id.utf8.count == 64)
    #expect(
      try store.lines("ps") == [
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES"
      ])
    #expect(
      try store.lines(
        "ps", "-a", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Status}} {{.Names}}")
        == ["\(id.prefix(12)) debian \"ls -la\" Created web"])
    #expect(try store.run("create", "--name", "web", "debian").status == 1)
    #expect(try store.run("create", "nope").error.contains("No such image: nope:latest"))
    #expect(try store.lines("rm", "web") == ["web"])
    #expect(try store.run("rm", "web").status == 1)
    #expect(try store.lines("check").isEmpty)
  }

  @Test func aStoreOfADockerThatStoppedLongAgoTellsWhen() throws {
    let store = try ImageStore.sample()
    try store.addContainer("cc", of: "c2", name: "web")
    let lines = try store.lines("ps", "-a", "--format", "{{.Status}}")
    #expect(lines.first?.hasPrefix("Exited (3) ") == true)
    #expect(lines.first?.hasSuffix(" years ago") == true)
  }

  @Test func whatIsBrokenIsAWarningAndTheRestIsListed() throws {
    let store = try ImageStore.sample()
    try (store.root / Path("graph/\(ImageStore.id("d3"))/json")).write("no json")
    let run = try store.run("images", "-aq")
    #expect(run.status == 0)
    #expect(run.output.split(separator: "\n").count == 3)
    #expect(run.error.contains("warning: "))
    #expect(run.error.contains("graph/\(ImageStore.id("d3"))/json"))
    let check = try spawn(["check", "--json", "--root", store.root.string])
    #expect(check.status == 1)
    #expect(check.output.contains(#""kind": "broken""#))
  }

  @Test func aWrongRootIsNamed() throws {
    #expect(try spawn(["images", "--root", "/nowhere"]).status == 66)
    #expect(try spawn(["images", "--root", "/etc"]).status == 65)
    #expect(try spawn(["rmi", "--root", "/proc/none", "x"]).status != 0)
    #expect(try spawn(["check", "--root", "/etc", "--repair"]).status == 64)
  }

  @Test func anotherUsersDefaultStoreIsInItsHome() throws {
    let account = try #require(Account.unprivileged, "there is no user unionfs-test")
    let home = Path("/tmp/unionfs-home-test.\(UInt32.random(in: .min ... .max))")
    try home.mkdir()
    defer { try? home.removeTree() }
    try home.chown(account.uid, account.gid)
    let binary = Path(Server.binary)
    // The build may lie where that user may not look.
    let copy = home / "unionfs-swift"
    try copy.write(bytes: try binary.bytesOfFile(), mode: 0o755)
    func ours(_ words: String...) throws -> Finished {
      try TestSupport.run(
        [
          "setpriv", "--reuid=\(account.uid)", "--regid=\(account.gid)", "--clear-groups", "env",
          "-i",
          "HOME=\(home)", "PATH=/usr/bin:/bin", copy.string,
        ] + words)
    }
    #expect(try ours("images", "-q").status == 0)
    #expect(!(home / ".local").exists)
    #expect(try ours("rmi", "x").status == 1)
    #expect(try (home / ".local/share/unionfs-swift").names().contains("graph"))
    #expect(try (home / ".local/share/unionfs-swift").stat().uid == account.uid)
  }
}

@Suite struct NewerDockerTests {
  private func run(_ store: DigestStore, _ verb: String, _ arguments: String...) throws -> Outcome {
    try spawn([verb, "--root", store.root.string] + arguments)
  }

  @Test func aStoreOfDocker20IsListedAndNeverChanged() throws {
    let store = try DigestStore()
    let before = try tree(of: store.root)
    #expect(
      try run(store, "images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}").output
        == "me/app:2 111100000000 12B\n")
    #expect(
      try run(store, "history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}", "me/app:2").output
        == "111100000000 COPY app 3B\n<missing> CMD bash 0B\n<missing> ADD rootfs 9B\n")
    #expect(try run(store, "history", "--layers", "-q", "me/app:2").status == 0)
    #expect(
      try run(store, "inspect", "-f", "{{.Id}} {{len .RootFS.Layers}}", "1111").output
        == "sha256:\(DigestStore.image) 2\n")
    #expect(
      try run(store, "ps", "-a", "--format", "{{.Names}} {{.Image}}").output
        == "calm_curie me/app:2\n")
    for verb in [
      ["tag", "me/app:2", "x"], ["rmi", "me/app:2"], ["create", "me/app:2"], ["rm", "calm_curie"],
    ] {
      let refused = try spawn([verb[0], "--root", store.root.string] + verb[1...])
      #expect(refused.status == 1)
      #expect(refused.error.contains("Docker 1.10 or later"), "\(refused.error)")
    }
    #expect(try run(store, "check").output.isEmpty)
    #expect(try tree(of: store.root) == before)
  }
}
