import TestSupport
import Testing

/// Dockerfiles, built.
@Suite(.serialized, .enabled(if: runsContainers, "needs root, runc and busybox-static"))
struct Builds {
  @Test func everyInstructionDoesItsWork() throws {
    let store = try TestStore()
    try store.importBase()
    let text = """
      ARG FROM=base
      FROM $FROM AS first
      ARG WHO=nobody
      ENV GREETING="hello there"
      RUN echo "$GREETING, $WHO" > /greeting
      RUN ["/bin/sh", "-c", "rm /etc/group"]
      FROM base
      WORKDIR /srv/a
      COPY --from=first /greeting .
      COPY --chown=mail:9 --chmod=0600 one /data/
      COPY d t? /many/
      USER mail
      LABEL l="a b"
      ENTRYPOINT ["/bin/cat"]
      CMD ["/srv/a/greeting"]
      """
    let files: [Path: String] = [
      "one": "1", "d/two": "2", "d/skip.o": "", "t3": "3", "t4": "4", ".dockerignore": "**/*.o\nt4",
    ]
    let end = try store.build(text, ["-t", "app", "--build-arg", "WHO=you"], files: files)
    #expect(end.status == 0, "\(end.output)\(end.errors)")
    #expect(try store.inside("app") == "hello there, you\n")
    let listing = try store.call(
      "run", "--rm", "--entrypoint", "/bin/sh", "-u", "0", "app", "-c",
      "cd /; stat -c '%n %a %u:%g' data/one; ls /many; id -u mail")
    #expect(listing.output == "data/one 600 8:9\nt3\ntwo\n8\n")
    #expect(try store.output("inspect", "--format", "{{.Config.Labels.l}}", "app") == "a b")
    try store.expectSound()
  }

  @Test func stepsAreTakenFromTheCacheUntilOneChanges() throws {
    let store = try TestStore()
    try store.importBase()
    let text = "FROM base\nRUN echo $RANDOM$RANDOM$RANDOM > /r\nCOPY f /f\nRUN cat /f\n"
    func id() throws -> String { try store.output("images", "-q", "--no-trunc", "app") }
    func drawn() throws -> String { try store.inside("app", "/bin/cat", "/r") }
    #expect(try store.build(text, ["-t", "app"], files: ["f": "1"]).status == 0)
    let (first, number) = (try id(), try drawn())
    let again = try store.build(text, ["-t", "app"], files: ["f": "1"])
    #expect(try id() == first)
    #expect(again.output.split(separator: "\n").filter { $0 == " ---> Using cache" }.count == 3)
    let changed = try store.build(text, ["-t", "app"], files: ["f": "2"])
    #expect(changed.output.split(separator: "\n").filter { $0 == " ---> Using cache" }.count == 1)
    #expect(try id() != first)
    #expect(try drawn() == number)
    let anew = try store.build(text, ["-t", "app", "--no-cache"], files: ["f": "2"])
    #expect(!anew.output.contains("Using cache"))
    #expect(try drawn() != number)
  }

  @Test func aStepThatFailsSaysItsLineAndKeepsNothing() throws {
    let store = try TestStore()
    try store.importBase()
    let end = try store.build(
      "FROM base\n\nRUN echo a > /a\nRUN echo b > /b; exit 7\n", ["-t", "app"])
    #expect(end.status == 1)
    #expect(end.errors.contains("Dockerfile line 4") && end.errors.contains("returned 7"))
    #expect(try store.output("images", "-q", "app") == "")
    // The base and the step before.
    #expect(try store.output("images", "-aq").split(separator: "\n").count == 2)
    #expect(try (store.root / "aufs/diff").names().count == 2)
    try store.expectSound()
  }

  @Test(arguments: [
    ("FROM nowhere", "line 1: No such image"), ("FROM scratch\nRUN x", "line 2: nothing can run"),
    ("FROM base\nCOPY none /", "line 2: none is not in"),
    ("FROM base\nCOPY ../../etc/passwd /", "line 2: ../../etc/passwd is not in"),
    ("FROM base\nCOPY * /one", "line 2"), ("FROM base\nADD https://example.org/x /", "not fetched"),
    ("FROM base\nCOPY --chown=nobody-here Dockerfile /", "line 2: the image has no user"),
    ("FROM base\nUSER ${x:?is needed}", "line 2: x: is needed"),
  ])
  func whatIsWrongIsRefusedWithItsLine(_ text: String, _ what: String) throws {
    let store = try TestStore()
    try store.importBase()
    let end = try store.build(text, files: ["a": "1", "b": "2"])
    #expect(end.status != 0 && end.errors.contains(what), "\(end.errors)")
    try store.expectSound()
  }

  @Test func linksOfTheImageLeadNowhereElse() throws {
    let store = try TestStore()
    try (store.base / "out").symlink(to: "\(store.folder)")
    try (store.base / "up").symlink(to: "../../../../../..")
    try store.importBase()
    let end = try store.build(
      "FROM base\nCOPY f /up/x/f\nCOPY f /out/f\n", ["-t", "app"], files: ["f": "1"])
    #expect(end.status == 0, "\(end.errors)")
    #expect(!(store.folder / "f").exists && !Path("/x/f").exists)
    #expect(try store.inside("app", "/bin/cat", "\(store.folder)/f") == "1")
    #expect(try store.inside("app", "/bin/cat", "/x/f") == "1")
  }

  @Test func anArchiveIsUnpackedByADDAlone() throws {
    let store = try TestStore()
    try store.importBase()
    try shell("tar", "-cJf", "\(store.folder / "a.tar.xz")", "-C", "\(store.base)", "etc")
    try shell("sh", "-c", "echo plain | gzip > '\(store.folder / "p.gz")'")
    let context = store.folder / "context"
    _ = try store.build("FROM base\nRUN true\n")
    for name: Path in ["a.tar.xz", "p.gz"] { try (store.folder / name).rename(to: context / name) }
    try (context / "Dockerfile").write("FROM base\nADD a.tar.xz p.gz /u/\nCOPY a.tar.xz /c/\n")
    let end = try store.call("build", "-t", "app", "\(context)")
    #expect(end.status == 0, "\(end.errors)")
    #expect(
      try store.inside("app", "/bin/sh", "-c", "ls /u /c /u/etc")
        == "/c:\na.tar.xz\n\n/u:\netc\np.gz\n\n/u/etc:\ngroup\npasswd\n")
  }

  @Test func metadataIsAnImageOfItsOwnOnScratch() throws {
    let store = try TestStore()
    let end = try store.build(
      "FROM scratch\nENV A=1\nCOPY f /f\n", ["-t", "tiny"], files: ["f": "1"])
    #expect(end.status == 0, "\(end.errors)")
    #expect(try store.output("history", "-q", "tiny").split(separator: "\n").count == 2)
    #expect(try store.output("inspect", "--format", "{{.Config.Env}}", "tiny") == "[A=1]")
  }
}
