import Glibc
import TestSupport
import Testing

/// kill -9 of an export, which mounts its container for itself.
@Suite(
  .enabled(
    if: geteuid() == 0 && Path("/dev/fuse").exists,
    "needs root and /dev/fuse: a user's store is made by root"))
struct ExportKillTests {
  private let store: StoreCase

  init() throws {
    store = try StoreCase(StoreChange("export", ["export", "-q", "-o", "FILES/out", "old"]))
  }

  @Test func nobodyEverSeesTheMountOfRootAndItsServerEndsWithTheCommand() throws {
    let killed = try kill(as: nil) { at throws in
      #expect(try store.mounts() == [], at)
    }
    #expect(killed > 0)
  }

  @Test(
    .enabled(
      if: Account.unprivileged != nil, "needs the account unionfs-test, which scripts/test makes"),
    .enabled(if: has(program: "fusermount3"), "needs fusermount3 of Debian's package fuse3"))
  func aUsersMountAndItsServerEndWithTheCommand() throws {
    let account = try #require(Account.unprivileged)
    try shell("chown", "-R", "\(account.uid):\(account.gid)", "\(store.folder)")
    let killed = try kill(as: account.identity) { _ in }
    #expect(killed > 0)
  }

  /// - Returns: how many calls it was killed at.
  private func kill(as user: Identity?, _ atOnce: (Comment) throws -> Void) throws -> Int {
    var killed = 0
    for call in try calls() {
      if out.exists { try out.unlink() }
      let end = try act("kill:\(call)", user)
      let at = Comment(rawValue: "killed at call \(call): \(end.status) \(end.errors)")
      try atOnce(at)
      try waitForServers(at)
      #expect(try store.mounts() == [], at)
      if end.status == 0 {
        #expect(out.exists)
        break
      }
      #expect(end.status == -SIGKILL && !out.exists, at)
      killed += 1
    }
    return killed
  }

  private var out: Path { store.files / "out" }

  private func act(_ faults: String, _ user: Identity?) throws -> Finished {
    let act = { try store.act(faults: faults) }
    return try user?.run(act) ?? act()
  }

  /// Those about the one that opens the mount, which is found by what a refused call is told as; all of them,
  /// where there is time.
  private func calls() throws -> ClosedRange<Int> {
    if Scenario.isComplete { return 1...100_000 }
    let opened = try #require(
      try stride(from: 11, to: 1000, by: 5).first { call in
        try act("fail:\(call):\(EACCES)", nil).errors.contains("/aufs/mnt/")
      })
    if out.exists { try out.unlink() }
    return opened - 8...opened + 2
  }

  /// Whatever was started for the store ends by itself.
  private func waitForServers(_ at: Comment) throws {
    for _ in 0..<10 {
      let left = try processes()
      if left.isEmpty { return }
      for process in left {
        try #require(Server.waitForEnd(of: process, milliseconds: 10_000), at)
      }
    }
    Issue.record("\(at.rawValue): \(try processes()) are left")
  }

  /// The processes whose command lines name something in the store's folder.
  private func processes() throws -> [Int32] {
    try Path("/proc").names().compactMap { Int32($0) }.filter { process in
      let words = (try? Path("/proc/\(process)/cmdline").text()) ?? ""
      return words.contains("\(store.folder)/")
    }
  }
}
