import Glibc
import TestSupport
import Testing

/// How mount(8) and mount.fuse(8) call the program for fstab(5).
@Suite(.mounts, .rulesOfAufs) struct MountHelper {
  private static let lower: [Item] = [.file("f", "F"), .directory("d")]

  /// A link to the program, by another name.
  private func called(_ name: String, _ u: Union) throws -> String {
    let link = u.folder / Path(name)
    guard let real = realpath(Server.binary, nil) else { throw Errno.missing }
    defer { free(real) }
    try link.symlink(to: Path(String(cString: real)))
    return "\(link)"
  }

  private func branches(_ u: Union) -> String { "br:\(u.top)=rw:\(u.lower)=ro+wh" }

  @Test(arguments: ["mount.unionfs-swift", "mount.fuse.unionfs-swift"])
  func calledAsAHelperItMountsWhatFstabSays(name: String) throws {
    try withUnion([.rw(), .lower(Self.lower)], mounted: false) { u throws in
      let options = "rw,noatime,_netdev,nofail,x-systemd.automount,comment=c,\(branches(u))"
      let end = try run([try called(name, u), "none", "\(u.mnt)", "-v", "-o", options])
      #expect(end.status == 0 && end.errors.isEmpty, "\(end)")
      #expect(end.output == "none mounted on \(u.mnt).\n")
      let mount = try #require(Server.mountInformation(u.mnt))
      #expect(mount.source.hasPrefix("fuse.unionfs-swift none "))
      #expect(mount.options.contains("noatime"))
      try u.expect(view: ["d/", "f=F"], top: [])
      try (u / "f").unlink()
      try u.unmount()
      try u.mount()
      try u.expect(view: ["d/"], top: [".wh.f"])
    }
  }

  @Test func itIsMountedAsMountFuseCallsIt() throws {
    try withUnion([.rw(), .lower(Self.lower)], mounted: false) { u throws in
      let end = try run([
        Server.binary, "union", "\(u.mnt)", "-o", "rw,dev,suid,\(branches(u)),fsname=named",
      ])
      #expect(end.status == 0 && end.errors.isEmpty, "\(end)")
      #expect(Server.mountInformation(u.mnt)?.source.hasPrefix("fuse.unionfs-swift named ") == true)
      try u.expect(view: ["d/", "f=F"], top: [])
    }
  }

  @Test func aLayersFileIsASource() throws {
    try withUnion([.rw(), .lower(Self.lower)], mounted: false) { u throws in
      let store = u.folder / "store"
      for folder in [store, store / "layers", store / "diff"] { try folder.mkdir() }
      try (store / "diff/app").symlink(to: u.top)
      try (store / "diff/base").symlink(to: u.lower)
      try (store / "layers/base").write("")
      try (store / "layers/app").write("base\n")
      let end = try run([
        try called("mount.unionfs-swift", u), "\(store)/layers/app", "\(u.mnt)", "-o", "rw",
      ])
      #expect(end.status == 0 && end.errors.isEmpty, "\(end)")
      #expect(
        Server.mountInformation(u.mnt)?.source.hasPrefix(
          "fuse.unionfs-swift \(store)/layers/app ") == true)
      try u.expect(view: ["d/", "f=F"], top: [])
    }
  }

  @Test func aFakeCallChecksAndMountsNothing() throws {
    try withUnion([.rw(), .lower(Self.lower)], mounted: false) { u throws in
      let helper = try called("mount.unionfs-swift", u)
      let words = [helper, "none", "\(u.mnt)", "-f", "-n", "-o", branches(u)]
      let end = try run(words)
      #expect(end.status == 0 && end.errors.isEmpty && end.output.isEmpty, "\(end)")
      #expect(!Server.isMounted(u.mnt))
      let wrong = try run([helper, "none", "\(u.mnt)", "-f", "-o", branches(u) + "x"])
      #expect(wrong.status == 1)
      try u.mount()
    }
  }

  @Test func aSloppyCallPassesOverWhatIsUnknown() throws {
    try withUnion([.rw(), .lower(Self.lower)], mounted: false) { u throws in
      let helper = try called("mount.unionfs-swift", u)
      let words = [helper, "none", "\(u.mnt)", "-o", "frobnicate=1,\(branches(u))"]
      let strict = try run(words)
      #expect(strict.status == 1)
      #expect(strict.errors.contains("'frobnicate=1'"), "\(strict.errors)")
      #expect(!Server.isMounted(u.mnt))
      let sloppy = try run(words + ["-s"])
      #expect(sloppy.status == 0, "\(sloppy.errors)")
      #expect(sloppy.errors.contains("'frobnicate=1' is unknown and ignored"), "\(sloppy.errors)")
      try u.expect(view: ["d/", "f=F"], top: [])
    }
  }

  /// mount(8) reads sums of 1, 2, 4, 8, 16, 32 and 64.
  @Test func statusesAreThoseOfMount() throws {
    try withUnion([.rw(), .lower(Self.lower)], mounted: false) { u throws in
      let helper = try called("mount.unionfs-swift", u)
      for (words, status, text) in [
        (["none", "\(u.mnt)"], 1, "'none' is no layers file, and no branches are given"),
        (["none", "\(u.mnt)", "-o", "rw"], 1, "'-o br:"),
        (["none"], 1, "'<target>'"),
        (["none", "\(u.mnt)", "-z"], 1, "'-z'"),
        (["none", "\(u.folder)/missing", "-o", branches(u)], 32, "\(u.folder)/missing"),
        (["/missing/layers/x", "\(u.mnt)"], 32, "/missing/layers"),
        (["none", "\(u.mnt)", "-o", "br:\(u.top):\(u.top)"], 32, "\(u.top)"),
      ] {
        let end = try run([helper] + words)
        #expect(end.status == Int32(status), "\(words): \(end)")
        #expect(end.errors.contains(text), "\(words): \(end.errors)")
        #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)")
        #expect(!Server.isMounted(u.mnt))
      }
      try u.mount()
    }
  }
}
