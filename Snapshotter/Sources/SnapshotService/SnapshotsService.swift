internal import ContainerdAPI
internal import GRPCCore
internal import Logging
internal import NIOPosix
internal import SnapshotStore
internal import SwiftProtobuf

/// Answers containerd with a store. What a request waits for runs on threads of its own, so that slow
/// ones (measuring, deleting) do not keep Swift's.
struct SnapshotsService: Snapshots.SimpleServiceProtocol {
  let store: SnapshotStore
  let threads: NIOThreadPool
  let log: Logger

  func prepare(
    request: PrepareSnapshotRequest, context: ServerContext
  ) async throws -> PrepareSnapshotResponse {
    let mounts = try await answer("prepare", request.key) { store in
      try store.create(
        .active, request.key, parent: request.parent, labels: request.labels)
    }
    return .with { $0.mounts = mounts.map(Mount.init) }
  }

  func view(
    request: ViewSnapshotRequest, context: ServerContext
  ) async throws -> ViewSnapshotResponse {
    let mounts = try await answer("view", request.key) { store in
      try store.create(.view, request.key, parent: request.parent, labels: request.labels)
    }
    return .with { $0.mounts = mounts.map(Mount.init) }
  }

  func mounts(request: MountsRequest, context: ServerContext) async throws -> MountsResponse {
    let mounts = try await answer("mounts", request.key) { try $0.mounts(request.key) }
    return .with { $0.mounts = mounts.map(Mount.init) }
  }

  func commit(
    request: CommitSnapshotRequest, context: ServerContext
  ) async throws -> Google_Protobuf_Empty {
    try await answer("commit", request.key) { store in
      try store.commit(
        request.key, as: request.name, parent: request.parent, labels: request.labels)
    }
    return Google_Protobuf_Empty()
  }

  func remove(
    request: RemoveSnapshotRequest, context: ServerContext
  ) async throws -> Google_Protobuf_Empty {
    try await answer("remove", request.key) { try $0.remove(request.key) }
    return Google_Protobuf_Empty()
  }

  func stat(
    request: StatSnapshotRequest, context: ServerContext
  ) async throws -> StatSnapshotResponse {
    let info = try await answer("stat", request.key) { try $0.stat(request.key) }
    return .with { $0.info = Info(info) }
  }

  func update(
    request: UpdateSnapshotRequest, context: ServerContext
  ) async throws -> UpdateSnapshotResponse {
    let info = try await answer("update", request.info.name) { store in
      try store.update(
        request.info.name, labels: request.info.labels, fields: request.updateMask.paths)
    }
    return .with { $0.info = Info(info) }
  }

  func list(
    request: ListSnapshotsRequest, response: RPCWriter<ListSnapshotsResponse>,
    context: ServerContext
  ) async throws {
    let found = try await answer("list", request.filters.joined(separator: " ")) { store in
      try store.list(request.filters)
    }
    for some in found.inMessages() {
      try await response.write(.with { $0.info = some.map(Info.init) })
    }
  }

  func usage(request: UsageRequest, context: ServerContext) async throws -> UsageResponse {
    let usage = try await answer("usage", request.key) { try $0.usage(request.key) }
    return .with {
      $0.size = usage.bytes
      $0.inodes = usage.inodes
    }
  }

  func cleanup(
    request: CleanupRequest, context: ServerContext
  ) async throws -> Google_Protobuf_Empty {
    try await answer("cleanup", "") { try $0.cleanup() }
    return Google_Protobuf_Empty()
  }

  /// Runs an operation on one of the threads. Its error becomes a status that containerd understands.
  private func answer<Result: Sendable>(
    _ operation: String, _ subject: String,
    _ body: @escaping @Sendable (SnapshotStore) throws -> Result
  ) async throws -> Result {
    do {
      let result = try await threads.runIfActive { [store] in try body(store) }
      log.debug("\(operation) '\(subject)'")
      return result
    } catch let error as SnapshotError {
      let level: Logger.Level = error.isUnexpected ? .error : .debug
      log.log(level: level, "\(operation) '\(subject)': \(error)")
      throw RPCError(code: error.status, message: error.message)
    } catch {
      log.error("\(operation) '\(subject)': \(error)")
      throw RPCError(code: .unavailable, message: "\(error)")
    }
  }
}
