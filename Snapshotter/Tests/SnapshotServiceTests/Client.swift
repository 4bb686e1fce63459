import ContainerdAPI
import SwiftProtobuf
import GRPCCore
import GRPCNIOTransportHTTP2
import SystemPackage

typealias API = Containerd_Services_Snapshots_V1_Snapshots
typealias Message = Containerd_Services_Snapshots_V1_Info

/// A client as containerd is one: its own connection to the socket.
struct Client: Sendable {
  private let api: API.Client<HTTP2ClientTransport.Posix>

  /// A call that gets no answer fails, as it does when the server is killed.
  private var options: CallOptions {
    var options = CallOptions.defaults
    options.waitForReady = false
    options.timeout = .seconds(60)
    return options
  }

  static func with<Result: Sendable>(
    _ socket: FilePath, _ body: @Sendable (Client) async throws -> Result
  ) async throws -> Result {
    let transport = try HTTP2ClientTransport.Posix(
      target: .unixDomainSocket(path: socket.string), transportSecurity: .plaintext)
    return try await withGRPCClient(transport: transport) { client in
      try await body(Client(api: API.Client(wrapping: client)))
    }
  }

  func prepare(
    _ key: String, on parent: String = "", labels: [String: String] = [:]
  ) async throws -> [Containerd_Types_Mount] {
    let request = Containerd_Services_Snapshots_V1_PrepareSnapshotRequest.with {
      $0.snapshotter = "unionfs-swift"
      $0.key = key
      $0.parent = parent
      $0.labels = labels
    }
    return try await api.prepare(request, options: options).mounts
  }

  func view(_ key: String, on parent: String) async throws -> [Containerd_Types_Mount] {
    let request = Containerd_Services_Snapshots_V1_ViewSnapshotRequest.with {
      $0.key = key
      $0.parent = parent
    }
    return try await api.view(request, options: options).mounts
  }

  func mounts(_ key: String) async throws -> [Containerd_Types_Mount] {
    try await api.mounts(.with { $0.key = key }, options: options).mounts
  }

  func commit(_ key: String, as name: String, labels: [String: String] = [:]) async throws {
    let request = Containerd_Services_Snapshots_V1_CommitSnapshotRequest.with {
      $0.key = key
      $0.name = name
      $0.labels = labels
    }
    _ = try await api.commit(request, options: options)
  }

  func remove(_ key: String) async throws {
    _ = try await api.remove(.with { $0.key = key }, options: options)
  }

  func stat(_ key: String) async throws -> Message {
    try await api.stat(.with { $0.key = key }, options: options).info
  }

  func update(_ name: String, labels: [String: String], fields: [String]) async throws -> Message {
    let request = Containerd_Services_Snapshots_V1_UpdateSnapshotRequest.with {
      $0.info.name = name
      $0.info.labels = labels
      $0.updateMask.paths = fields
    }
    return try await api.update(request, options: options).info
  }

  /// The messages of the stream, each with what it holds.
  func list(_ filters: [String] = []) async throws -> [[Message]] {
    try await api.list(.with { $0.filters = filters }, options: options) { response in
      var messages: [[Message]] = []
      for try await message in response.messages { messages.append(message.info) }
      return messages
    }
  }

  func usage(_ key: String) async throws -> (bytes: Int64, inodes: Int64) {
    let usage = try await api.usage(.with { $0.key = key }, options: options)
    return (usage.size, usage.inodes)
  }

  func cleanup() async throws { _ = try await api.cleanup(.init(), options: options) }
}
