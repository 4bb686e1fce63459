import ContainerdAPI
import SwiftProtobuf
import Foundation
import GRPCCore
import Logging
import SnapshotStore
import SnapshotTestSupport
import SystemPackage
import Testing

@testable import SnapshotService

/// What containerd sees over the socket.
@Suite struct ServiceTests {
  let scratch: Scratch
  var socket: FilePath { scratch.path("run/s.sock") }

  init() throws { scratch = try Scratch() }

  /// Serves a store while a client asks.
  func withService(_ body: @escaping @Sendable (Client) async throws -> Void) async throws {
    let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let store = try SnapshotStore(
      root: scratch.path("root"), program: "/opt/bin/unionfs-swift", log: log)
    defer { store.close() }
    let server = try await SnapshotServer(store, at: socket, log: log)
    let (isReady, ready) = AsyncStream.makeStream(of: Void.self)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await server.run { ready.finish() }
      }
      for await _ in isReady {}
      defer { server.stop() }
      try await Client.with(socket, body)
      server.stop()
      try await group.waitForAll()
    }
    #expect(!scratch.exists("run/s.sock"))
  }

  func refusal(_ body: () async throws -> Void) async throws -> RPCError.Code? {
    do { try await body() } catch let error as RPCError { return error.code }
    return nil
  }

  @Test func everyOperationIsAnswered() async throws {
    let scratch = scratch
    try await withService { client in
      let folder = scratch.path("root/snapshots").string
      let first = try await client.prepare("k8s.io/1/a", labels: ["l": "1"])
      #expect(first.map(\.type) == ["bind"] && first.map(\.source) == ["\(folder)/1/fs"])
      #expect(first.first?.options == ["rw", "rbind"])
      try scratch.write("content", to: "root/snapshots/1/fs/file")
      let usage = try await client.usage("k8s.io/1/a")
      #expect(usage.inodes == 2 && usage.bytes > 0)
      try await client.commit("k8s.io/1/a", as: "base", labels: ["m": "2"])
      let base = try await client.stat("base")
      #expect(base.kind == .committed && base.labels == ["m": "2"] && base.parent.isEmpty)
      #expect(abs(base.createdAt.date.timeIntervalSinceNow) < 600)
      let union = try await client.prepare("b", on: "base")
      #expect(union.first?.type == "fuse3./opt/bin/unionfs-swift")
      #expect(union.first?.source == "overlay" && union.first?.target == "")
      #expect(
        union.first?.options == [
          "workdir=\(folder)/2/work", "upperdir=\(folder)/2/fs", "lowerdir=\(folder)/1/fs",
        ])
      #expect(try await client.mounts("b") == union)
      #expect(try await client.view("v", on: "base").first?.options == ["ro", "rbind"])
      let updated = try await client.update("b", labels: ["x": "y"], fields: ["labels.x"])
      #expect(updated.labels == ["x": "y"] && updated.kind == .active && updated.parent == "base")
      #expect(try await client.list().flatMap(\.self).map(\.name) == ["b", "base", "v"])
      #expect(
        try await client.list(["kind==view", "labels.x"]).flatMap(\.self).map(\.name) == ["b", "v"])
      for key in ["b", "v", "base"] { try await client.remove(key) }
      #expect(try await client.list().isEmpty)
      try scratch.make("root/snapshots/gone-9/fs")
      try await client.cleanup()
      #expect(scratch.names("root/snapshots").isEmpty)
    }
  }

  @Test func errorsAreTheCodesOfContainerdsErrdefs() async throws {
    try await withService { client in
      _ = try await client.prepare("a")
      try await client.commit("a", as: "base")
      _ = try await client.view("v", on: "base")
      #expect(try await refusal { _ = try await client.stat("x") } == .notFound)
      #expect(try await refusal { _ = try await client.view("v", on: "base") } == .alreadyExists)
      #expect(try await refusal { try await client.remove("base") } == .failedPrecondition)
      #expect(try await refusal { _ = try await client.prepare("c", on: "v") } == .invalidArgument)
      #expect(try await refusal { _ = try await client.list(["name=="]) } == .invalidArgument)
      #expect(
        try await refusal { _ = try await client.update("v", labels: [:], fields: ["name"]) }
          == .invalidArgument)
    }
  }

  @Test func manySnapshotsComeInSeveralMessages() async throws {
    try await withService { client in
      _ = try await client.prepare("a")
      try await client.commit("a", as: "base")
      let names = (0..<230).map { "view \($0)" }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for name in names { group.addTask { _ = try await client.view(name, on: "base") } }
        try await group.waitForAll()
      }
      let messages = try await client.list(["kind==view"])
      #expect(messages.map(\.count) == [100, 100, 30])
      #expect(messages.flatMap(\.self).map(\.name) == names.sorted())
      #expect(try await client.list(["name==nothing"]).isEmpty)
    }
  }

  @Test func largeLabelsMakeSmallerMessages() async throws {
    try await withService { client in
      let labels = Dictionary(
        uniqueKeysWithValues: (0..<40).map { ("label \($0)", String(repeating: "v", count: 4000)) })
      for index in 0..<20 { _ = try await client.prepare("key \(index)", labels: labels) }
      let messages = try await client.list()
      #expect(messages.count > 2 && messages.flatMap(\.self).count == 20)
      #expect(messages.flatMap(\.self).allSatisfy { $0.labels == labels })
    }
  }
}
