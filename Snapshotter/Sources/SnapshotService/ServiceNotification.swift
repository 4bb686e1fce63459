internal import NIOCore
internal import NIOPosix
public import SystemPackage

/// Tells systemd that the service is ready (sd_notify(3)): a datagram to the socket that it names in
/// `NOTIFY_SOCKET`.
public enum ServiceNotification {
  /// - Parameter socket: its path. An abstract one, which begins with `@`, is not supported.
  public static func ready(_ socket: FilePath) async throws {
    let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(unixDomainSocketPath: socket.string).get()
    let sent: Result<Void, any Error>
    do {
      let address = try SocketAddress(unixDomainSocketPath: socket.string)
      try await channel.writeAndFlush(
        AddressedEnvelope(remoteAddress: address, data: ByteBuffer(string: "READY=1")))
      sent = .success(())
    } catch {
      sent = .failure(error)
    }
    try? await channel.close()
    try sent.get()
  }
}
