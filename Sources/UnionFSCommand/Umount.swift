internal import ArgumentParser
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift umount`: takes mounts of this program away and waits for their servers.
struct Umount: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "umount", abstract: "Unmount unions.",
    usage: """
      unionfs-swift umount [-l] <mnt> …
      unionfs-swift umount [-l] [--root <dir>] --container <name> …
      """,
    discussion: """
      Returns when the mount is gone and its server has ended. Other file systems are left alone.

      EXAMPLES
        unionfs-swift umount /mnt
        unionfs-swift umount -l /mnt     (in use, or its server has died)
        unionfs-swift umount --container web
      """)

  @Flag(name: .customShort("l"), help: "Detach a mount in use; it ends with its last user.")
  var lazy = false

  @OptionGroup var store: StoreOptions

  @Option(
    help: ArgumentHelp("A container of the layer store.", valueName: "name"),
    completion: Completion.containers)
  var container: [String] = []

  @Argument(help: ArgumentHelp("The mount point.", valueName: "mnt"), completion: .directory)
  var mountPoints: [CommandArgument] = []

  func run() throws {
    if mountPoints.isEmpty, container.isEmpty {
      throw Failure(
        .usage, "Missing expected argument '<mnt> ...'", advice: "see 'unionfs-swift umount --help'"
      )
    }
    var points = mountPoints.map(\.path)
    if !container.isEmpty {
      let (opened, catalog) = try store.catalog()
      for name in container {
        points.append(opened.layout.mountPoint(of: try catalog.container(name).layer))
      }
    }
    var first: Failure?
    for point in points {
      do throws(Failure) {
        try Self.unmount(point, lazy: lazy)
      } catch {
        Text.writeError(error.description)
        first = first ?? error
      }
    }
    if let first { throw SilentExit(status: first.code.rawValue) }
  }

  static func unmount(_ path: FilePath, lazy: Bool) throws(Failure) {
    let mount = try find(path)
    try checkOurs(mount)
    let servers = lazy ? [] : MountUsers.servers(ofConnection: mount.connection)
    let others = try mounts(like: mount).filter { $0 != mount.id }
    do throws(Errno) { try unmountPatiently(mount.mountPoint, lazy: lazy) } catch {
      throw failure(error, mount.mountPoint)
    }
    // Another mount of the same union keeps its server. A new mount may have the device's number by now,
    // and the table is no snapshot: only those that were there before count.
    if !others.isEmpty, try !others.isDisjoint(with: mounts(like: mount)) { return }
    for server in servers { _ = ProcessTable.waitForEnd(of: server, milliseconds: 10_000) }
  }

  /// The ids of a file system's mounts.
  private static func mounts(like mount: MountTable.Entry) throws(Failure) -> Set<String> {
    Set(try MountTable.current().entries.filter { $0.device == mount.device }.map(\.id))
  }

  /// Whoever looks through /proc, as this command does to name users, holds each mount that it meets
  /// for a moment: a mount in use is asked for again for a fifth of a second.
  private static func unmountPatiently(_ mountPoint: FilePath, lazy: Bool) throws(Errno) {
    for _ in 0..<10 {
      do throws(Errno) { return try unmountOnce(mountPoint, lazy: lazy) } catch {
        guard error == .resourceBusy else { throw error }
      }
      ProcessCall.pause(milliseconds: 20)
    }
    try unmountOnce(mountPoint, lazy: lazy)
  }

  private static func unmountOnce(_ mountPoint: FilePath, lazy: Bool) throws(Errno) {
    if Invocation.effectiveUser == 0 {
      try Mounts.unmount(mountPoint, lazy: lazy)
    } else {
      try askFusermount(mountPoint, lazy: lazy)
    }
  }

  /// The mount at a path. Resolves the directory that holds the mount point first and never asks the
  /// mount itself, whose server may hang or be dead.
  static func find(_ path: FilePath) throws(Failure) -> MountTable.Entry {
    let table = try MountTable.current()
    do throws(Errno) {
      if let name = path.lastComponent, name.kind == .regular {
        let directory = path.removingLastComponent()
        let real = try Invocation.realPath(directory.isEmpty ? "." : directory).appending(name)
        if let entry = table.topmost(at: real) { return entry }
      }
      let real = try Invocation.realPath(path)
      if let entry = table.topmost(at: real) { return entry }
    } catch {
      throw Disk.failure(error, "mount point \(path)")
    }
    throw Failure(.missingInput, "\(path) is not mounted", advice: "'findmnt' lists the mounts")
  }

  private static func checkOurs(_ entry: MountTable.Entry) throws(Failure) {
    if entry.isOurs { return }
    throw Failure(
      .usage, "\(entry.mountPoint) is a mount of type \(entry.type), not of unionfs-swift",
      advice: "umount(8) takes it away")
  }

  private static func failure(_ error: Errno, _ path: FilePath) -> Failure {
    switch error {
    case .resourceBusy:
      let holders = MountUsers.holders(of: path)
      let shown =
        holders.prefix(5).joined(separator: ", ") + (holders.count > 5 ? " and others" : "")
      return Failure(
        .busy, "\(path) is in use" + (holders.isEmpty ? "" : " by \(shown)"),
        advice: "end that use, or detach the mount with 'umount -l'")
    case .notPermitted, .permissionDenied:
      return Failure(
        .permission, "\(path) may not be unmounted by this user",
        advice: "ask the user who mounted it, or root")
    default: return Failure(.failed, "\(path) cannot be unmounted: \(error)")
    }
  }

  /// fusermount3(1) says why in words only, which its errno is guessed from.
  private static func askFusermount(_ path: FilePath, lazy: Bool) throws(Errno) {
    let pipe = try Daemon.pipe()
    let arguments: [FilePath] = ["fusermount3", "-u"] + (lazy ? ["-z"] : []) + ["--", path]
    let ending: Daemon.Ending
    do throws(Errno) {
      ending = try Daemon.run(arguments, errorOutput: pipe.writing)
      try? pipe.writing.close()
    } catch {
      try? pipe.writing.close()
      try? pipe.reading.close()
      throw error
    }
    defer { try? pipe.reading.close() }
    if ending == .exited(0) { return }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = (try? bytes.withUnsafeMutableBytes { try pipe.reading.read(into: $0) }) ?? 0
    let reason = String(decoding: bytes.prefix(count), as: UTF8.self)
    throw reason.contains("busy") ? .resourceBusy : .notPermitted
  }
}
