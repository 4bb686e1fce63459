import TestSupport
import Testing

/// Containers and images of a layer store, mounted by name.
@Suite struct StoreMountTests {
  private func ours(_ root: Path, _ verb: String, _ arguments: String...) throws -> Finished {
    try run([Server.binary, verb, "--root", root.string] + arguments)
  }

  @Test func aContainerIsMountedByItsNameAndKeptWhileItIs() throws {
    let store = try ImageStore.sample()
    let id = try ours(store.root, "create", "--name", "web", "me/app:1").output.filter {
      $0 != "\n"
    }
    let mnt = store.root / Path("aufs/mnt/\(id)")
    let mounted = try ours(store.root, "mount", "--container", "web")
    #expect(mounted.status == 0, "\(mounted.errors)")
    #expect(mounted.output == "\(mnt)\n")
    #expect(
      try tree(of: mnt).filter { !$0.hasPrefix("dev") && !$0.hasPrefix("etc") } == [
        ".dockerenv=", "bin/", "proc/", "srv/", "srv/app=app", "sys/",
      ])
    #expect(try (mnt / "etc/hosts").text() == "")
    #expect(try (mnt / "etc/passwd").text() == "root")
    try (mnt / "new").write("mine")
    #expect(try ours(store.root, "ps", "-a", "--format", "{{.Mountpoint}}").output == "\(mnt)\n")
    let refused = try ours(store.root, "rm", "web")
    #expect(refused.status == 75)
    #expect(refused.errors.contains("is mounted at \(mnt)"))
    #expect(try ours(store.root, "umount", "--container", "web").status == 0)
    #expect(try (store.root / Path("aufs/diff/\(id)/new")).text() == "mine")
    #expect(try ours(store.root, "mount", "--container", "web").status == 0)
    #expect(try ours(store.root, "rm", "-f", "web").status == 0)
    #expect(!Server.isMounted(mnt))
    #expect(!mnt.exists)
    #expect(try ours(store.root, "check").output.isEmpty)
  }

  @Test func anImageIsMountedReadOnly() throws {
    let store = try ImageStore.sample()
    let mounted = try ours(store.root, "mount", "--image", "debian")
    #expect(mounted.status == 0, "\(mounted.errors)")
    let mnt = store.root / Path("aufs/mnt/\(ImageStore.id("b1"))")
    #expect(try tree(of: mnt) == ["bin/", "etc/", "etc/hosts=old", "etc/passwd=root"])
    #expect(throws: Errno.readOnly) { try (mnt / "new").write("") }
    try run([Server.binary, "umount", mnt.string]).requireSuccess("umount")
    #expect(try ours(store.root, "check").output.isEmpty)
  }

  @Test func aNewerDockersContainersAndImagesAreMounted() throws {
    let store = try DigestStore()
    let folder = store.root / "volumes"
    try ours(store.root, "mount", "--image", "me/app:2", folder.string).requireSuccess("mount")
    #expect(try tree(of: folder) == ["app=app", "etc/", "etc/os=bullseye"])
    try run([Server.binary, "umount", folder.string]).requireSuccess("umount")
    let mounted = try ours(store.root, "mount", "-o", "ro", "--container", "calm_curie")
    #expect(mounted.status == 0, "\(mounted.errors)")
    let mnt = store.root / Path("aufs/mnt/\(ImageStore.id("a1"))")
    #expect(
      try tree(of: mnt) == [".dockerenv=", "app=app", "etc/", "etc/os=bullseye", "note=mine"])
    try ours(store.root, "umount", "--container", "calm_curie").requireSuccess("umount")
  }
}
