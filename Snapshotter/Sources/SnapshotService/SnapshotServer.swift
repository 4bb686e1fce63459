internal import GRPCCore
internal import GRPCNIOTransportHTTP2
public import Logging
internal import NIOPosix
public import SnapshotStore
public import SystemPackage
public import UnionCore

/// Serves a store on a unix socket.
public final class SnapshotServer: Sendable {
  private let endpoint: Endpoint
  private let server: GRPCServer<HTTP2ServerTransport.Posix>
  private let threads: NIOThreadPool

  /// Takes the socket's place; nothing listens yet.
  ///
  /// - Parameter address: the socket's path. A socket there that nobody listens on is removed.
  public init(_ store: SnapshotStore, at address: FilePath, log: Logger) async throws(Failure) {
    endpoint = try await Endpoint(address)
    threads = NIOThreadPool(numberOfThreads: 8)
    threads.start()
    server = GRPCServer(
      transport: .http2NIOPosix(
        address: .unixDomainSocket(path: address.string), transportSecurity: .plaintext,
        config: .defaults { $0.connection.maxGraceTime = .seconds(10) }),
      services: [SnapshotsService(store: store, threads: threads, log: log)])
  }

  /// Serves until `stop`; requests under way are answered first.
  ///
  /// - Parameter ready: called once clients can connect.
  public func run(ready: @Sendable () async throws(Failure) -> Void) async throws(Failure) {
    let outcome = await serve(ready)
    try? await threads.shutdownGracefully()
    endpoint.remove()
    try outcome.get()
  }

  private func serve(
    _ ready: @Sendable () async throws(Failure) -> Void
  ) async -> Result<Void, Failure> {
    async let serving: Result<Void, Failure> = listen()
    // Throws where listening failed, which `serving` tells.
    if (try? await server.listeningAddress) != nil {
      do throws(Failure) {
        try endpoint.restrict()
        try await ready()
      } catch {
        stop()
        _ = await serving
        return .failure(error)
      }
    }
    return await serving
  }

  private func listen() async -> Result<Void, Failure> {
    do {
      try await server.serve()
      return .success(())
    } catch {
      return .failure(Failure(.failed, "\(endpoint.path) cannot be served: \(error)"))
    }
  }

  /// Takes no new requests; `run` returns when the others are answered, or after ten seconds.
  public func stop() { server.beginGracefulShutdown() }
}
