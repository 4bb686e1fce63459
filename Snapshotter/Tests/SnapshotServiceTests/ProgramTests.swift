import Foundation
import SwiftProtobuf
import ContainerdAPI
import Glibc
import SnapshotTestSupport
import SystemPackage
import Testing

@Suite struct ProgramTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  @Test func itTellsWhenItServesAndEndsCleanly() async throws {
    let program = try Program(scratch)
    #expect(program.isServing, "\(program.errors)")
    #expect(try scratch.mode("run/s.sock") == 0o600)
    #expect(try scratch.mode("run") == 0o700)
    #expect(try scratch.mode("root/metadata.db") == 0o600)
    try await Client.with(program.socket) { client in
      _ = try await client.prepare("a")
    }
    #expect(try program.end(SIGTERM) == 0)
    #expect(!scratch.exists("run/s.sock"))
    #expect(scratch.names("root/snapshots") == ["1"])
  }

  @Test func aClientThatStaysConnectedDoesNotKeepItAlive() async throws {
    let program = try Program(scratch)
    try await Client.with(program.socket) { client in
      _ = try await client.prepare("a")
      #expect(try program.end(SIGINT) == 0)
    }
  }

  @Test func aSocketThatAKilledServerLeftIsReplaced() async throws {
    let killed = try Program(scratch)
    #expect(try killed.end(SIGKILL) == nil)
    #expect(scratch.exists("run/s.sock"))
    let next = try Program(scratch)
    #expect(next.isServing, "\(next.errors)")
    try await Client.with(next.socket) { client in
      let found = try await client.list()
      #expect(found.isEmpty)
    }
    #expect(try next.end(SIGTERM) == 0)
  }

  @Test func aRootOrASocketIsOneServersAtATime() throws {
    let first = try Program(scratch)
    let sameRoot = try Program(
      scratch, arguments: ["--address", scratch.path("run/t.sock").string])
    #expect(try sameRoot.wait() == 75)
    #expect(sameRoot.errors.contains("another snapshotter runs on"))
    let sameSocket = try Program(scratch, arguments: ["--root", scratch.path("other").string])
    #expect(try sameSocket.wait() == 75)
    #expect(sameSocket.errors.contains("another server listens on"))
    #expect(scratch.exists("run/s.sock"))
    #expect(try first.end(SIGTERM) == 0)
  }

  @Test func aFileInTheSocketsPlaceIsKept() throws {
    try scratch.make("run")
    try scratch.write("mine", to: "run/s.sock")
    let program = try Program(scratch)
    #expect(try program.wait() == 64)
    #expect(scratch.text("run/s.sock") == "mine")
  }

  @Test(arguments: [
    (["--log-level", "loud"], "there is no log level 'loud'"),
    (["--mount-program", "a/b"], "'a/b' is no program that containerd could find"),
    (["--mount-program", ""], "'' is no program"),
    (["--nothing"], "Unknown option '--nothing'"),
    (["--address", "/" + String(repeating: "x", count: 107)], "is too long for a socket"),
  ])
  func aWrongCommandLineIsOneLineAndStatus64(_ arguments: [String], _ line: String) throws {
    let program = try Program(scratch, arguments: arguments)
    #expect(try program.wait() == 64)
    #expect(program.errors.contains(line), "\(program.errors)")
  }
}
