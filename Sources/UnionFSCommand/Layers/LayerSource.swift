internal import SystemPackage
internal import UnionCore

/// One layer of a stack as `layers` shows it: where it lies, and what is known of how it came to be.
/// Stacks are lists of these, top first.
struct LayerSource: Sendable {
  /// What it is called: a layer's id, or a branch's directory.
  var id: String
  var directory: FilePath
  var honoursWhiteouts = true
  /// RFC 3339, as Docker writes it.
  var created: String?
  /// What made it, as Docker keeps it: `/bin/sh -c #(nop) CMD ["bash"]`.
  var command: String?
  var author: String?
  var tags: [String] = []

  /// Docker's twelve digits of an id; another name as it is.
  var shortID: String {
    let isDigest = id.utf8.count >= 64 && id.utf8.prefix(64).allSatisfy(\.isHexadecimalDigit)
    if !isDigest { return id }
    return String(id.prefix(12)) + (id.hasSuffix("-init") ? "-init" : "")
  }

  /// The command as its author wrote it: `CMD ["bash"]`, `RUN make`.
  var instruction: String? {
    guard var text = command else { return nil }
    if text.hasSuffix(" # buildkit") { text.removeLast(" # buildkit".count) }
    let shell = "/bin/sh -c "
    let (isRun, rest) =
      text.hasPrefix("RUN " + shell)
      ? (true, text.dropFirst(4 + shell.count))
      : (text.hasPrefix(shell), text.dropFirst(text.hasPrefix(shell) ? shell.count : 0))
    if rest.hasPrefix("#(nop) ") { return String(rest.dropFirst(7).drop { $0 == " " }) }
    return isRun ? "RUN " + rest : text
  }

  /// To the minute, in the time zone that it was written in (Docker's is UTC).
  var shortTime: String? {
    created.map { String($0.prefix(16)).split(separator: "T").joined(separator: " ") }
  }
}

extension UInt8 {
  var isHexadecimalDigit: Bool {
    (0x30...0x39).contains(self) || (0x61...0x66).contains(self)
  }
}

extension MountRequest {
  /// The layers that the operands name, top first, with their history where the store tells it; and
  /// what of that is malformed.
  func layerSources() throws(Failure) -> ([LayerSource], warnings: [String]) {
    let specifications = try unmountedBranches()
    var sources = specifications.map {
      LayerSource(
        id: Text.printable($0.path.pathBytes), directory: $0.path,
        honoursWhiteouts: $0.honoursWhiteouts)
    }
    guard branches.isEmpty else { return (sources, []) }
    let layout = try layout()
    let file = try Disk.layersFile(layout.layersFile, of: layout.id)
    let ids = [layout.id] + file.parents.map(\.id)
    guard ids.count == sources.count else {
      throw Failure(.failed, "\(layout.layersFile) has just changed", advice: "try again")
    }
    let history = LayerHistory(layout)
    for (index, id) in ids.enumerated() {
      sources[index].id = Text.printable(id.bytes)
      history.tell(id, &sources[index])
    }
    return (sources, history.warnings)
  }
}
