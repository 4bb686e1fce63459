internal import Glibc

/// Something that a branch holds before the mount.
public struct Item: Sendable {
  enum Content: Sendable {
    case file([UInt8])
    case sparse(size: Int64, data: [(offset: Int64, bytes: [UInt8])])
    case directory
    case symlink(Path)
    case hardLink(of: Path)
    case special(Kind, major: UInt32, minor: UInt32)
    /// The directory's own path; the marker is made inside.
    case opaque
    /// The hidden name's path.
    case whiteout
  }

  var path: Path
  var content: Content
  var mode: UInt32
  var owner: (uid: UInt32, gid: UInt32) = (0, 0)
  var modified: Moment = builtTime
  var attributes: [String: [UInt8]] = [:]

  public static func file(_ path: Path, _ text: String = "", mode: UInt32 = 0o644) -> Item {
    Item(path: path, content: .file(Array(text.utf8)), mode: mode)
  }

  public static func file(_ path: Path, bytes: [UInt8], mode: UInt32 = 0o644) -> Item {
    Item(path: path, content: .file(bytes), mode: mode)
  }

  public static func sparse(
    _ path: Path, size: Int64, data: [(offset: Int64, bytes: [UInt8])] = []
  ) -> Item {
    Item(path: path, content: .sparse(size: size, data: data), mode: 0o644)
  }

  public static func directory(_ path: Path, mode: UInt32 = 0o755) -> Item {
    Item(path: path, content: .directory, mode: mode)
  }

  public static func symlink(_ path: Path, to target: Path) -> Item {
    Item(path: path, content: .symlink(target), mode: 0o777)
  }

  /// Another name of an earlier item.
  public static func hardLink(_ path: Path, of first: Path) -> Item {
    Item(path: path, content: .hardLink(of: first), mode: 0)
  }

  public static func special(
    _ path: Path, _ kind: Kind, mode: UInt32 = 0o644, major: UInt32 = 0, minor: UInt32 = 0
  ) -> Item {
    Item(path: path, content: .special(kind, major: major, minor: minor), mode: mode)
  }

  public static func whiteout(_ path: Path) -> Item {
    Item(path: path, content: .whiteout, mode: 0o444)
  }

  public static func opaque(_ directory: Path) -> Item {
    Item(path: directory, content: .opaque, mode: 0o444)
  }

  public var isHardLink: Bool {
    if case .hardLink = content { return true }
    return false
  }

  public func owned(_ uid: UInt32, _ gid: UInt32) -> Item {
    var item = self
    item.owner = (uid, gid)
    return item
  }

  public func modified(_ time: Moment) -> Item {
    var item = self
    item.modified = time
    return item
  }

  public func attribute(_ name: String, _ value: [UInt8]) -> Item {
    var item = self
    item.attributes[name] = value
    return item
  }

  /// The same in a folder.
  public func inside(_ folder: Path) -> Item {
    var item = self
    item.path = folder / path
    if case .hardLink(let first) = content { item.content = .hardLink(of: folder / first) }
    return item
  }

  public func attribute(_ name: String, _ value: String) -> Item {
    attribute(name, Array(value.utf8))
  }
}

/// The times of everything that a fixture makes, unless the item says another; long ago, so that
/// a change of times shows, and with nanoseconds that no clock gives.
public let builtTime = Moment(1_000_000_000, 123_456_789)

/// What makes a whiteout or an opaque directory; kernel overlayfs, to which expectations of the
/// view can be compared, has other marks.
enum MarkStyle { case aufs, overlayfs }

/// Puts the items into a branch directory, makes missing parents, then sets every time.
func build(_ items: [Item], in branch: Path, owner: (uid: UInt32, gid: UInt32)?, marks: MarkStyle)
  throws(Errno)
{
  var made: [(path: Path, modified: Moment)] = []
  for item in items {
    try makeParents(of: item.path, in: branch, owner: owner, &made)
    made.append((try make(item, in: branch, owner: owner, marks: marks), item.modified))
  }
  for entry in made.reversed() where entry.path.exists {
    try entry.path.setTimes(accessed: entry.modified, modified: entry.modified)
  }
  try branch.setTimes(accessed: builtTime, modified: builtTime)
}

/// Puts the items into a directory, with marks of aufs where an item does not say another.
/// What has no owner of its own is the account's, or root's.
public func build(_ items: [Item], in branch: Path, account: Account? = nil) throws(Errno) {
  try build(items, in: branch, owner: account.map { ($0.uid, $0.gid) }, marks: .aufs)
}

private func makeParents(
  of path: Path, in branch: Path, owner: (uid: UInt32, gid: UInt32)?,
  _ made: inout [(path: Path, modified: Moment)]
) throws(Errno) {
  let parent = path.parent
  guard !parent.bytes.isEmpty, !(branch / parent).exists else { return }
  try makeParents(of: parent, in: branch, owner: owner, &made)
  try (branch / parent).mkdir()
  try (branch / parent).chmod(0o755)
  try (branch / parent).chown(owner?.uid ?? 0, owner?.gid ?? 0)
  made.append((branch / parent, builtTime))
}

private func make(
  _ item: Item, in branch: Path, owner: (uid: UInt32, gid: UInt32)?, marks: MarkStyle
) throws(Errno) -> Path {
  let path = branch / item.path
  switch item.content {
  case .file(let bytes): try path.write(bytes: bytes)
  case .sparse(let size, let data):
    try path.write("")
    let file = try path.open(O_RDWR)
    defer { file.close() }
    try file.truncate(size)
    for part in data { try file.write(part.bytes, at: part.offset) }
  case .directory: if !path.exists { try path.mkdir() }
  case .symlink(let target): try path.symlink(to: target)
  case .hardLink(let first):
    try (branch / first).link(to: path)
    return path
  case .special(.socket, _, _): try path.bindSocket()
  case .special(let kind, let major, let minor): try path.mknod(kind, major: major, minor: minor)
  case .whiteout: return try makeWhiteout(of: path, owner: owner, marks)
  case .opaque: return try makeOpaque(path, owner: owner, marks)
  }
  let uid = item.owner.uid == 0 ? owner?.uid ?? 0 : item.owner.uid
  let gid = item.owner.gid == 0 ? owner?.gid ?? 0 : item.owner.gid
  try path.chown(uid, gid)
  // After the owner, whose change drops set-user-ID and capabilities.
  if try path.stat().kind != .symlink { try path.chmod(item.mode) }
  for (name, value) in item.attributes { try path.setAttribute(name, value) }
  return path
}

private func makeMark(_ path: Path, owner: (uid: UInt32, gid: UInt32)?) throws(Errno) -> Path {
  try path.write("", mode: 0o444)
  try path.chmod(0o444)
  try path.chown(owner?.uid ?? 0, owner?.gid ?? 0)
  return path
}

private func makeWhiteout(
  of path: Path, owner: (uid: UInt32, gid: UInt32)?, _ marks: MarkStyle
) throws(Errno) -> Path {
  switch marks {
  case .aufs:
    let name = Path(bytes: Array(".wh.".utf8) + path.name)
    return try makeMark(path.parent / name, owner: owner)
  case .overlayfs:
    if !path.exists { try path.mknod(.character, mode: 0) }
    return path
  }
}

private func makeOpaque(
  _ path: Path, owner: (uid: UInt32, gid: UInt32)?, _ marks: MarkStyle
) throws(Errno) -> Path {
  if !path.exists {
    try path.mkdir()
    try path.chown(owner?.uid ?? 0, owner?.gid ?? 0)
  }
  switch marks {
  case .aufs: return try makeMark(path / ".wh..wh..opq", owner: owner)
  case .overlayfs:
    try path.setAttribute("trusted.overlay.opaque", "y")
    return path
  }
}
