internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a container takes from the host.
enum HostFiles {
  /// The host's resolv.conf; empty where it has none.
  static var resolver: [UInt8] { (try? Disk.read("/etc/resolv.conf", limit: 1 << 20)) ?? [] }

  /// hosts, hostname and resolv.conf for a container that is kept nowhere, in a directory of its own.
  static func binds(
    in directory: FilePath, hostname: String
  ) throws(Failure) -> [RuntimeSpec.Bind] {
    let hosts =
      "127.0.0.1\tlocalhost\n127.0.1.1\t\(hostname)\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    let files: [(String, [UInt8])] = [
      ("hosts", Array(hosts.utf8)), ("hostname", Array("\(hostname)\n".utf8)),
      ("resolv.conf", resolver),
    ]
    var binds: [RuntimeSpec.Bind] = []
    for (name, bytes) in files {
      let path = directory.appending(name)
      do {
        let file = try FileDescriptor.open(
          path, .writeOnly, options: [.create, .truncate, .closeOnExec],
          permissions: FilePermissions(rawValue: 0o644))
        try file.closeAfter { _ = try file.writeAll(bytes) }
      } catch { throw Disk.failure(error as? Errno ?? .ioError, "\(path)") }
      binds.append(.init(source: path.string, target: "/etc/\(name)"))
    }
    return binds
  }

  /// `NAME=VALUE`, or the caller's value of NAME; nil where it has none.
  static func setting(_ text: String) -> String? {
    if text.contains("=") { return text }
    return Invocation.variable(text).map {
      "\(text)=\(String(decoding: $0.pathBytes, as: UTF8.self))"
    }
  }
}
