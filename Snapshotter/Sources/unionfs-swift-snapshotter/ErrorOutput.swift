internal import Logging
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The log: lines on standard error, which systemd dates and keeps.
struct ErrorOutput: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { Self.write("\(event.level): \(event.message)") }

  /// One line in one write; what is a line's end in a client's text becomes visible.
  static func write(_ text: String) {
    let line = text.replacing("\n", with: "\\n").replacing("\r", with: "\\r")
    let bytes = Array("unionfs-swift-snapshotter: \(line)\n".utf8)
    _ = try? bytes.withBytes { all throws(Errno) in try FileSystemCall.write(2, from: all) }
  }
}
