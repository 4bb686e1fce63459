import Glibc
import TestSupport
import Testing

private let accessList = "system.posix_acl_access"
private let defaultList = "system.posix_acl_default"

@Suite(.mounts) struct ACLs {
  @Test func aListGrantsAndRefusesWhatTheModeWouldNot() throws {
    let list = ACL.bytes([.user(5001, 6), .group(6000, 4)], owner: 7, group: 0, other: 0)
    try withUnion(lower: [.file("f", "text", mode: 0o700).attribute(accessList, list)]) {
      u throws in
      #expect(try (u / "f").attribute(accessList) == list)
      try Identity(uid: 5001, gid: 1).run {
        let text = try (u / "f").text()
        #expect(text == "text")
        try (u / "f").access(W_OK)
      }
      try Identity(uid: 5002, gid: 1, groups: [6000]).run {
        let text = try (u / "f").text()
        #expect(text == "text")
        #expect(throws: Errno.denied) { try (u / "f").append("x") }
      }
      try Identity(uid: 5003, gid: 1).run {
        let path = u / "f"
        #expect(throws: Errno.denied) { try path.text() }
      }
      try u.expect(top: [])
    }
  }

  @Test func aListSetOnALowerFileHoldsOnTop() throws {
    let list = ACL.bytes([.user(5001, 4)], owner: 6, group: 0, other: 0)
    try withUnion(lower: [.file("f", "text", mode: 0o600)]) { u throws in
      try (u / "f").setAttribute(accessList, list)
      #expect(try (u / "f").attribute(accessList) == list)
      #expect(try (u / "f").stat().mode == 0o640, "the group bits show the mask")
      #expect(try !Backend.isOurs || (u.top / "f").attribute(accessList) == list)
      try Identity(uid: 5001, gid: 1).run {
        let text = try (u / "f").text()
        #expect(text == "text")
      }
      try (u / "f").removeAttribute(accessList)
      #expect(throws: Errno.noAttribute) { try (u / "f").attribute(accessList) }
    }
  }

  @Test func chmodChangesTheMaskOfTheList() throws {
    let list = ACL.bytes([.user(5001, 6)], owner: 7, group: 5, other: 1)
    let narrow = ACL.bytes([.user(5001, 6)], owner: 7, group: 5, other: 0, mask: 0)
    try withUnion(lower: [.file("f", mode: 0o771).attribute(accessList, list)]) { u throws in
      try (u / "f").chmod(0o700)
      #expect(try (u / "f").attribute(accessList) == narrow)
      #expect(try (u / "f").stat().mode == 0o700)
      try Identity(uid: 5001, gid: 1).run {
        let path = u / "f"
        #expect(throws: Errno.denied) { try path.text() }
      }
    }
  }

  @Test func aDefaultListIsInheritedAndTheUmaskPassedOver() throws {
    let list = ACL.bytes([.user(5001, 7)], owner: 7, group: 5, other: 1)
    try withUnion(lower: [.directory("d").attribute(defaultList, list)]) { u throws in
      try Identity.root(umask: 0o077).run {
        try (u / "d/f").write("x", mode: 0o666)
        try (u / "d/s").mkdir(0o777)
        try (u / "d/p").mknod(.fifo, mode: 0o666)
        try (u / "plain").write("x", mode: 0o666)
      }
      let inherited = ACL.bytes([.user(5001, 7)], owner: 6, group: 5, other: 0, mask: 6)
      #expect(try (u / "d/f").attribute(accessList) == inherited)
      #expect(try (u / "d/f").stat().mode == 0o660)
      #expect(try (u / "d/p").attribute(accessList) == inherited)
      #expect(try (u / "d/s").attribute(defaultList) == list)
      #expect(try (u / "d/s").attribute(accessList) == list)
      #expect(try (u / "d/s").stat().mode == 0o771)
      #expect(try (u / "plain").stat().mode == 0o600)
      #expect(try (u / "d").attribute(defaultList) == list)
    }
  }

  @Test func aSetDefaultListGovernsTheNextChildren() throws {
    let list = ACL.bytes([.group(6000, 6)], owner: 7, group: 5, other: 0)
    try withUnion(lower: [.directory("d/old")]) { u throws in
      try (u / "d").setAttribute(defaultList, list)
      try (u / "d/new").mkdir()
      #expect(try (u / "d/new").attribute(defaultList) == list)
      #expect(throws: Errno.noAttribute) { try (u / "d/old").attribute(defaultList) }
      try (u / "d").removeAttribute(defaultList)
      try (u / "d/later").mkdir()
      #expect(throws: Errno.noAttribute) { try (u / "d/later").attribute(defaultList) }
      #expect(throws: (any Error).self) {
        try (u / "d/new").parent.appendingFile().setAttribute(defaultList, list)
      }
    }
  }

  @Test func onlyTheOwnerSetsAList() throws {
    let list = ACL.bytes([.user(5001, 7)], owner: 7, group: 7, other: 7)
    try withUnion(lower: [.file("f", mode: 0o666), .file("own", mode: 0o600).owned(5001, 5001)]) {
      u throws in
      try Identity(uid: 5001, gid: 5001).run {
        #expect(throws: Errno.notPermitted) { try (u / "f").setAttribute(accessList, list) }
        try (u / "own").setAttribute(accessList, list)
      }
      #expect(try (u / "own").attribute(accessList) == list)
      #expect(try !(u / "f").attributes().contains(accessList))
    }
  }
}

extension Path {
  /// A regular file in this directory, made for the purpose.
  fileprivate func appendingFile() throws -> Path {
    let file = self / "a file"
    try file.write("")
    return file
  }
}
