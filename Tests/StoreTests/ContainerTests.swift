import TestSupport
import Testing

/// Containers from import to export, run by runc.
@Suite(.serialized, .enabled(if: runsContainers, "needs root, runc and busybox-static"))
struct Containers {
  @Test func aCommandsStatusAndOutputAreItsOwn() throws {
    let store = try TestStore()
    try store.importBase()
    let end = try store.call(
      "run", "--rm", "base", "/bin/sh", "-c", "echo out; echo err >&2; exit 3")
    #expect(end.status == 3 && end.output == "out\n" && end.errors == "err\n")
    #expect(try store.output("ps", "-aq") == "")
    try store.expectSound()
  }

  @Test func aContainerSeesItsOwnHostFilesAndNoneIsChanged() throws {
    let store = try TestStore()
    try (store.base / "etc/hosts").write("the image's\n")
    try store.importBase()
    #expect(try store.inside("base", "/bin/cat", "/etc/hosts").contains("127.0.0.1\tlocalhost"))
    let name = try store.call(
      "run", "--rm", "--hostname", "box", "base", "/bin/sh", "-c", "hostname; cat /etc/hostname")
    #expect(name.output == "box\nbox\n")
    let layer =
      store.root / "aufs/diff" / Path(try store.output("images", "-q", "--no-trunc", "base"))
    #expect(try (layer / "etc/hosts").text() == "the image's\\n")
  }

  @Test func optionsReachTheProcess() throws {
    let store = try TestStore()
    try store.importBase()
    try (store.folder / "shared").mkdir()
    try (store.folder / "shared/f").write("shared")
    let end = try store.call(
      "run", "--rm", "-e", "A=1 2", "-w", "/new/place", "-u", "mail", "-v",
      "\(store.folder / "shared"):/s:ro", "base", "/bin/sh", "-c",
      "echo $A; pwd; id -u; id -G; cat /s/f; touch /s/g 2>/dev/null || echo read-only")
    #expect(end.output == "1 2\n/new/place\n8\n9 20\nsharedread-only\n", "\(end.errors)")
  }

  @Test func withoutANetworkThereIsLoopbackAlone() throws {
    let store = try TestStore()
    try store.importBase()
    let links = try store.call("run", "--rm", "--net", "none", "base", "/bin/ip", "-o", "link")
    #expect(
      links.output.split(separator: "\n").allSatisfy { $0.contains("lo") || $0.contains("NOARP") })
    #expect(!links.output.contains("eth0"))
  }

  @Test func whatAContainerChangedIsToldAndCommitted() throws {
    let store = try TestStore()
    try (store.base / "etc/old").write("old")
    try store.importBase()
    try store.output(
      "run", "--name", "c1", "base", "/bin/sh", "-c",
      "echo new > /new; rm /etc/old; mkdir -p /d/e; echo x >> /etc/passwd; cat /etc/group > /dev/null"
    )
    #expect(
      try store.output("diff", "c1") == """
        A /d
        A /d/e
        C /etc
        D /etc/old
        C /etc/passwd
        A /new
        """)
    try store.output("commit", "-m", "why", "-c", "ENV B=2", "c1", "changed:2")
    #expect(
      try store.inside("changed:2", "/bin/sh", "-c", "cat /new; ls /etc/old 2>&1; echo $B")
        == "new\nls: /etc/old: No such file or directory\n2\n")
    let id = try store.output("images", "-q", "--no-trunc", "changed:2")
    #expect((store.root / "aufs/diff" / Path(id) / "etc/.wh.old").exists)
    #expect(try store.output("inspect", "--format", "{{.Comment}}", "changed:2") == "why")
    try store.output("rm", "c1")
    try store.expectSound()
  }

  @Test func anExportIsWhatTheContainerShows() throws {
    let store = try TestStore()
    try store.importBase()
    try store.output("run", "--name", "c1", "base", "/bin/sh", "-c", "rm /etc/group; echo n > /n")
    let tar = store.folder / "c.tar"
    try store.output("export", "-o", "\(tar)", "c1")
    let names = try shell("tar", "-tf", "\(tar)").split(separator: "\n")
    #expect(names.contains("n") && names.contains("bin/busybox"))
    #expect(!names.contains("etc/group") && !names.contains { $0.contains(".wh.") })
    // The same once more, mounted by somebody else.
    let point = try store.output("mount", "--container", "c1")
    let second = store.folder / "d.tar"
    try store.output("export", "-o", "\(second)", "c1")
    #expect(try tar.bytesOfFile() == second.bytesOfFile())
    #expect((Path(point) / "n").exists)
    try store.output("umount", "--container", "c1")
    try store.expectSound()
  }

  @Test func aLayersTarIsTheImagesLayer() throws {
    let store = try TestStore()
    try store.importBase()
    try store.output("run", "--name", "c1", "base", "/bin/sh", "-c", "rm /etc/group; echo n > /n")
    let tar = store.folder / "c.tar"
    try shell(
      "sh", "-c", "'\(Server.binary)' diff --root '\(store.root)' --tar c1 > '\(tar)'")
    #expect(
      try shell("tar", "-tf", "\(tar)") == "etc/\netc/.wh.group\nn\n")
  }

  @Test func aLayerThatWasConvertedIsToldAndPackedAsBefore() throws {
    let store = try TestStore()
    try (store.base / "etc/old/deep").parent.mkdir()
    try (store.base / "etc/old/deep").write("old")
    try store.importBase()
    try store.output(
      "run", "--name", "c1", "base", "/bin/sh", "-c",
      "rm /etc/group; rm -r /etc/old; mkdir /etc/old; echo n > /etc/old/n")
    let layer = try #require(
      try (store.root / "aufs/diff").names().map { store.root / "aufs/diff" / Path($0) }
        .first { ($0 / "etc/.wh.group").exists })
    func told() throws -> (String, String) {
      let tar = store.folder / "c.tar"
      try shell(
        "sh", "-c", "'\(Server.binary)' diff --root '\(store.root)' --tar c1 > '\(tar)'")
      return (try store.output("diff", "c1"), try shell("tar", "-tf", "\(tar)"))
    }
    let before = try told()
    #expect(before.0.contains("D /etc/group\n"))
    for format in ["overlay", "aufs"] {
      try shell(Server.binary, "convert", "--to", format, "\(layer)")
      #expect((layer / "etc/.wh.group").exists == (format == "aufs"))
      let after = try told()
      #expect(after.0 == before.0 && after.1 == before.1, "\(format)")
    }
  }

  @Test func whatCannotRunLeavesNothing() throws {
    let store = try TestStore()
    try store.importBase()
    let missing = try store.call("run", "--rm", "base", "/no/such/program")
    #expect(missing.status != 0 && missing.errors.contains("/no/such/program"))
    let user = try store.call("run", "--rm", "-u", "nobody-here", "base", "/bin/sh")
    #expect(user.status == 66 && user.errors.contains("no user 'nobody-here'"))
    let runtime = try store.call("run", "--rm", "--runtime", "no-such", "base", "/bin/sh")
    #expect(runtime.status == 66 && runtime.errors.contains("no runtime 'no-such'"))
    #expect(try store.output("ps", "-aq") == "")
    try store.expectSound()
  }

  @Test func aTarIsImportedWithAllItsMetadata() throws {
    let store = try TestStore()
    try (store.base / "etc/group").chown(70_000, 3_000_000)
    try (store.base / "etc/group").setTimes(modified: Moment(1_234_567_890, 123_456_789))
    try (store.base / "etc/passwd").setAttribute("user.a", "1")
    try (store.base / "etc/null").mknod(.character, mode: 0o622, major: 1, minor: 3)
    let tar = store.folder / "base.tar"
    try shell(
      "tar", "--format=pax", "--xattrs", "-czf", "\(tar)", "-C", "\(store.base)", ".")
    try store.output("import", "\(tar)", "from-tar")
    let id = try store.output("images", "-q", "--no-trunc", "from-tar")
    let layer = store.root / "aufs/diff" / Path(id)
    let status = try (layer / "etc/group").stat()
    #expect(status.uid == 70_000 && status.gid == 3_000_000)
    #expect(status.modified == Moment(1_234_567_890, 123_456_789))
    #expect(try (layer / "etc/passwd").attribute("user.a") == Array("1".utf8))
    #expect(try (layer / "etc/null").stat().kind == .character)
    #expect(try store.inside("from-tar", "/bin/cat", "/etc/passwd").hasPrefix("root:"))
  }

  @Test func whatIsNoTarMakesNoImage() throws {
    let store = try TestStore()
    let file = store.folder / "file"
    try file.write("no tar at all")
    let end = try store.call("import", "\(file)", "x")
    #expect(end.status == 65 && end.errors.contains("\(file)"))
    #expect(try store.output("images", "-aq") == "")
    try store.expectSound()
  }

  @Test(.enabled(if: Account.unprivileged != nil, "needs the user unionfs-test"))
  func anOrdinaryUserImportsBuildsAndRuns() throws {
    let store = try TestStore()
    let program = store.folder / "unionfs-swift"
    try shell("install", "-m755", Server.binary, "\(program)")
    try (store.folder / "context").mkdir()
    try (store.folder / "context/Dockerfile").write("FROM base\nRUN echo built > /b\n")
    try shell("chown", "-R", "unionfs-test:", "\(store.folder)")
    func call(_ words: String...) throws -> Finished {
      try run(
        ["runuser", "-u", "unionfs-test", "--", "\(program)", words[0], "--root", "\(store.root)"]
          + words.dropFirst(), environment: ["HOME": "\(store.folder)"], seconds: 120)
    }
    try call("import", "\(store.base)", "base").requireSuccess("import")
    let inside = try call("run", "--rm", "base", "/bin/sh", "-c", "id -u; touch /f; stat -c %u /f")
    #expect(inside.output == "0\n0\n", "\(inside.errors)")
    try call("build", "-t", "app", "\(store.folder / "context")").requireSuccess("build")
    #expect(try call("run", "--rm", "app", "/bin/cat", "/b").output == "built\n")
    let check = try call("check")
    #expect(check.status == 0 && check.output == "", "\(check.output)\(check.errors)")
  }
}
