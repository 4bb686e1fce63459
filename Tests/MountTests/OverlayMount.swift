import Glibc
import TestSupport
import Testing

/// A mount by fuse-overlayfs's command line over one lower directory, in a folder of its own.
final class OverlayMount {
  let folder: Path
  var mnt: Path { folder / "mnt" }
  var upper: Path { folder / "upper" }

  /// Makes the directories, and mounts where there are options.
  init(_ options: String? = nil, lower items: [Item] = [], upper upperItems: [Item] = []) throws {
    folder = Path("/var/tmp/unionfs-swift-test.\(UInt32.random(in: 0 ... .max))")
    try folder.mkdir()
    for name: Path in ["lower", "upper", "work", "mnt"] { try (folder / name).mkdir() }
    try build(items, in: folder / "lower")
    try build(upperItems, in: folder / "upper")
    if let options { try mount(options) }
  }

  func mount(_ options: String, by program: [String] = [Server.binary, "overlay"]) throws {
    _ = Server.adoptsOrphans
    let directories = "lowerdir=\(folder / "lower"),upperdir=\(upper),workdir=\(folder / "work")"
    try run(program + ["-o", "\(directories),\(options)", mnt.string]).requireSuccess("mount")
  }

  func unmount() throws {
    let servers = Server.processes(serving: mnt)
    #expect(servers.count == 1)
    try run([Server.binary, "umount", mnt.string]).requireSuccess("umount")
    for server in servers { #expect(Server.waitForEnd(of: server) == 0) }
  }

  /// Mounts for what `body` does.
  func whileMounted(_ options: String, _ body: () throws -> Void) throws {
    try mount(options)
    try body()
    try unmount()
  }

  deinit {
    if Server.isMounted(mnt) { try? mnt.umount(lazily: true) }
    try? folder.removeTree()
  }

  /// Of a path below the folder.
  func owner(_ path: Path) throws -> [UInt32] {
    let status = try (folder / path).stat()
    return [status.uid, status.gid]
  }
}
