import Glibc
import TestSupport
import Testing

private let accessList = "system.posix_acl_access"
private let defaultList = "system.posix_acl_default"

/// The mount option `noacl`, on branches that have ACLs.
@Suite(.mounts, .rulesOfAufs) struct NoACL {
  private static let list = ACL.bytes([.user(5001, 7)], owner: 7, group: 0, other: 0)

  @Test func modesAloneDecide() throws {
    let narrow = ACL.bytes([.user(5001, 0)], owner: 6, group: 4, other: 4)
    try withUnion(
      lower: [
        .file("granted", "G", mode: 0o600).attribute(accessList, Self.list),
        .file("refused", "R", mode: 0o644).attribute(accessList, narrow),
      ], options: ["noacl"], checks: [.lowerUnchanged, .remount, .whiteouts]
    ) { u throws in
      try Identity(uid: 5001, gid: 1).run {
        let granted = u / "granted"
        #expect(throws: Errno.denied) { try granted.text() }
        let text = try (u / "refused").text()
        #expect(text == "R")
      }
      // With ACLs it is the other way round.
      u.options = ["noacl,acl"]
      try u.remount()
      try Identity(uid: 5001, gid: 1).run {
        let refused = u / "refused"
        #expect(throws: Errno.denied) { try refused.text() }
        let text = try (u / "granted").text()
        #expect(text == "G")
      }
    }
  }

  @Test func listsAreNeitherSeenNorSetAndTheBranchesKeepTheirs() throws {
    let item = Item.file("f", "F", mode: 0o600).attribute(accessList, Self.list)
      .attribute("user.k", "v")
    try withUnion(
      lower: [item, .directory("d").attribute(defaultList, Self.list)], options: ["noacl"],
      checks: [.lowerUnchanged, .remount, .whiteouts]
    ) { u throws in
      for (name, key): (Path, String) in [("f", accessList), ("d", accessList), ("d", defaultList)]
      {
        #expect(throws: Errno.notSupported) { try (u / name).attribute(key) }
        #expect(throws: Errno.notSupported) { try (u / name).setAttribute(key, Self.list) }
        #expect(throws: Errno.notSupported) { try (u / name).removeAttribute(key) }
      }
      #expect(try (u / "f").attributes() == ["user.k"])
      try u.expect(top: [])
      try (u / "f").append("+")
      #expect(try (u / "f").attributes() == ["user.k"])
      #expect(try (u.top / "f").attribute(accessList) == Self.list)
    }
  }

  @Test(arguments: [false, true])
  func nothingIsInheritedAndTheUmaskCounts(isLower: Bool) throws {
    let folder = Item.directory("d", mode: 0o2775).owned(0, 77).attribute(defaultList, Self.list)
    try withUnion(
      top: isLower ? [] : [folder], lower: isLower ? [folder] : [.file("low")],
      options: ["noacl"], checks: [.lowerUnchanged, .remount, .whiteouts]
    ) { u throws in
      try Identity.root(umask: 0o027).run {
        try (u / "d/f").write("x", mode: 0o666)
        try (u / "d/s").mkdir(0o777)
        try (u / "d/p").mknod(.fifo, mode: 0o666)
        try (u / "d/l").symlink(to: "f")
        let mode = try u.open("d", openTemporary | O_RDWR, 0o666).stat().mode
        #expect(mode == 0o640)
      }
      for (name, mode): (Path, UInt32) in [("d/f", 0o640), ("d/s", 0o2750), ("d/p", 0o640)] {
        #expect(try (u / name).stat().mode == mode, "\(name)")
        #expect(try (u / name).stat().gid == 77, "\(name)")
        #expect(try (u.top / name).stat().mode == mode, "\(name)")
        #expect(try (u.top / name).attributes() == [], "\(name)")
      }
      #expect(try (u.top / "d").attribute(defaultList) == Self.list)
    }
  }

  // ramfs knows no attributes, which overlayfs's whiteouts need.
  @Test(.formatOfAufs) func aBranchThatKnowsNoACLsIsWrittenToo() throws {
    try withUnion(
      [Branch.rw().onRamfs(), .lower([.file("f", "F")])], options: ["noacl"],
      checks: [.lowerUnchanged]
    ) { u throws in
      try (u / "new").write("n", mode: 0o640)
      try (u / "made").mkdir(0o700)
      try (u / "f").append("+")
      try u.expect(view: ["f=F+", "made/", "new=n"])
      #expect(try (u / "new").stat().mode == 0o640)
      #expect(throws: Errno.notSupported) { try (u / "f").attribute(accessList) }
    }
  }
}

/// The mount option `static_nlink`.
@Suite(.mounts, .rulesOfAufs) struct StaticLinkCount {
  @Test func everyDirectoryHasOneLinkAndFilesTheirOwn() throws {
    for (options, links): ([String], UInt64) in [(["static_nlink"], 1), ([], 4)] {
      try withUnion(
        lower: [
          .directory("d/a"), .directory("d/b"), .file("f"), .hardLink("g", of: "f"),
        ], options: options
      ) { u throws in
        // Looked up, listed, and asked again.
        #expect(try (u / "d").stat().links == links)
        #expect(try u.viewNodes().first { $0.path == "d" }?.status.links == links)
        try (u / "d").chmod(0o700)
        #expect(try (u / "d").stat().links == (options.isEmpty ? 1 : links), "merged")
        try (u / "made/x").parent.mkdir()
        try (u / "made/x").mkdir()
        #expect(try (u / "made").stat().links == (options.isEmpty ? 3 : 1))
        #expect(try (u / "f").stat().links == 2)
      }
    }
  }
}
