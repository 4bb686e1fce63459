import Foundation
import Glibc
import SnapshotTestSupport
import Synchronization
import SystemPackage

/// The built program, told by its notification when it serves and when it has ended. One task uses it.
final class Program: @unchecked Sendable {
  /// What it said, and where.
  let scratch: Scratch
  let socket: FilePath
  private let process = Process()
  private let news: News

  /// Starts the program and waits until it serves or has ended.
  init(
    _ scratch: Scratch, environment: [String: String] = [:], arguments: [String] = []
  ) throws {
    self.scratch = scratch
    socket = scratch.path("run/s.sock")
    news = try News(scratch.path("news.\(UUID().uuidString.prefix(8))").string)
    process.executableURL = try Self.binary
    process.arguments =
      ["--root", scratch.path("root").string, "--address", socket.string] + arguments
    process.environment = ProcessInfo.processInfo.environment
      .merging(environment) { $1 }.merging(["NOTIFY_SOCKET": news.path]) { $1 }
    let errors = scratch.path("errors").string
    _ = FileManager.default.createFile(atPath: errors, contents: nil)
    process.standardError = FileHandle(forWritingAtPath: errors)
    process.terminationHandler = { [news] _ in news.tell("ENDED") }
    try process.run()
    first = try news.next()
  }

  /// `READY=1`, or `ENDED` where it did not come to that.
  private(set) var first: String

  var isServing: Bool { first == "READY=1" }
  var number: Int32 { process.processIdentifier }
  var errors: String { scratch.text("errors") ?? "" }

  /// Sends a signal and waits for the end: the exit status, or nil where a signal ended it.
  func end(_ signal: Int32) throws -> Int32? {
    kill(process.processIdentifier, signal)
    return try wait()
  }

  func wait() throws -> Int32? {
    if isServing { while try news.next() != "ENDED" {} }
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : nil
  }

  private static var binary: URL {
    get throws {
      let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
      return URL(filePath: own).deletingLastPathComponent().appending(
        path: "unionfs-swift-snapshotter")
    }
  }
}

/// A datagram socket for sd_notify(3)'s messages, and ours.
private final class News: Sendable {
  let path: String
  private let descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    guard withAddress({ bind(descriptor, $0, $1) }) == 0 else { throw Errno(rawValue: errno) }
    var patience = timeval(tv_sec: 120, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  func tell(_ text: String) {
    let sender = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(sender) }
    let bytes = Array(text.utf8)
    _ = withAddress { sendto(sender, bytes, bytes.count, 0, $0, $1) }
  }

  func next() throws -> String {
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    guard count >= 0 else { throw Errno(rawValue: errno) }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }

  private func withAddress<Result>(
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
