import Glibc
import TestSupport
import Testing

/// Branches with whiteouts and opaque directories as overlayfs writes them.
@Suite(.mounts, .rulesOfAufs) struct OverlayFormat {
  @Test func aDeviceHidesEveryBranchBelowIt() throws {
    try withUnion(
      top: [.device("a"), .device("none")],
      lower: [.file("a", "1"), .device("b"), .file("c", "1")],
      [.file("a", "2"), .file("b/x", "2"), .file("c", "2"), .device("alone"), .file("d", "2")]
    ) { u throws in
      // Asked for before and after all is listed.
      for _ in 0..<2 {
        for name: Path in ["a", "b", "b/x", "none", "alone"] {
          #expect(throws: Errno.missing) { try (u / name).stat() }
        }
        try u.expect(view: ["c=1", "d=2"])
      }
    }
  }

  @Test func aDirectoryOfOneBranchShowsNoDevice() throws {
    try withUnion(lower: [.file("d/f"), .device("d/w")]) { u throws in
      #expect(throws: Errno.missing) { try (u / "d/w").stat() }
      try u.expect(view: ["d/", "d/f="])
    }
  }

  @Test(arguments: opaqueAttributes)
  func anAttributeEndsTheMerge(_ name: String) throws {
    try withUnion(
      top: [.file("d/a", "0")], lower: [.marked("d", by: name), .file("d/b", "1")],
      [.file("d/c", "2"), .marked("e", by: name), .file("e/f")], [.file("d/d", "3")]
    ) { u throws in
      #expect(throws: Errno.missing) { try (u / "d/c").stat() }
      try u.expect(view: ["d/", "d/a=0", "d/b=1", "e/", "e/f="])
    }
  }

  @Test func anotherValueMeansNothing() throws {
    let odd = Item.directory("d").attribute("trusted.overlay.opaque", "yes")
      .attribute("trusted.overlay.origin", "o")
    try withUnion(lower: [odd, .file("d/b", "1")], [.file("d/c", "2")]) { u throws in
      try u.expect(view: ["d/", "d/b=1", "d/c=2"])
    }
  }

  @Test func onPlainReadOnlyBranchesBothMeanNothing() throws {
    try withUnion(
      [
        .rw([.directory("d")]), .plain([.device("a"), .marked("d"), .file("d/x", "1")]),
        .lower([.file("a", "2"), .file("d/y", "2")]),
      ]
    ) { u throws in
      try u.expect(view: ["a|character 0:0", "d/", "d/x=1", "d/y=2"])
      // On top it would be a whiteout.
      #expect(throws: Errno.notPermitted) { try (u / "a").chmod(0o600) }
      #expect(throws: Errno.notPermitted) { try (u / "a").rename(to: u / "b") }
      #expect(throws: Errno.notPermitted) { try (u / "a").link(to: u / "b") }
      #expect(try (u / "d").attributes() == [])
      try u.expect(top: ["d/"])
      try (u / "a").unlink()
      try u.expect(view: ["d/", "d/x=1", "d/y=2"], top: [".wh.a", "d/"])
    }
  }

  @Test func theirAttributesAreSeenBySomeoneElseOnly() throws {
    let all = [
      "trusted.overlay.opaque", "trusted.overlay.origin", "user.overlay.impure",
      "user.fuseoverlayfs.opaque",
    ]
    var item = Item.directory("d").attribute("user.k", "v").attribute("trusted.k", "w")
    for name in all { item = item.attribute(name, "y") }
    try withUnion(top: [item, .file("f")], lower: [.file("d/old")]) { u throws in
      #expect(try (u / "d").attributes() == ["trusted.k", "user.k"])
      for name in all {
        #expect(throws: Errno.noAttribute) { try (u / "d").attribute(name) }
        #expect(throws: Errno.notPermitted) { try (u / "d").removeAttribute(name) }
        #expect(throws: Errno.notPermitted) { try (u / "f").setAttribute(name, "y") }
        #expect(throws: Errno.notPermitted) { try (u / "f").setAttribute(name, "y", flags: 2) }
      }
      #expect(try (u.top / "f").attributes() == [])
      let seen = try Identity(uid: 5, gid: 5).run { try (u / "d").attributes() }
      #expect(seen == ["user.k"])
    }
  }

  @Test func aCopyOfAnOpaqueDirectoryIsNotOpaque() throws {
    try withUnion(
      lower: [.marked("d").attribute("user.k", "v"), .file("d/b", "1")], [.file("d/c", "2")]
    ) { u throws in
      try (u / "d/new").write("n")
      try u.expect(view: ["d/", "d/b=1", "d/new=n"], top: ["d/", "d/new=n"])
      #expect(try (u.top / "d").attributes() == ["user.k"])
      try u.remount()
      try u.expect(view: ["d/", "d/b=1", "d/new=n"])
    }
  }

  private static let makers: [(String, @Sendable (Union, Path) throws -> Void)] = [
    ("=new", { try ($0 / $1).write("new") }), ("/", { try ($0 / $1).mkdir() }),
    ("->t", { try ($0 / $1).symlink(to: "t") }), ("|fifo", { try ($0 / $1).mknod(.fifo) }),
    ("=moved", { try ($0 / "moved").rename(to: $0 / $1) }),
    ("=moved", { try ($0 / "moved").link(to: $0 / $1) }),
    ("/", { try ($0 / "folder").rename(to: $0 / $1) }),
    ("/", { try ($0 / "low").rename(to: $0 / $1) }),
  ]

  /// In the aufs format nothing of overlayfs's is left where the name is used again.
  @Test(arguments: makers.indices)
  func whatIsMadeTakesADevicesPlace(_ index: Int) throws {
    let (line, make) = Self.makers[index]
    for lower: Item in [.file("x", "old"), .file("x/y", "old"), .symlink("x", to: "old")] {
      for isListed in [false, true] {
        try withUnion(
          top: [.device("x"), .file("moved", "moved"), .directory("folder"), .device("needless")],
          lower: [lower, .directory("low")], checks: [.lowerUnchanged, .model, .remount]
        ) { u throws in
          if isListed { _ = try u.mnt.names() }
          try make(u, "x")
          let shown = try u.view().filter { $0.hasPrefix("x") }
          #expect(shown == ["x" + line])
          #expect(try !(u.top / "x").stat().isOverlayWhiteout)
          try u.remount()
          #expect(try u.view().filter { $0.hasPrefix("x") } == ["x" + line])
          try shell("rm", "-r", "\(u / "x")")
          #expect(throws: Errno.missing) { try (u / "x").stat() }
          try make2(u / "needless")
          #expect(try (u.top / "needless").stat().kind == .file)
          #expect(try (u.top.names().filter { $0.contains("unionfs.t") }) == [])
        }
      }
    }
  }

  private func make2(_ path: Path) throws { try path.write("again") }

  @Test func whatIsMadeOverADeviceHasItsDirectorysRules() throws {
    try withUnion(
      top: [.directory("d", mode: 0o2775).owned(0, 77), .device("d/f"), .device("d/k")],
      lower: [.file("d/f"), .file("d/k/old")]
    ) { u throws in
      let account = Identity(uid: 5, gid: 6, groups: [77], umask: 0o027)
      try account.run {
        try (u / "d/f").write("new", mode: 0o666)
        try (u / "d/k").mkdir(0o777)
      }
      let file = try (u / "d/f").stat()
      #expect(file.uid == 5 && file.gid == 77 && file.mode == 0o640)
      let folder = try (u / "d/k").stat()
      #expect(folder.uid == 5 && folder.gid == 77 && folder.mode == 0o2750)
      try u.expect(view: ["d/", "d/f=new", "d/k/"])
    }
  }

  @Test func aDirectoryWithDevicesIsRemovedAndReplaced() throws {
    try withUnion(
      top: [.device("d/f"), .marked("e"), .device("e/g"), .device("t/x"), .file("s/y", "Y")],
      lower: [.file("d/f"), .file("e/h"), .file("t/x")]
    ) { u throws in
      try (u / "d").rmdir()
      try (u / "e").rmdir()
      try (u / "s").rename(to: u / "t")
      try u.expect(view: ["t/", "t/y=Y"])
    }
  }

  @Test func aMovedDirectoryLeavesItsMarksBehind() throws {
    try withUnion(
      top: [.marked("d"), .file("d/a", "A"), .device("m/gone")],
      lower: [.file("d/old"), .file("m/gone"), .file("m/stays", "S")]
    ) { u throws in
      try (u / "d").rename(to: u / "new")
      try (u / "m").rename(to: u / "n")
      try u.expect(
        view: ["n/", "n/stays=S", "new/", "new/a=A"],
        top: [".wh.d", ".wh.m", "n/", "n/stays=S", "new/", "new/a=A"])
      #expect(try (u.top / "new").attributes() == [])
    }
  }

  @Test func nobodyMakesADevice0_0() throws {
    try withUnion(top: [.device("w")], lower: [.file("w"), .directory("d")]) { u throws in
      for name: Path in ["n", "w", "d/n"] {
        #expect(throws: Errno.notPermitted) { try (u / name).mknod(.character) }
      }
      try (u / "b").mknod(.block)
      try u.expect(view: ["b|block 0:0", "d/"])
    }
  }

  @Test func emptyFilesAreWhiteoutsWhereTheRootAndTheirDirectorySaySo() throws {
    let key = "trusted.overlay.opaque"
    func lower(root: Bool) -> [Item] {
      [
        .directory("d").attribute(key, "x"),
        .file("d/gone").attribute("trusted.overlay.whiteout", ""),
        .file("d/empty"), .file("d/full", "F").attribute("trusted.overlay.whiteout", ""),
        .file("e/gone").attribute("trusted.overlay.whiteout", ""),
      ]
    }
    let base: [Item] = [.file("d/gone", "G"), .file("d/below", "B"), .file("e/gone", "G")]
    try withUnion([.rw(), .lower(lower(root: true)), .lower(base)], mounted: false, checks: []) {
      u throws in
      try u.mount()
      try u.expect(
        view: ["d/", "d/below=B", "d/empty=", "d/full=F", "d/gone=", "e/", "e/gone="])
      try u.unmount()
      try u.lower.setAttribute(key, "x")
      try u.mount()
      #expect(throws: Errno.missing) { try (u / "d/gone").stat() }
      try u.expect(view: ["d/", "d/below=B", "d/empty=", "d/full=F", "e/", "e/gone="])
      try (u / "d/gone").write("new")
      try (u / "d/below").unlink()
      try u.expect(
        view: ["d/", "d/empty=", "d/full=F", "d/gone=new", "e/", "e/gone="],
        top: ["d/", "d/gone=new", "d/.wh.below"])
    }
  }

  @Test func whatOnlyOverlayfsCanShowIsAnErrorNotSomethingElse() throws {
    let sparse = Item.sparse("m", size: 1 << 20)
    try withUnion(
      lower: [
        Item.directory("r").attribute("trusted.overlay.redirect", "other"), .file("r/f", "1"),
        sparse.attribute("trusted.overlay.metacopy", ""), .sparse("s", size: 1 << 20),
      ], [.file("r/g", "2"), .file("m", "data")], checks: [.lowerUnchanged]
    ) { u throws in
      #expect(throws: Errno(EIO)) { try (u / "r/f").stat() }
      #expect(throws: Errno(EIO)) { try (u / "r").names() }
      #expect(throws: Errno(EIO)) { try (u / "m").stat() }
      #expect(throws: Errno(EIO)) { try (u / "m").open(O_RDONLY) }
      #expect(try (u / "s").stat().size == 1 << 20)
      #expect(try u.mnt.names() == ["m", "r", "s"])
    }
  }

  @Test func whichTellsOfBothForms() throws {
    try withUnion(
      top: [.marked("d"), .file("d/f")], lower: [.device("a"), .file("d/f")],
      [.file("a"), .file("d/g")]
    ) { u throws in
      let gone = try shell(Server.binary, "which", "\(u / "a")")
      #expect(
        gone == """
          \(u / "a")
            whiteout ro+wh    \(u.branches[1])/a
            hidden   ro+wh    \(u.branches[2])/a  (by the whiteout above)

          """)
      let covered = try run([Server.binary, "which", "\(u / "d/g")"]).output
      #expect(
        covered == """
          \(u / "d/g")
            opaque   rw       \(u.top)/d
            hidden   ro+wh    \(u.branches[2])/d/g  (by the opaque directory above)

          """)
    }
  }
}
