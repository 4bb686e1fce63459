internal import CTestCalls
internal import Glibc
public import Testing

extension Union {
  /// The words that mount this union.
  public func mountCommand(_ more: [String] = []) -> [String] {
    var words = [program, "mount"]
    // The test's own come last and win.
    let options = Modes.options + options
    if !options.isEmpty { words += ["-o", options.joined(separator: ",")] }
    for (path, branch) in zip(branches, specification) {
      words += ["--branch", "\(path)=\(branch.permission)"]
    }
    return asAccount(launcher + words + more + ["\(mnt)"])
  }

  /// The built program; for another user a copy, as its own place may be closed to that user.
  public var program: String {
    guard account != nil else { return Server.binary }
    let copy = folder / "unionfs-swift"
    if !copy.exists { _ = try? run(["install", "-m755", Server.binary, "\(copy)"]) }
    return "\(copy)"
  }

  public func asAccount(_ words: [String]) -> [String] {
    guard let account else { return words }
    return [
      "setpriv", "--reuid=\(account.uid)", "--regid=\(account.gid)", "--init-groups", "--",
    ] + words
  }

  /// Mounts; the command returns when the mount is live. Answers what the command said.
  @discardableResult
  public func mount() throws -> Finished {
    _ = Server.adoptsOrphans
    if Backend.current == .overlayfs { return try mountOverlay() }
    let words = mountCommand()
    let end = try run(words, environment: environment)
    guard end.status == 0 else { throw CommandFailure.failed(words, end) }
    guard Server.isMounted(mnt) else { throw MountFailure.notLive }
    return end
  }

  private func mountOverlay() throws -> Finished {
    var lower = zip(branches, specification).dropFirst(hasWritableTop ? 1 : 0).map { "\($0.0)" }
    var data = ["xino=on,index=off,redirect_dir=on,metacopy=off"]
    if hasWritableTop, !options.contains("ro") {
      let work = folder / "work"
      if !work.exists { try work.mkdir() }
      data += ["upperdir=\(top),workdir=\(work)"]
    } else if hasWritableTop {
      lower.insert("\(top)", at: 0)
    }
    if lower.count < (data.count == 1 ? 2 : 1) {
      let empty = folder / "empty"
      if !empty.exists { try empty.mkdir() }
      lower.append("\(empty)")
    }
    data.append("lowerdir=" + lower.joined(separator: ":"))
    try mnt.mount(source: "overlay", type: "overlay", data: data.joined(separator: ","))
    return Finished(status: 0, output: "", errors: "")
  }

  /// The server of this mount.
  public var server: Int32? { Server.processes(serving: mnt).first }

  /// Unmounts by the command and waits until the server is gone; asserts that both go well.
  public func unmount(_ location: SourceLocation = #_sourceLocation) throws {
    closeAll()
    if Backend.current == .overlayfs { return try mnt.umount() }
    let servers = Server.processes(serving: mnt)
    for process in servers { expectNoOpenFiles(of: process, location) }
    var end = try umountOnce(servers)
    if end.status == 75 {
      // Detached, the server ends with the last who holds the mount: `expectEnd` sees to it.
      end = try run(asAccount([program, "umount", "-l", "\(mnt)"]))
    }
    #expect(end.status == 0, "umount: \(end.errors)\(end.output)", sourceLocation: location)
    if Server.isMounted(mnt) {
      Issue.record("still mounted after umount", sourceLocation: location)
      try? mnt.umount(lazily: true)
    }
    for process in servers { expectEnd(of: process, location) }
  }

  /// Somebody who looks through /proc/PID/fd, as each umount command does for its server, may have
  /// got hold of the mount for an instant by a file that was open here; so a busy one is tried again.
  private func umountOnce(_ servers: [Int32]) throws -> Finished {
    let pidfd = servers.first.map { ct_pidfd_open($0) } ?? -1
    defer { if pidfd >= 0 { _ = ct_close(pidfd) } }
    for _ in 0..<50 {
      let end = try run(asAccount([program, "umount", "\(mnt)"]))
      guard end.status == busyStatus, pidfd >= 0 else { return end }
      if ct_poll(pidfd, Int16(POLLIN), 20) != 0 { return end }
    }
    return try run(asAccount([program, "umount", "\(mnt)"]))
  }

  func expectEnd(of process: Int32, _ location: SourceLocation) {
    guard let status = Server.waitForEnd(of: process) else {
      Issue.record("server \(process) lives on after the unmount", sourceLocation: location)
      Server.signal(process, SIGKILL)
      return
    }
    #expect(status == 0, "the server's exit status", sourceLocation: location)
  }

  /// Releases arrive after the close; so look again until there is nothing, for some seconds.
  private func expectNoOpenFiles(of process: Int32, _ location: SourceLocation) {
    let pidfd = ct_pidfd_open(process)
    defer { if pidfd >= 0 { _ = ct_close(pidfd) } }
    var open: [String] = []
    for _ in 0..<200 {
      open = Server.openFiles(of: process, in: branches)
      if open.isEmpty || pidfd < 0 { return }
      // The process's end is the only event to wait for; mostly the time limit passes.
      if ct_poll(pidfd, Int16(POLLIN), 25) != 0 { return }
    }
    Issue.record(
      "the server keeps files open that nobody uses: \(open)", sourceLocation: location)
  }

  /// After the server's death: waits until it is gone, takes the dead mount away.
  public func clearDeadMount(of server: Int32) throws(Errno) {
    closeAll()
    if Server.waitForEnd(of: server) == nil { throw .busy }
    try mnt.umount(lazily: true)
  }

  /// Unmounts and mounts again.
  public func remount(_ location: SourceLocation = #_sourceLocation) throws {
    try unmount(location)
    try mount()
  }

  func finish(_ checks: Checks) throws {
    closeAll()
    if Backend.isOurs, Server.isMounted(mnt) { try finishMounted(checks) }
    if checks.contains(.lowerUnchanged) { try checkLower() }
    guard Backend.isOurs else { return }
    if checks.contains(.whiteouts), hasWritableTop { try checkWhiteouts() }
    try checkLeftovers()
  }

  private func finishMounted(_ checks: Checks) throws {
    guard !checks.isDisjoint(with: [.model, .remount]) else { return try unmount(location) }
    let shown = try viewNodes()
    try unmount(location)
    if checks.contains(.model) { try checkModel(shown.map(\.detail)) }
    guard checks.contains(.remount) else { return }
    try mount()
    let again = try viewNodes().map(\.lasting)
    let message = difference(shown.map(\.lasting), again)
    #expect(
      again == shown.map(\.lasting), "the view changed by a remount:\n\(message)",
      sourceLocation: location)
    try unmount(location)
  }

  /// Whatever happened: no mount, no server, no folder.
  func clearAway() {
    closeAll()
    if Server.isMounted(mnt) {
      if Backend.isOurs { Issue.record("left mounted", sourceLocation: location) }
      try? mnt.umount(lazily: true)
    }
    for process in Server.processes(serving: mnt) {
      Issue.record("server \(process) left running", sourceLocation: location)
      Server.signal(process, SIGKILL)
      _ = Server.waitForEnd(of: process, seconds: 10)
    }
    removeFolder()
  }
}

extension Node {
  /// What a remount keeps.
  fileprivate var lasting: String {
    detail + " inode \(status.inode)"
      + (status.kind == .directory ? "" : " links \(status.links)")
  }
}

enum MountFailure: Error, CustomStringConvertible {
  case notLive
  var description: String { "the mount command returned 0, but nothing is mounted" }
}

/// The exit code of umount for a mount in use (EX_TEMPFAIL).
private let busyStatus: Int32 = 75

/// Seconds that one test may take before its server is killed.
private let timeLimit = Int32(currentEnvironment["UNIONFS_TEST_TIME_LIMIT"] ?? "") ?? 180

/// Runs a test on a mounted union of these branches, top first, then checks what every test must
/// leave behind, and clears away. An account mounts and, `asAccount`, runs the body.
public func withUnion(
  _ branches: [Branch], options: [String] = [], account: Account? = nil, asAccount: Bool = true,
  mounted: Bool = true, checks: Checks = .all, _ location: SourceLocation = #_sourceLocation,
  body: (Union) throws -> Void
) throws {
  let union = try Union(branches, options: options, account: account, location: location)
  let watchdog = try Watchdog(mountPoint: union.mnt, seconds: timeLimit)
  defer {
    watchdog.stop()
    union.clearAway()
  }
  if mounted { try union.mount() }
  if asAccount { try union.act { try body(union) } } else { try body(union) }
  try union.finish(checks)
}

/// A union of a writable top and layers below it, nearest first.
public func withUnion(
  top: [Item] = [], lower: [Item]..., options: [String] = [], checks: Checks = .all,
  _ location: SourceLocation = #_sourceLocation, _ body: (Union) throws -> Void
) throws {
  try withUnion(
    [.rw(top)] + lower.map { .lower($0) }, options: options, checks: checks, location, body: body)
}
