import Glibc
import TestSupport
import Testing

/// Branches on file systems that lack something.
@Suite(.mounts, .rulesOfAufs) struct FileSystems {
  @Test(.formatOfAufs) func aBranchThatKnowsNoACLsIsReadAndChanged() throws {
    for branches in [
      [.rw(), .lower([.file("d/f", "F").owned(7, 8)]).onRamfs()],
      [.rw([.file("d/f", "F").owned(7, 8)]).onRamfs(), .lower()],
    ] as [[Branch]] {
      try withUnion(branches) { u throws in
        #expect(try (u / "d/f").text() == "F")
        #expect(try (u / "d/f").attributes() == [])
        #expect(throws: Errno.noAttribute) {
          _ = try (u / "d/f").attribute("system.posix_acl_access")
        }
        try Identity(uid: 7, gid: 8).run {
          #expect(try (u / "d").names() == ["f"])
          try (u / "d/f").append("+")
        }
        #expect(try (u / "d/f").text() == "F+")
      }
    }
  }

  @Test func aFileSystemInsideTheTopBranchIsChangedToo() throws {
    let long = Path(String(repeating: "n", count: 255))
    let lower: [Item] = [
      .file("t/f", "F"), .file("t/d/g", "G"), .symlink("t/l", to: "f"), .file("t/e/h", "H"),
      .file("t/cut", "long"), .file(Path("t") / long, "L"), .special("t/p", .fifo),
    ]
    try withUnion([.rw(), .lower(lower)], mounted: false, checks: [.lowerUnchanged]) { u throws in
      try (u.top / "t").mkdir()
      try (u.top / "t").mount(source: "tmpfs", type: "tmpfs", data: "mode=0755")
      defer { try? (u.top / "t").umount(lazily: true) }
      try u.mount()
      try (u / "t/f").append("+")
      try (u / "t/cut").truncate(2)
      try (u / "t/l").chown(3, 4)
      try (u / "t/p").chmod(0o600)
      try (u / "t/d/g").chmod(0o600)
      try (u / "t/d").rename(to: u / "t/moved")
      try (u / "t/e/h").unlink()
      try (u / "t/e").rmdir()
      try (u / "t" / long).unlink()
      #expect(try (u / "t/f").text() == "F+")
      #expect(try (u / "t/cut").text() == "lo")
      #expect(try (u / "t/moved/g").text() == "G")
      #expect(try (u / "t/l").stat().uid == 3)
      #expect(try (u / "t").names().sorted() == ["cut", "f", "l", "moved", "p"])
      try u.unmount()
      try u.mount()
      #expect(try (u / "t").names().sorted() == ["cut", "f", "l", "moved", "p"])
      #expect(try (u / "t/f").text() == "F+")
      try u.unmount()
    }
  }

  @Test func aLowerFileGetsItsFirstAttributeWhereTheTopKnowsThem() throws {
    try withUnion([.rw(), .lower([.file("f", "F")]).onRamfs()]) { u throws in
      #expect(throws: Errno.noAttribute) { _ = try (u / "f").attribute("user.k") }
      #expect(throws: Errno.noAttribute) { try (u / "f").removeAttribute("user.k") }
      try (u / "f").setAttribute("user.k", "v", flags: attributeCreate)
      #expect(try (u / "f").attribute("user.k") == Array("v".utf8))
    }
  }

  /// erofs tells statx(2) that all of its files are immutable.
  @Test(.enabled(if: has(program: "mkfs.erofs"), "needs mkfs.erofs of Debian's erofs-utils"))
  func filesOfAReadOnlyImageCanBeChanged() throws {
    try withUnion([.rw(), .lower()], mounted: false, checks: []) { u throws in
      let image = u.folder / "image"
      let source = u.folder / "source"
      try source.mkdir()
      try (source / "d").mkdir()
      try (source / "d/f").write("F")
      try shell("mkfs.erofs", "--quiet", "\(image)", "\(source)")
      try shell("mount", "-t", "erofs", "-o", "loop,ro", "\(image)", "\(u.lower)")
      defer { try? u.lower.umount(lazily: true) }
      try u.mount()
      try (u / "d/f").append("+")
      try (u / "d/new").write("n")
      try (u / "d").rename(to: u / "e")
      try u.expect(view: ["e/", "e/f=F+", "e/new=n"], top: [".wh.d", "e/", "e/f=F+", "e/new=n"])
    }
  }
}
