import Glibc
import TestSupport
import Testing

/// The mount and umount commands as a shell, or Docker, sees them.
@Suite(.mounts, .rulesOfAufs) struct MountCommand {
  private static let lower: [Item] = [.file("f", "F"), .directory("d")]

  @Test func itReturnsWhenTheMountIsLiveAndItsPipesAreClosed() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false) { u throws in
      // Reading both pipes to their end is how the fixture waits; so this is end of file.
      let end = try u.mount()
      #expect(end.status == 0 && end.output.isEmpty && end.errors.isEmpty, "\(end)")
      try u.expect(view: ["d/", "f=F"], top: [])
    }
  }

  @Test func theMountIsOfOurTypeAndSource() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)]) { u throws in
      let mount = try #require(Server.mountInformation(u.mnt))
      #expect(mount.source.hasPrefix("fuse.unionfs-swift unionfs-swift "))
      #expect(mount.source.contains("allow_other"))
      #expect(!mount.options.contains("nosuid") && !mount.options.contains("nodev"))
      #expect(mount.options.hasPrefix("rw"))
    }
  }

  @Test func optionsReachTheMount() throws {
    try withUnion(
      [.rw(), .lower(MountCommand.lower)],
      options: ["nosuid", "nodev", "noexec", "noatime", "fsname=mine"]
    ) { u throws in
      let mount = try #require(Server.mountInformation(u.mnt))
      for option in ["nosuid", "nodev", "noexec", "noatime"] {
        #expect(mount.options.split(separator: ",").contains(Substring(option)), "\(option)")
      }
      #expect(mount.source.hasPrefix("fuse.unionfs-swift mine "))
    }
  }

  @Test(arguments: ["max_read=65536", "max_read=4096"])
  func aLimitOfReadsLeavesTheMountAlive(option: String) throws {
    let bytes = pattern(300_000)
    try withUnion([.rw(), .lower([.file("f", bytes: bytes)])], options: [option]) { u throws in
      #expect(try (u / "f").bytesOfFile() == bytes)
    }
  }

  /// The kernel refuses a security context where there is no SELinux.
  @Test func aMountThatTheKernelRefusesIsOneLine() throws {
    try withUnion([.rw(), .lower([.file("f")])], mounted: false, checks: []) { u throws in
      u.options = ["context=nothing"]
      let end = try run(u.mountCommand())
      #expect(end.status == 1 || end.status == 77)
      #expect(end.output.isEmpty)
      #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)")
      #expect(end.errors.contains("cannot be mounted"), "\(end.errors)")
    }
  }

  @Test func aBranchMayHaveAnyName() throws {
    try withUnion([.rw(), .lower([.file("f", "F")])], mounted: false, checks: []) { u throws in
      let odd = Path(bytes: u.folder.bytes + Array("/p".utf8) + [0xFF])
      try odd.mkdir()
      // A shell passes the bytes on as they are.
      let mount = "exec \(u.program) mount --branch \"$p\"=rw --branch \(u.lower)=ro+wh \(u.mnt)"
      let end = try run(["sh", "-c", "for p in \(u.folder)/p*; do \(mount); done"])
      #expect(end.status == 0, "\(end.errors)")
      try (u / "new").write("N")
      #expect(try (odd / "new").text() == "N")
      try u.unmount()
    }
  }

  @Test func theTypeMayBeNamedToo() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], options: ["subtype=other"]) { u throws in
      let mount = try #require(Server.mountInformation(u.mnt))
      #expect(mount.source.hasPrefix("fuse.other unionfs-swift "))
      let server = try #require(u.server)
      try shell("umount", "\(u.mnt)")
      #expect(Server.waitForEnd(of: server) == 0)
    }
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func aSignalUnmountsCleanly(signal: Int32) throws {
    try withUnion([.rw(), .lower(MountCommand.lower)]) { u throws in
      try (u / "f").append("+")
      let server = try #require(u.server)
      Server.signal(server, signal)
      #expect(Server.waitForEnd(of: server) == 0)
      #expect(!Server.isMounted(u.mnt))
      #expect(try (u.top / "f").text() == "F+")
      try u.mount()
      try u.expect(view: ["d/", "f=F+"], top: ["f=F+"])
    }
  }

  @Test func inTheForegroundItServesUntilItIsUnmounted() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false) { u throws in
      let server = try Spawned(u.mountCommand(["-f"]))
      try waitUntilMounted(u, server)
      try (u / "f").append("+")
      #expect(u.server == server.process)
      let umount = try run([Server.binary, "umount", "\(u.mnt)"])
      #expect(umount.status == 0, "\(umount.errors)")
      let end = try server.finish()
      #expect(end.status == 0 && end.errors.isEmpty, "\(end)")
      #expect(!Server.isMounted(u.mnt))
      try u.mount()
      try u.expect(view: ["d/", "f=F+"], top: ["f=F+"])
    }
  }

  @Test func aSecondMountOfTheSameWritableBranchIsRefused() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)]) { u throws in
      let other = u.folder / "other"
      try other.mkdir()
      let end = try run([
        Server.binary, "mount", "--branch", "\(u.top)=rw", "--branch", "\(u.lower)=ro+wh",
        "\(other)",
      ])
      try expectRefusal(end, naming: "\(u.top)", at: other)
      try u.expect(view: ["d/", "f=F"], top: [])
      // As a read-only branch of another mount it may be looked at.
      try u.unmount()
      let again = try run([Server.binary, "mount", "--branch", "\(u.top)=rw", "\(other)"])
      #expect(again.status == 0, "the lock went with the first mount: \(again.errors)")
      try shell(Server.binary, "umount", "\(other)")
    }
  }

  @Test func aKilledServerLeavesNoLockAndNoLoss() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)]) { u throws in
      try (u / "new").write("text")
      try (u / "f").unlink()
      let server = try #require(u.server)
      Server.signal(server, SIGKILL)
      #expect(Server.waitForEnd(of: server) == -SIGKILL)
      #expect(throws: Errno.notConnected) { try u.mnt.stat() }
      try shell("umount", "-l", "\(u.mnt)")
      try u.mount()
      try u.expect(view: ["d/", "new=text"], top: [".wh.f", "new=text"])
    }
  }

  @Test func umountClearsADeadMountAway() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)]) { u throws in
      let server = try #require(u.server)
      Server.signal(server, SIGKILL)
      _ = Server.waitForEnd(of: server)
      let end = try run([Server.binary, "umount", "\(u.mnt)"])
      #expect(end.status == 0, "\(end.errors)")
      #expect(!Server.isMounted(u.mnt))
    }
  }

  @Test func umountOfWhatIsNotMountedFails() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false) { u throws in
      let end = try run([Server.binary, "umount", "\(u.mnt)"])
      #expect(end.status != 0)
      #expect(end.errors.contains("\(u.mnt)"))
      #expect(lines(end.errors) == 1)
    }
  }

  @Test func umountOfABusyMountFailsAndLeavesItServing() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)]) { u throws in
      let file = try u.open("f", O_RDWR)
      let end = try run([Server.binary, "umount", "\(u.mnt)"])
      #expect(end.status != 0 && lines(end.errors) == 1, "\(end)")
      try file.write("G", at: 0)
      try u.expect(view: ["d/", "f=G"], top: ["f=G"])
    }
  }

  @Test func impossibleBranchesAreRefusedAndNothingIsMounted() throws {
    // A directory is made in the lower branch on the way.
    try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false, checks: []) { u throws in
      let (top, lower, mnt) = ("\(u.top)", "\(u.lower)", "\(u.mnt)")
      try (u.lower / "inner").mkdir()
      defer { try? (u.lower / "inner").rmdir() }
      let inner = "\(u.lower / "inner")"
      let cases: [(String, [String], String, String)] = [
        ("the same directory twice", ["\(top)=rw", "\(lower)=ro+wh", "\(lower)=ro"], mnt, lower),
        ("a branch below another", ["\(top)=rw", "\(lower)=ro+wh", "\(inner)=ro"], mnt, inner),
        ("a branch above another", ["\(top)=rw", "\(inner)=ro+wh", "\(lower)=ro"], mnt, lower),
        ("a mount point inside a branch", ["\(top)=rw", "\(lower)=ro+wh"], inner, inner),
        ("a branch inside the mount point", ["\(top)=rw", "\(inner)=ro"], lower, inner),
        ("a missing branch", ["\(top)=rw", "\(lower)/none=ro"], mnt, "\(lower)/none"),
        ("a branch that is a file", ["\(top)=rw", "\(lower)/f=ro"], mnt, "\(lower)/f"),
        ("an unknown permission", ["\(top)=rw", "\(lower)=rx"], mnt, "rx"),
        ("a missing mount point", ["\(top)=rw"], "\(mnt)/none", "\(mnt)/none"),
      ]
      for (what, branches, mountPoint, named) in cases {
        let words = branches.flatMap { ["--branch", $0] }
        let end = try run([Server.binary, "mount"] + words + [mountPoint])
        try expectRefusal(end, naming: named, at: Path(mountPoint), "\(what)")
      }
      #expect(try diskTree(u.top) == [])
    }
  }

  @Test func anUnknownOptionIsRefusedByName() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false) { u throws in
      u.options = ["nosuid", "frobnicate=7"]
      let end = try run(u.mountCommand())
      try expectRefusal(end, naming: "frobnicate", at: u.mnt)
      u.options = []
    }
  }

  @Test func aWritableBranchOnAReadOnlyFileSystemIsRefused() throws {
    try withUnion([.rw().onTmpfs(), .lower(MountCommand.lower)], mounted: false) { u throws in
      try shell("mount", "-o", "remount,ro", "\(u.top)")
      let end = try run(u.mountCommand())
      try expectRefusal(end, naming: "\(u.top)", at: u.mnt)
      try shell("mount", "-o", "remount,rw", "\(u.top)")
    }
  }

  @Test func aufssOwnBranchStringIsTaken() throws {
    for prefix in ["br:", "br=", "dirs="] {
      try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false) { u throws in
        let string = "\(prefix)\(u.top)=rw:\(u.lower)=ro+wh"
        let end = try run([Server.binary, "mount", "-o", string, "\(u.mnt)"])
        #expect(end.status == 0, "\(prefix) \(end.errors)")
        try (u / "f").unlink()
        try u.expect(view: ["d/"], top: [".wh.f"])
      }
    }
  }

  @Test func whatALayersFileNamesIsMounted() throws {
    try withUnion([.rw()], mounted: false, checks: []) { u throws in
      let store = u.folder / "store"
      for id in ["base", "middle", "top"] {
        for folder in ["diff", "layers", "mnt"] where !(store / Path(folder)).exists {
          try run(["mkdir", "-p", "\(store / Path(folder))"]).requireSuccess()
        }
        try (store / Path("diff/\(id)")).mkdir()
        try (store / Path("diff/\(id)/\(id)")).write(id)
        try (store / Path("mnt/\(id)")).mkdir()
      }
      try (store / "diff/middle/.wh.base").write("", mode: 0o444)
      try (store / "layers/base").write("")
      try (store / "layers/middle").write("base\n")
      try (store / "layers/top").write("middle\n\nbase\n")
      let end = try run([Server.binary, "mount", "\(store / "layers/top")"])
      #expect(end.status == 0, "\(end.errors)")
      let mnt = store / "mnt/top"
      #expect(try mnt.names() == ["middle", "top"])
      try (mnt / "middle").append("+")
      #expect(try (store / "diff/top/middle").text() == "middle+")
      #expect(try (store / "diff/middle/middle").text() == "middle")
      try shell(Server.binary, "umount", "\(mnt)")
      // Another writable top over a read-only use of the same chain.
      let upper = u.folder / "upper"
      try upper.mkdir()
      try run([
        Server.binary, "mount", "--upper", "\(upper)", "\(store / "layers/top")", "\(u.mnt)",
      ]).requireSuccess()
      try (u / "top").unlink()
      #expect(try u.mnt.names() == ["middle"])
      #expect(try diskTree(upper) == [".wh.top"])
      try u.unmount()
    }
  }

  @Test func aBadLayersFileIsRefusedWithItsLine() throws {
    try withUnion([.rw()], mounted: false, checks: []) { u throws in
      let store = u.folder / "store"
      for folder in ["", "diff", "layers", "mnt", "diff/a", "diff/b", "mnt/a"] {
        try (store / Path(folder)).mkdir()
      }
      try (store / "layers/b").write("")
      let cases = [
        ("missing", "b\nnone\n", "none"), ("not a plain name", "b\n../../etc\n", "../../etc"),
        ("a dot", "..\n", ".."), ("control characters", "b\u{1}\n", "line 1"),
        ("twice", "b\nb\n", "line 2"), ("itself", "b\na\n", "line 2"),
      ]
      for (what, content, named) in cases {
        try (store / "layers/a").write(content)
        let end = try run([Server.binary, "mount", "\(store / "layers/a")"])
        try expectRefusal(end, naming: named, at: store / "mnt/a", "\(what)")
      }
      try (store / "layers/a").truncate(1 << 30)
      let end = try run([Server.binary, "mount", "\(store / "layers/a")"])
      try expectRefusal(end, naming: "layers/a", at: store / "mnt/a", "a gigabyte")
    }
  }

  @Test func whichNamesTheBranchAndTheRealPath() throws {
    try withUnion(
      top: [.file("t", "0"), .file("both", "0")], lower: [.file("l", "1"), .file("both", "1")]
    ) { u throws in
      for (name, index) in [("t", 0), ("l", 1), ("both", 0)] {
        let output = try shell(Server.binary, "which", "\(u / Path(name))")
        #expect(output.contains("\(u.branches[index])/\(name)"), "\(name): \(output)")
      }
      let end = try run([Server.binary, "which", "\(u / "none")"])
      #expect(end.status != 0 && !end.errors.isEmpty)
    }
  }

  @Test func closedStandardDescriptorsAndAnotherWorkingDirectoryDoNotMatter() throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], mounted: false) { u throws in
      let command = u.mountCommand().dropLast().map { "'\($0)'" }.joined(separator: " ")
      let relative = "cd '\(u.folder)' && exec \(command) mnt <&- >&- 2>&-"
      let end = try run(["sh", "-c", relative])
      #expect(end.status == 0)
      try (u / "f").append("+")
      try u.expect(view: ["d/", "f=F+"], top: ["f=F+"])
    }
  }

  @Test(arguments: ["auto", "strict", "volatile"])
  func everyDurabilityServes(sync: String) throws {
    try withUnion([.rw(), .lower(MountCommand.lower)], options: ["sync=\(sync)"]) { u throws in
      try (u / "f").append("+")
      try (u / "d").rename(to: u / "e")
      try (u / "n").write("x")
      try u.expect(view: ["e/", "f=F+", "n=x"], top: ["e/", "f=F+", "n=x", ".wh.d"])
    }
  }

  private func lines(_ text: String) -> Int { text.split(separator: "\n").count }

  /// One line on standard error that names the culprit, a code other than 0, nothing mounted.
  private func expectRefusal(
    _ end: Finished, naming name: String, at mountPoint: Path, _ what: String = "",
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(end.status > 0, "\(what): \(end)", sourceLocation: location)
    #expect(end.errors.contains(name), "\(what): \(end.errors)", sourceLocation: location)
    #expect(lines(end.errors) == 1, "\(what): \(end.errors)", sourceLocation: location)
    #expect(end.output.isEmpty, "\(what): \(end.output)", sourceLocation: location)
    #expect(!Server.isMounted(mountPoint), "\(what)", sourceLocation: location)
    #expect(
      Server.processes(serving: mountPoint).isEmpty, "\(what): a server runs",
      sourceLocation: location)
  }

  /// Until the mount table changes, which poll(2) tells.
  private func waitUntilMounted(_ u: Union, _ server: Spawned) throws {
    let table = u.keep(try Path("/proc/self/mountinfo").open(O_RDONLY))
    for _ in 0..<100 where !Server.isMounted(u.mnt) {
      table.waitForEvent(milliseconds: 1000)
    }
    try #require(Server.isMounted(u.mnt))
  }
}
