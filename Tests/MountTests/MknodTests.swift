import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Mknod {
  @Test(arguments: [
    (Kind.fifo, UInt32(0), UInt32(0), "n|fifo"), (.socket, 0, 0, "n|socket"),
    (.character, 1, 3, "n|character 1:3"), (.block, 7, 255, "n|block 7:255"),
    (.file, 0, 0, "n="),
  ])
  func everyTypeIsMadeOnTop(kind: Kind, major: UInt32, minor: UInt32, line: String) throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      try (u / "n").mknod(kind, mode: 0o640, major: major, minor: minor)
      try u.expect(view: ["d/", line], top: [line])
      #expect(try (u / "n").stat().mode == 0o640)
      #expect(throws: Errno.exists) { try (u / "n").mknod(kind) }
    }
  }

  @Test func aNodeOverAWhiteoutTakesItAway() throws {
    try withUnion(top: [.whiteout("n")], lower: [.file("n")]) { u throws in
      try (u / "n").mknod(.fifo)
      try u.expect(view: ["n|fifo"], top: ["n|fifo"])
    }
  }

  @Test func aLowerFifoAndDeviceComeUpAsTheyAre() throws {
    try withUnion(lower: [
      .special("p", .fifo, mode: 0o600), .special("c", .character, mode: 0o600, major: 1, minor: 5),
      .special("s", .socket, mode: 0o600),
    ]) { u throws in
      for name: Path in ["p", "c", "s"] {
        let before = try (u / name).stat()
        try (u / name).chmod(0o644)
        let after = try (u / name).stat()
        #expect(after.mode == 0o644 && after.modified == builtTime, "\(name)")
        #expect(after.inode == before.inode, "\(name)")
      }
      let lines = ["p|fifo", "c|character 1:5", "s|socket"]
      try u.expect(view: lines, top: lines)
      #expect(try u.open("c", O_RDONLY).read(3) == [0, 0, 0])
    }
  }

  @Test func aLowerFifoCarriesData() throws {
    try withUnion(lower: [.special("p", .fifo)]) { u throws in
      let both = try u.open("p", O_RDWR | O_NONBLOCK)
      try both.write("through")
      let reader = try u.open("p", O_RDONLY | O_NONBLOCK)
      #expect(try reader.read(20) == Array("through".utf8))
      try u.expect(top: [])
    }
  }

  @Test func aSocketCanBeBound() throws {
    try withUnion(lower: [.directory("d")]) { u throws in
      try (u / "d/s").bindSocket()
      try u.expect(view: ["d/", "d/s|socket"], top: ["d/", "d/s|socket"])
    }
  }

  @Test func onlyRootMakesDevices() throws {
    try withUnion(lower: [.directory("d", mode: 0o777)]) { u throws in
      try Identity(uid: 5001, gid: 5001).run {
        #expect(throws: Errno.notPermitted) {
          try (u / "d/c").mknod(.character, major: 1, minor: 3)
        }
        try (u / "d/p").mknod(.fifo)
      }
      try u.expect(view: ["d/", "d/p|fifo"])
    }
  }
}
