import Foundation
import SwiftProtobuf
import ContainerdAPI
import Glibc
import GRPCCore
import SnapshotTestSupport
import Synchronization
import SystemPackage
import Testing

/// The program is killed at every one of its system calls in turn, or the call fails; the next start makes of what is left
/// a store in which everything acknowledged is there and what was interrupted is there or not.
@Suite struct KillTests {
  /// What has been acknowledged, and what was asked for last.
  final class Account: Sendable {
    struct State {
      var done: Set<String> = []
      var asked: (key: String, isThereAfter: Bool)?
    }
    let state = Mutex(State())

    /// Notes a change of one key around the request for it.
    func change(_ key: String, isThereAfter: Bool, _ body: () async throws -> Void) async throws {
      state.withLock { $0.asked = (key, isThereAfter) }
      try await body()
      state.withLock { state in
        state.asked = nil
        if isThereAfter { state.done.insert(key) } else { state.done.remove(key) }
      }
    }
  }

  /// A life of a store: layers, an active snapshot, a view, and their removal.
  static func work(_ client: Client, _ scratch: Scratch, _ account: Account) async throws {
    try await account.change("layer one", isThereAfter: true) {
      _ = try await client.prepare("making one")
      try scratch.make("root/snapshots/1/fs/folder")
      try scratch.write("one", to: "root/snapshots/1/fs/folder/file")
      try await client.commit("making one", as: "layer one")
    }
    try await account.change("a", isThereAfter: true) {
      _ = try await client.prepare("a", on: "layer one", labels: ["l": "1"])
    }
    try await account.change("v", isThereAfter: true) {
      _ = try await client.view("v", on: "layer one")
    }
    try scratch.make("root/snapshots/2/fs/folder/deep")
    try scratch.write("a", to: "root/snapshots/2/fs/folder/deep/file")
    try await account.change("a", isThereAfter: false) { try await client.remove("a") }
    try await client.cleanup()
  }

  /// - Parameter fault: what happens at the call, as `Faults` in SystemCalls has it.
  /// - Returns: how the program ended: its status, or nil where it was killed.
  static func live(_ fault: String, _ call: Int) async throws -> Int32? {
    let scratch = try Scratch()
    let account = Account()
    let program = try Program(
      scratch, environment: ["UNIONFS_SWIFT_TEST_FAULTS": fault])
    if program.isServing {
      try await Client.with(program.socket) { client in
        do { try await work(client, scratch, account) } catch is RPCError {}
      }
    }
    let status = try program.isServing ? program.end(SIGTERM) : program.wait()
    try await verify(scratch, account, call)
    return status
  }

  static func verify(_ scratch: Scratch, _ account: Account, _ call: Int) async throws {
    // Between the calls that make the socket and set its mode, too.
    if scratch.exists("run/s.sock") {
      let mode = try #require(try scratch.mode("run/s.sock"))
      #expect(mode & 0o077 == 0, "call \(call)")
    }
    let next = try Program(scratch)
    #expect(next.isServing, "call \(call): \(next.errors)")
    let (done, asked) = account.state.withLock { ($0.done, $0.asked) }
    try await Client.with(next.socket) { client in
      let found = Set(try await client.list().flatMap(\.self).map(\.name))
      var allowed = [done]
      if let asked {
        allowed.append(
          asked.isThereAfter ? done.union([asked.key]) : done.subtracting([asked.key]))
      }
      // The first step makes two changes.
      if asked?.key == "layer one" { allowed.append(["making one"]) }
      #expect(allowed.contains(found), "call \(call): \(found) after \(done), \(asked as Any)")
      #expect(
        scratch.names("root/snapshots").count == found.count,
        "call \(call): \(scratch.names("root/snapshots")) for \(found)")
      for name in found {
        let info = try await client.stat(name)
        if info.kind != .committed { #expect(try await client.mounts(name).count == 1) }
      }
      if found.contains("layer one") {
        #expect(scratch.text("root/snapshots/1/fs/folder/file") == "one")
      }
      // It goes on as if nothing had been.
      _ = try await client.prepare("after", on: found.contains("layer one") ? "layer one" : "")
    }
    #expect(try next.end(SIGTERM) == 0)
    #expect(
      !next.errors.contains("error:") && !next.errors.contains("warning: /"), "\(next.errors)")
  }

  @Test func aKillAtAnySystemCallLeavesASoundStore() async throws {
    var call = 1
    while try await Self.live("kill:\(call)", call) == nil {
      call += 1
      try #require(call < 1000)
    }
    // Fewer would mean that the faults are not armed.
    #expect(call > 60, "\(call)")
  }

  @Test func anErrorOfAnySystemCallLeavesASoundStore() async throws {
    // EIO. A start may fail with it, a request too; none may kill the program.
    for call in 1..<120 {
      let status = try #require(try await Self.live("fail:\(call):5", call), "call \(call)")
      // 66: the folder of the socket could not be made.
      #expect([0, 1, 66].contains(status), "call \(call)")
    }
  }

  final class Keys: Sendable {
    let set = Mutex(Set<String>())
  }

  @Test func aKillUnderManyRequestsLosesNothingAcknowledged() async throws {
    let scratch = try Scratch()
    let program = try Program(scratch)
    let acknowledged = Keys()
    let number = program.number
    try await Client.with(program.socket) { client in
      _ = try await client.prepare("making")
      try await client.commit("making", as: "base")
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<120 {
          group.addTask {
            guard (try? await client.prepare("key \(index)", on: "base")) != nil else { return }
            let count = acknowledged.set.withLock { keys in
              keys.insert("key \(index)")
              return keys.count
            }
            if count == 40 { kill(number, SIGKILL) }
          }
        }
      }
    }
    #expect(try program.wait() == nil)
    let kept = acknowledged.set.withLock { $0 }
    #expect(kept.count >= 40)
    let next = try Program(scratch)
    try await Client.with(next.socket) { client in
      let found = Set(try await client.list(["kind==active"]).flatMap(\.self).map(\.name))
      #expect(kept.isSubset(of: found))
      #expect(scratch.names("root/snapshots").count == found.count + 1)
    }
    #expect(try next.end(SIGTERM) == 0)
  }
}
