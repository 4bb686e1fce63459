import Glibc
import TestSupport
import Testing

/// Layers that kernel overlayfs and fuse-overlayfs have written, shown by this program as by a plain
/// directory in which the same was done.
@Suite(.mounts, .rulesOfAufs) struct ForeignLayers {
  /// What lies below: two layers.
  private static let lower: [Item] = [
    .file("gone", "1"), .file("kept", "2"), .file("dir/a", "A"), .file("dir/b", "B"),
    .file("dir/sub/c", "C"), .file("whole/x", "X"), .file("whole/sub/y", "Y"),
    .file("again/old", "O"), .file("again/sub/older", "P"), .file("tofile/z", "Z"),
    .file("todir", "T"), .symlink("link", to: "kept"), .file("moved", "M"),
    .file("deep/er/est/f", "F"), .file("deep/er/g", "G"), .directory("empty"),
  ]
  private static let bottom: [Item] = [
    .file("dir/d", "D"), .file("dir/sub/e", "E"), .file("again/oldest", "Q"),
    .file("bottom", "bottom"), .file("bottomdir/f", "f"),
  ]

  /// Done in the directory that is the first argument.
  private static let changes = """
    set -e
    cd "$1"
    rm gone bottom link "$2"
    rm dir/b dir/d dir/sub/c
    rm -r whole bottomdir empty
    rm -r again && mkdir again && echo new >again/new
    rm -r tofile && echo file >tofile
    rm todir && mkdir todir && echo in >todir/in
    mv moved renamed
    rm -r deep/er && mkdir -p deep/er/est && echo h >deep/er/est/h
    mkdir made && echo m >made/m && rm -r made
    rm kept && ln -s renamed kept
    echo more >>dir/a
    """

  /// fuse-overlayfs cannot remove the longest ones.
  private let longest = String(repeating: "n", count: 255)
  private let shorter = String(repeating: "n", count: 240)

  private func expected(_ u: Union, _ name: String) throws -> [String] {
    let plain = u.folder / "plain"
    try plain.mkdir()
    for layer in u.branches.reversed() {
      try shell("cp", "-a", "\(layer)/.", "\(plain)")
    }
    try shell("sh", "-c", Self.changes, "sh", "\(plain)", name)
    return try tree(of: plain)
  }

  /// Makes directories for a foreign mount and has the layers of a union written by it: the union then
  /// has the written one on top.
  private func check(
    account: Account? = nil, name: String,
    write: (_ u: Union, _ upper: Path, _ work: Path, _ place: Path) throws -> Void
  ) throws {
    try withUnion(
      [.lower(Self.lower + [.file(Path(name), "long")]), .lower(Self.bottom)], account: account,
      asAccount: false,
      mounted: false, checks: [.lowerUnchanged]
    ) { u throws in
      let expected = try expected(u, name)
      let places: [Path] = ["upper", "work", "place"].map { u.folder / $0 }
      for place in places {
        try place.mkdir()
        if let account { try place.chown(account.uid, account.gid) }
      }
      try write(u, places[0], places[1], places[2])
      let mount = u.folder / "shown"
      try mount.mkdir()
      defer { try? mount.umount(lazily: true) }
      for permission in ["ro+wh", "rw"] {
        try shell(
          Server.binary, "mount", "--branch", "\(places[0])=\(permission)",
          "--branch", "\(u.branches[0])=ro+wh", "--branch", "\(u.branches[1])=ro+wh", "\(mount)")
        let shown = try tree(of: mount)
        #expect(shown == expected, "\(permission): \(difference(expected, shown))")
        // What was asked for name by name is the same as what was listed.
        for line in ["gone", "dir/b", "dir/sub/c", "whole", "again/old", "deep/er/g", name] {
          #expect(throws: Errno.missing) { try (mount / Path(line)).stat() }
        }
        if permission == "rw" { try changeAll(mount, expected, name) }
        try shell(Server.binary, "umount", "\(mount)")
      }
    }
  }

  /// Names that were gone are used again over the foreign whiteouts, and go again.
  private func changeAll(_ mount: Path, _ expected: [String], _ name: String) throws {
    let gone: [Path] = ["gone", "dir/b", "whole", "bottomdir", "empty", Path(name)]
    for path in gone.dropFirst() { try (mount / path).mkdir() }
    try (mount / "gone").write("again")
    let names = try Set(mount.names())
    #expect(names.isSuperset(of: ["gone", "whole", "bottomdir", "empty"]))
    for path in gone.dropFirst() { #expect(try (mount / path).names() == []) }
    for path in gone { try (mount / path).removeTree() }
    let shown = try tree(of: mount)
    #expect(shown == expected, "\(difference(expected, shown))")
  }

  private static func options(_ u: Union, _ upper: Path, _ work: Path) -> String {
    "lowerdir=\(u.branches[0]):\(u.branches[1]),upperdir=\(upper),workdir=\(work)"
  }

  @Test func aLayerOfKernelOverlayfsShowsAsThere() throws {
    try check(name: longest) { u, upper, work, place in
      try place.mount(
        source: "overlay", type: "overlay",
        data: Self.options(u, upper, work) + ",redirect_dir=off,metacopy=off")
      defer { try? place.umount(lazily: true) }
      try shell("sh", "-c", Self.changes, "sh", "\(place)", longest)
      try place.umount()
      // The test is worth something only where the marks are there.
      #expect(try (upper / "gone").stat().isOverlayWhiteout)
      #expect(try (upper / "again").attribute("trusted.overlay.opaque") == Array("y".utf8))
    }
  }

  @Test(
    .enabled(
      if: Account.unprivileged != nil, "needs the account unionfs-test, which scripts/test makes"))
  func aLayerOfKernelOverlayfsInAUserNamespaceShowsAsThere() throws {
    let account = try #require(Account.unprivileged)
    try check(account: account, name: longest) { u, upper, work, place in
      let script =
        "mount -t overlay overlay -o userxattr,\(Self.options(u, upper, work)) '\(place)' || exit 9\n"
        + Self.changes + "\ncd / && umount '\(place)'"
      let end = try run(
        u.asAccount(["unshare", "-Urm", "sh", "-c", script, "sh", "\(place)", longest]))
      #expect(end.status == 0, "\(end.errors)")
      #expect(try (upper / "gone").stat().isOverlayWhiteout)
      #expect(try (upper / "again").attribute("user.overlay.opaque") == Array("y".utf8))
    }
  }

  @Test(.enabled(if: has(program: "fuse-overlayfs"), "needs Debian's package fuse-overlayfs"))
  func aLayerOfFuseOverlayfsShowsAsThere() throws {
    try check(name: shorter) { u, upper, work, place in
      try shell("fuse-overlayfs", "-o", Self.options(u, upper, work), "\(place)")
      defer { try? place.umount(lazily: true) }
      try shell("sh", "-c", Self.changes, "sh", "\(place)", shorter)
      try place.umount()
      #expect(try (upper / "gone").stat().isOverlayWhiteout)
    }
  }

  @Test(
    .enabled(if: has(program: "fuse-overlayfs"), "needs Debian's package fuse-overlayfs"),
    .enabled(
      if: Account.unprivileged != nil, "needs the account unionfs-test, which scripts/test makes"))
  func aLayerOfAUsersFuseOverlayfsShowsAsThere() throws {
    let account = try #require(Account.unprivileged)
    try check(account: account, name: shorter) { u, upper, work, place in
      let script =
        "fuse-overlayfs -o \(Self.options(u, upper, work)) '\(place)' || exit 9\n"
        + Self.changes + "\ncd / && umount '\(place)'"
      let end = try run(
        u.asAccount(["unshare", "-Urm", "sh", "-c", script, "sh", "\(place)", shorter]))
      #expect(end.status == 0, "\(end.errors)")
    }
  }
}
