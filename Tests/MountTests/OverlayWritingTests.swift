import Glibc
import TestSupport
import Testing

/// `whiteout=overlay`: what the top branch holds is what kernel overlayfs reads.
@Suite(.mounts, .rulesOfAufs) struct OverlayWriting {
  private static let option = ["whiteout=overlay"]
  private static let long = String(repeating: "n", count: 255)

  private func withOverlayUnion(
    _ branches: [Branch], checks: Checks = .all, account: Account? = nil,
    _ body: (Union) throws -> Void
  ) throws {
    try withUnion(branches, options: Self.option, account: account, checks: checks, body: body)
  }

  private static let lower: [Item] = [
    .file("f", "F"), .file("g", "G"), .file("d/a", "A"), .file("d/sub/b", "B"), .file("e/c", "C"),
    .symlink("l", to: "f"), .directory("empty"), .file(Path(long), "long"),
    .file("a/b/c/deep", "D"), .file("hard", "H"), .hardLink("hard2", of: "hard"),
  ]

  @Test func whiteoutsAreDevicesAndLinksOfOne() throws {
    try withOverlayUnion([.rw(), .lower(Self.lower)]) { u throws in
      for name: Path in ["f", "l", Path(Self.long), "d/a"] { try (u / name).unlink() }
      try (u / "empty").rmdir()
      try (u / "g").append("+")
      try (u / "g").unlink()
      var inodes: Set<UInt64> = []
      for name: Path in ["f", "l", Path(Self.long), "d/a", "empty", "g"] {
        let status = try (u.top / name).stat()
        #expect(status.isOverlayWhiteout && status.mode == 0, "\(name)")
        inodes.insert(status.inode)
      }
      #expect(inodes.count == 1)
      #expect(try u.top.names().filter { $0.hasPrefix(".wh.") } == [".wh..wh.unionfs"])
    }
  }

  @Test func aDirectoryMadeAgainIsOpaqueByAnAttribute() throws {
    try withOverlayUnion([.rw(), .lower(Self.lower)]) { u throws in
      try shell("rm", "-r", "\(u / "d")")
      #expect(try (u.top / "d").stat().isOverlayWhiteout)
      try (u / "d").mkdir()
      try (u / "d/new").write("n")
      #expect(try (u / "d").names() == ["new"])
      #expect(try (u.top / "d").attributes() == ["trusted.overlay.opaque"])
      #expect(try (u.top / "d").names() == ["new"])
      try (u / "d/new").unlink()
      try (u / "d").rmdir()
      #expect(try (u.top / "d").stat().isOverlayWhiteout)
      try (u / "f").rename(to: u / "d")
      try (u / "e").rename(to: u / "f")
      try (u / "e").mkdir()
      #expect(
        try u.view().filter { !$0.hasPrefix("nnn") }.prefix(7).joined(separator: " ")
          == "a/ a/b/ a/b/c/ a/b/c/deep=D d=F e/ empty/")
    }
  }

  /// Every kind of change once, compared with a plain directory, then read by kernel overlayfs.
  @Test func kernelOverlayfsShowsWhatWasWritten() throws {
    try withOverlayUnion([.rw(), .lower(Self.lower), .lower([.file("d/z", "Z"), .file("low")])]) {
      u throws in
      let plain = u.folder / "plain"
      try plain.mkdir()
      for layer in u.branches.dropFirst().reversed() {
        try shell("cp", "-a", "\(layer)/.", "\(plain)")
      }
      for place in [u.mnt, plain] {
        try shell("sh", "-c", Self.changes, "sh", "\(place)", Self.long)
      }
      let expected = try tree(of: plain)
      #expect(try u.view() == expected)
      let details = try u.viewNodes().map(\.detail)
      try u.unmount()
      let shown = u.folder / "shown"
      try shown.mkdir()
      let layers = u.branches.map { "\($0)" }.joined(separator: ":")
      try shown.mount(source: "overlay", type: "overlay", data: "lowerdir=\(layers)")
      defer { try? shown.umount(lazily: true) }
      let nodes = try walk(shown, skip: [".wh..wh.unionfs", ".wh..wh.plnk"])
      #expect(nodes.map(\.line) == expected, "\(difference(expected, nodes.map(\.line)))")
      #expect(nodes.map(\.detail) == details, "\(difference(details, nodes.map(\.detail)))")
      try shown.umount()
      try u.mount()
    }
  }

  private static let changes = """
    set -e
    cd "$1"
    rm f "$2" d/z low
    rm -r e && mkdir e && echo new >e/new
    rm -r d/sub && echo file >d/sub
    mv g moved && mv d d2 && mkdir d && echo in >d/in
    mv a/b/c here
    ln hard2 third && rm hard && echo more >>hard2
    rmdir empty && ln -s moved empty
    mkdir gone && touch gone/x && rm -r gone
    mv moved l
    """

  @Test func aMoveOverAWhiteoutLeavesTheSourcesInTheSameStep() throws {
    try withOverlayUnion([
      .rw([.device("t"), .device("n")]),
      .lower([.file("t/old"), .file("s/x", "X"), .file("f", "F"), .file("n")]),
    ]) { u throws in
      try (u / "s").rename(to: u / "t")
      try (u / "f").rename(to: u / "n")
      try u.expect(
        view: ["n=F", "t/", "t/x=X"],
        top: [".wh.f", ".wh.s", "n=F", "t/", "t/.wh..wh..opq", "t/x=X"])
      #expect(try (u.top / "s").stat().isOverlayWhiteout && (u.top / "f").stat().isOverlayWhiteout)
    }
  }

  @Test func aDirectoryMovesOverAnEmptyMergedOne() throws {
    try withOverlayUnion([
      .rw([.device("t/x"), .file("s/y", "Y")]), .lower([.file("t/x"), .directory("s")]),
    ]) { u throws in
      try (u / "s").rename(to: u / "t")
      try u.expect(
        view: ["t/", "t/y=Y"], top: [".wh.s", "t/", "t/.wh..wh..opq", "t/y=Y"])
    }
  }

  @Test func bothFormatsOnTopAreUnderstoodAndOneIsWritten() throws {
    try withOverlayUnion(
      [
        .rw([.file(".wh.a", mode: 0o444), .device("b")]),
        .lower([.file("a"), .file("b"), .file("c")]),
      ],
      checks: [.lowerUnchanged, .model, .remount]
    ) { u throws in
      try (u / "a").write("new")
      try (u / "b").write("new")
      #expect(try u.top.names().filter { $0 != ".wh..wh.unionfs" } == ["a", "b"])
      for name: Path in ["a", "b", "c"] { try (u / name).unlink() }
      #expect(try ["a", "b", "c"].allSatisfy { try (u.top / Path($0)).stat().isOverlayWhiteout })
    }
  }

  @Test(
    .enabled(
      if: Account.unprivileged != nil, "needs the account unionfs-test, which scripts/test makes"),
    .enabled(if: has(program: "fusermount3"), "needs fusermount3 of Debian's package fuse3"))
  func aUserWritesWhatOverlayfsReadsWithUserxattr() throws {
    let account = try #require(Account.unprivileged)
    try withOverlayUnion([.rw(), .lower(Self.lower)], account: account) { u throws in
      try shell("rm", "-r", "\(u / "d")", "\(u / "f")")
      try (u / "d").mkdir()
      try (u / "d/new").write("n")
      #expect(try (u.top / "d").attributes() == ["user.overlay.opaque"])
      let expected = try u.view()
      let place = u.folder / "place"
      try place.mkdir()
      let layers = u.branches.map { "\($0)" }.joined(separator: ":")
      let script = """
        mount -t overlay overlay -o userxattr,lowerdir=\(layers) '\(place)' && cd '\(place)' &&
        find . -mindepth 1 ! -path './.wh..wh.unionfs*' | sort
        """
      let end = try run(["unshare", "-Urm", "sh", "-c", script])
      #expect(end.status == 0, "\(end.errors)")
      let names = expected.map { line in
        String(line.split(separator: "-").first?.split(separator: "=").first ?? "")
      }.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
      #expect(
        Set(end.output.split(separator: "\n").map { String($0.dropFirst(2)) }) == Set(names))
    }
  }

  @Test func whereItCannotBeWrittenTheMountIsRefused() throws {
    try withUnion(
      [Branch.rw().onRamfs(), .lower([.file("f")])], options: Self.option, mounted: false,
      checks: [.lowerUnchanged]
    ) { u throws in
      let end = try run(u.mountCommand())
      #expect(end.status == 1)
      #expect(end.errors.contains("mount with whiteout=aufs"), "\(end.errors)")
      #expect(!Server.isMounted(u.mnt))
    }
  }
}
