internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a container takes from the host.
enum HostFiles {
  /// The host's resolv.conf; empty where it has none.
  static var resolver: [UInt8] { (try? Disk.read("/etc/resolv.conf", limit: 1 << 20)) ?? [] }

  /// `NAME=VALUE`, or the caller's value of NAME; nil where it has none.
  static func setting(_ text: String) -> String? {
    if text.contains("=") { return text }
    return Invocation.variable(text).map {
      "\(text)=\(String(decoding: $0.pathBytes, as: UTF8.self))"
    }
  }
}
