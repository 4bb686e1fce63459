import Glibc
import TestSupport
import Testing

/// A mount that has left its place in the tree while somebody is still in it.
@Suite(.mounts) struct DetachedMounts {
  @Test func aServerWhoseMountWasDetachedLeavesAloneWhatLiesThereNow() throws {
    try withUnion([.rw(), .lower([.file("f", "F")])], checks: []) { u throws in
      let server = try #require(u.server)
      let held = try (u / "f").open(O_RDONLY)
      try u.mnt.umount(lazily: true)
      try shell(Server.binary, "mount", "--branch", "\(u.lower)=ro+wh", "\(u.mnt)")
      Server.signal(server, SIGTERM)
      #expect(Server.waitForEnd(of: server) == 0)
      held.close()
      #expect(Server.isMounted(u.mnt))
      #expect(try (u / "f").text() == "F")
      try shell(Server.binary, "umount", "\(u.mnt)")
    }
  }
}
