internal import Glibc

/// A directory's content as sorted lines, to compare with a literal:
/// `d/`, `d/f=text`, `l->target`, `p|fifo`, `c|character 1:3`; long or binary files as
/// `f#size:hash`. A well-formed whiteout (regular, empty, 0444) is its name alone.
public func tree(of root: Path) throws(Errno) -> [String] {
  try walk(root).map(\.line)
}

/// As `tree(of:)`, of a branch: without aufs's four own entries at the root.
///
/// - Parameter asAufs: whiteouts and opaque directories of overlayfs read as aufs's.
public func diskTree(_ branch: Path, asAufs: Bool = false) throws(Errno) -> [String] {
  let nodes = try walk(branch, skip: ownEntries)
  guard asAufs else { return nodes.map(\.line) }
  var lines = nodes.map(\.lineOfAufs)
  for node in nodes where node.status.kind == .directory {
    if try (branch / node.path).isMarkedOpaque { lines.append("\(node.path)/.wh..wh..opq") }
  }
  return lines
}

/// What a writable branch's root holds for the file system itself.
let ownEntries: Set<Path> = [
  ".wh..wh.aufs", ".wh..wh.plnk", ".wh..wh.orph", ".wh..wh.unionfs",
]

/// One entry of a tree with all that a change could touch.
public struct Node: Sendable {
  public let path: Path
  public let status: Status
  /// `d_ino` and `d_type` of the listing.
  public let listed: DirectoryEntry
  public let content: String
  public let attributes: [String: String]

  public var line: String {
    let name = "\(path)"
    switch status.kind {
    case .directory: return name + "/"
    case .file:
      if path.name.starts(with: Array(".wh.".utf8)) { return whiteoutLine(name) }
      return name + content
    case .symlink: return name + "->" + content
    case .character, .block:
      return "\(name)|\(status.kind) \(status.rdev >> 8 & 0xfff):\(status.rdev & 0xff)"
    default: return "\(name)|\(status.kind)"
    }
  }

  private func whiteoutLine(_ name: String) -> String {
    if path.name.starts(with: Array(".wh..wh.long.".utf8)) {
      let folder = path.parent.bytes.isEmpty ? "" : "\(path.parent)/"
      return "\(folder).wh..wh.long.\(content)"
    }
    if status.size == 0 && status.mode == 0o444 { return name }
    return "\(name) malformed: mode \(String(status.mode, radix: 8)), \(status.size) bytes"
  }

  /// Everything but access time, change time and inode number.
  public var detail: String {
    var text = line + " " + String(status.mode, radix: 8) + " \(status.uid):\(status.gid)"
    if status.kind != .directory { text += " size \(status.size)" }
    text += " mtime \(status.modified)"
    for (name, value) in attributes.sorted(by: { $0.key < $1.key }) { text += " \(name)=\(value)" }
    return text
  }
}

/// Everything below `root`, sorted by path, parents first.
public func walk(_ root: Path, skip: Set<Path> = []) throws(Errno) -> [Node] {
  var nodes: [Node] = []
  try collect(root, Path(bytes: []), skip, &nodes)
  return nodes
}

private func collect(_ root: Path, _ folder: Path, _ skip: Set<Path>, _ nodes: inout [Node])
  throws(Errno)
{
  let entries = try (root / folder).entries().sorted { $0.name < $1.name }
  for entry in entries where !(folder.bytes.isEmpty && skip.contains(entry.name)) {
    let path = folder / entry.name
    let node = try node(at: root / path, named: path, listed: entry)
    nodes.append(node)
    if node.status.kind == .directory { try collect(root, path, skip, &nodes) }
  }
}

func node(at full: Path, named path: Path, listed: DirectoryEntry) throws(Errno) -> Node {
  let status = try full.stat()
  return Node(
    path: path, status: status, listed: listed, content: try content(full, status),
    attributes: try attributes(full))
}

private func content(_ path: Path, _ status: Status) throws(Errno) -> String {
  switch status.kind {
  case .symlink: return "\(try path.readlink())"
  case .file:
    if status.size > 16 << 20 { return try sparseDigest(path, size: status.size) }
    let bytes = try path.bytesOfFile()
    if bytes.count <= 300 { return "=" + escaped(bytes) }
    return "#\(bytes.count):" + String(digest(bytes), radix: 16)
  default: return ""
  }
}

/// Only the data of a big file, found by SEEK_DATA; zeros count as a hole.
private func sparseDigest(_ path: Path, size: UInt64) throws(Errno) -> String {
  let file = try path.open(O_RDONLY)
  defer { file.close() }
  var hash: UInt64 = 0
  var at: Int64 = 0
  while at < Int64(size) {
    let start: Int64
    do throws(Errno) { start = try file.seek(at, seekData) } catch { break }
    let end = try file.seek(start, seekHole)
    at = start - start % 4096
    while at < end {
      let block = try file.read(4096, at: at)
      if block.contains(where: { $0 != 0 }) { hash = hash &* 31 &+ digest(block) &+ UInt64(at) }
      at += 4096
    }
  }
  return "#\(size):" + String(hash, radix: 16)
}

/// FNV-1a.
public func digest(_ bytes: [UInt8]) -> UInt64 {
  bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}

private func attributes(_ path: Path) throws(Errno) -> [String: String] {
  var found: [String: String] = [:]
  for name in try path.attributes() { found[name] = escaped(try path.attribute(name)) }
  return found
}

/// The lines of one that the other lacks, for a message that can be read.
public func difference(_ old: [String], _ new: [String]) -> String {
  let gone = Set(old).subtracting(new).sorted().map { "- " + $0 }
  let come = Set(new).subtracting(old).sorted().map { "+ " + $0 }
  let lines = gone + come
  let more = lines.count > 20 ? ["… \(lines.count - 20) more"] : []
  return (lines.prefix(20) + more).joined(separator: "\n")
}
