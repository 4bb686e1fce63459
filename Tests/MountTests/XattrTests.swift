import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Xattrs {
  @Test func aNewAttributeOfALowerFileIsSetOnTop() throws {
    try withUnion(lower: [.file("f", "text").attribute("user.old", "1")]) { u throws in
      try (u / "f").setAttribute("user.new", "2")
      #expect(try (u / "f").attributes() == ["user.new", "user.old"])
      #expect(try (u / "f").attribute("user.new") == Array("2".utf8))
      try u.expect(view: ["f=text"], top: ["f=text"])
      #expect(try !Backend.isOurs || (u.top / "f").attributes() == ["user.new", "user.old"])
      #expect(try (u / "f").stat().modified == builtTime)
    }
  }

  @Test func anAttributeOfALowerFileIsReplacedAndRemovedOnTop() throws {
    let item = Item.file("f", "text").attribute("user.a", "1").attribute("user.b", "2")
    try withUnion(lower: [item]) { u throws in
      try (u / "f").setAttribute("user.a", "longer", flags: attributeReplace)
      try (u / "f").removeAttribute("user.b")
      #expect(try (u / "f").attributes() == ["user.a"])
      #expect(try (u / "f").attribute("user.a") == Array("longer".utf8))
      #expect(throws: Errno.noAttribute) { try (u / "f").attribute("user.b") }
      #expect(throws: Errno.noAttribute) { try (u / "f").removeAttribute("user.b") }
    }
  }

  @Test func creationAndReplacementAreExclusive() throws {
    try withUnion(top: [.file("t")], lower: [.file("f").attribute("user.a", "1")]) { u throws in
      #expect(throws: Errno.exists) {
        try (u / "f").setAttribute("user.a", "2", flags: attributeCreate)
      }
      for name: Path in ["f", "t"] {
        #expect(throws: Errno.noAttribute) {
          try (u / name).setAttribute("user.b", "2", flags: attributeReplace)
        }
      }
      #expect(throws: Errno.noAttribute) { try (u / "f").attribute("user.none") }
      try u.expect(view: ["f=", "t="], top: ["t="])
    }
  }

  @Test func directoriesCarryAttributesToo() throws {
    try withUnion(lower: [.directory("d").attribute("user.a", "1"), .file("d/f", "F")]) {
      u throws in
      try (u / "d").setAttribute("user.b", "2")
      #expect(try (u / "d").attributes() == ["user.a", "user.b"])
      try u.expect(view: ["d/", "d/f=F"], top: ["d/"])
      #expect(try (u / "d").stat().modified == builtTime)
    }
  }

  @Test func anACLThatIsNotThereCanBeRemoved() throws {
    try withUnion(top: [.file("t")], lower: [.file("f"), .directory("d")]) { u throws in
      for name: Path in ["f", "t"] {
        try (u / name).removeAttribute("system.posix_acl_access")
      }
      try (u / "d").removeAttribute("system.posix_acl_default")
      try u.expect(view: ["d/", "f=", "t="], top: ["t="])
    }
  }

  /// The kernel shows such a value to nobody; the rest of the file comes up without it.
  @Test func aCapabilityThatIsNoneKeepsNoFileFromChanging() throws {
    try withUnion([.rw(), .lower([.file("f", "text")])], mounted: false, checks: []) { u throws in
      try (u.lower / "f").setAttribute("security.capability", [UInt8]())
      try u.mount()
      try (u / "f").chmod(0o600)
      #expect(try (u / "f").text() == "text")
      #expect(try (u.top / "f").stat().mode & 0o777 == 0o600)
    }
  }

  @Test func anyBytesAreAValue() throws {
    let values: [[UInt8]] = [[], [0], Array(0...255), pattern(2000)]
    try withUnion(lower: [.file("f")]) { u throws in
      for (index, value) in values.enumerated() {
        try (u / "f").setAttribute("user.v\(index)", value)
        #expect(try (u / "f").attribute("user.v\(index)") == value)
        try (u / "f").removeAttribute("user.v\(index)")
      }
      #expect(try (u / "f").attributes() == [])
    }
  }

  @Test func namesAndValuesBeyondTheLimitsAreRefused() throws {
    try withUnion(lower: [.file("f")]) { u throws in
      let long = "user." + String(repeating: "n", count: 251)
      #expect(throws: Errno.tooSmall) { try (u / "f").setAttribute(long, "v") }
      #expect(throws: Errno(E2BIG)) {
        try (u / "f").setAttribute("user.v", [UInt8](repeating: 1, count: 65537))
      }
      #expect(throws: Errno.notSupported) { try (u / "f").setAttribute("nowhere.v", "v") }
      try (u / "f").setAttribute(String(long.dropLast()), "v")
      #expect(try (u / "f").attributes() == [String(long.dropLast())])
    }
  }

  @Test func rootMaySetTrustedAndSecurityAttributes() throws {
    let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)
    try withUnion(lower: [.file("f", mode: 0o755)]) { u throws in
      try (u / "f").setAttribute("trusted.t", "v")
      try (u / "f").setAttribute("security.capability", capability)
      #expect(try (u / "f").attributes() == ["security.capability", "trusted.t"])
      #expect(try (u / "f").attribute("security.capability") == capability)
      try Identity(uid: 5001, gid: 5001).run {
        let names = try (u / "f").attributes()
        #expect(!names.contains("trusted.t"), "hidden from others")
        #expect(throws: Errno.notPermitted) { try (u / "f").setAttribute("trusted.u", "v") }
      }
    }
  }

  @Test func aWriteDropsTheFileCapability() throws {
    let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)
    let file = Item.file("l", "x", mode: 0o755).attribute("security.capability", capability)
    let top = Item.file("t", "x", mode: 0o755).attribute("security.capability", capability)
    try withUnion(top: [top], lower: [file]) { u throws in
      for name: Path in ["l", "t"] {
        #expect(try (u / name).attribute("security.capability") == capability)
        try (u / name).append("y")
        #expect(throws: Errno.noAttribute) { try (u / name).attribute("security.capability") }
      }
    }
  }

  @Test func symlinksAndDevicesTakeNoUserAttributes() throws {
    try withUnion(lower: [.symlink("l", to: "f"), .special("p", .fifo), .file("f")]) {
      u throws in
      #expect(throws: Errno.notPermitted) { try (u / "l").setAttribute("user.a", "v") }
      #expect(throws: Errno.notPermitted) { try (u / "p").setAttribute("user.a", "v") }
      try (u / "l").setAttribute("trusted.a", "v")
      #expect(try (u / "l").attribute("trusted.a") == Array("v".utf8))
      try u.expect(view: ["f=", "l->f", "p|fifo"], top: ["l->f"])
    }
  }

  @Test func anAttributeSetByDescriptorOfAnUnlinkedFileIsRead() throws {
    try withUnion(lower: [.file("f").attribute("user.a", "1")]) { u throws in
      let file = try u.open("f", O_RDWR)
      try (u / "f").unlink()
      #expect(try file.attribute("user.a") == Array("1".utf8))
    }
  }

  @Test(.rulesOfAufs)
  func virtualAttributesTellTheBranchAndAreNeverListed() throws {
    try withUnion(
      top: [.file("t", "0"), .file("both", "0"), .directory("d")],
      lower: [.file("l", "1"), .file("both", "1"), .file("d/x").attribute("user.a", "1")],
      [.file("d/y"), .file("both", "2")]
    ) { u throws in
      for (name, index) in [("t", 0), ("both", 0), ("l", 1), ("d/x", 1), ("d/y", 2), ("d", 0)] {
        let path = u / Path(name)
        let real = Array("\(u.branches[index])/\(name)".utf8)
        #expect(try path.attribute("user.unionfs.path") == real, "\(name)")
        #expect(
          try path.attribute("user.unionfs.branch") == u.branches[index].bytes, "\(name)")
        #expect(try !path.attributes().contains { $0.hasPrefix("user.unionfs") }, "\(name)")
      }
      let all = String(decoding: try (u / "d").attribute("user.unionfs.allpaths"), as: UTF8.self)
      let holders = all.split { $0 == "\0" || $0 == "\n" || $0 == ":" }.map(String.init)
      #expect(holders == u.branches.map { "\($0)/d" })
      try (u / "l").append("+")
      #expect(
        try (u / "l").attribute("user.unionfs.path") == Array("\(u.top)/l".utf8), "copied up")
    }
  }

  @Test(.rulesOfAufs)
  func virtualAttributesCannotBeSet() throws {
    try withUnion(lower: [.file("f")]) { u throws in
      for name in ["user.unionfs.branch", "user.unionfs.path", "user.unionfs.allpaths"] {
        #expect(throws: (any Error).self) { try (u / "f").setAttribute(name, "v") }
        #expect(throws: (any Error).self) { try (u / "f").removeAttribute(name) }
      }
      try u.expect(top: [])
    }
  }
}
