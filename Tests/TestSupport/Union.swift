internal import CTestCalls
internal import Glibc
public import Testing

/// A branch of a test's union.
public struct Branch: Sendable {
  public let permission: String
  let items: [Item]
  var tmpfsSize: String?

  /// Writable.
  public static func rw(_ items: [Item] = []) -> Branch { Branch(permission: "rw", items: items) }
  /// Read-only, its whiteouts honoured, as every layer below a container's.
  public static func lower(_ items: [Item] = []) -> Branch {
    Branch(permission: "ro+wh", items: items)
  }
  /// Read-only, its whiteouts without a meaning.
  public static func plain(_ items: [Item] = []) -> Branch {
    Branch(permission: "ro", items: items)
  }

  /// On a file system of its own.
  public func onTmpfs(size: String = "64m") -> Branch {
    var branch = self
    branch.tmpfsSize = size
    return branch
  }

  /// On a file system that knows neither extended attributes nor ACLs.
  public func onRamfs() -> Branch {
    var branch = self
    branch.tmpfsSize = "ramfs"
    return branch
  }

  var honoursWhiteouts: Bool { permission != "ro" }
}

/// What is asserted at the end of every test unless it opts out.
public struct Checks: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Every branch but a writable top is as it was: names, modes, owners, times, xattrs, content.
  public static let lowerUnchanged = Checks(rawValue: 1)
  /// The view is what aufs's rules give for the branches after the unmount.
  public static let model = Checks(rawValue: 2)
  /// The view is the same after a new mount, inode numbers too.
  public static let remount = Checks(rawValue: 4)
  /// Every new whiteout on top hides something.
  public static let whiteouts = Checks(rawValue: 8)
  public static let all: Checks = [.lowerUnchanged, .model, .remount, .whiteouts]
}

/// What serves the mounts of the tests. Kernel overlayfs is there to try expectations of the view
/// on: with `UNIONFS_TEST_BACKEND=overlayfs` what the branches hold is not looked at.
public enum Backend: String, Sendable {
  case ours, overlayfs

  public static let current =
    Backend(rawValue: currentEnvironment["UNIONFS_TEST_BACKEND"] ?? "ours") ?? .ours
  public static let isOurs = current == .ours
}

/// Branch directories in a temporary folder and a mount point over them.
public final class Union {
  public let folder: Path
  public let mnt: Path
  /// Top first.
  public let branches: [Path]
  public let specification: [Branch]
  public var options: [String]
  /// The command that starts the mount command, `prlimit` or so.
  public var launcher: [String] = []
  /// What the server has in its environment beside this process's.
  public var environment: [String: String] = [:]
  let account: Account?
  private var files: [File] = []
  private var mappings: [Mapping] = []
  private var before: [[String]] = []
  private var whiteoutsBefore: Set<Path> = []
  let location: SourceLocation

  public var top: Path { branches[0] }
  public var lower: Path { branches[1] }
  /// What a writable branch's root holds for the file system itself.
  public let own = ownEntries

  /// Whether whiteouts and opaque directories are written as overlayfs has them; the fixture's are so then,
  /// too.
  public var writesOverlay: Bool {
    (Modes.options + options).last { $0.hasPrefix("whiteout=") } == "whiteout=overlay"
  }

  /// A path in the mount.
  public static func / (union: Union, path: Path) -> Path { union.mnt / path }

  init(_ specification: [Branch], options: [String], account: Account?, location: SourceLocation)
    throws
  {
    self.specification = specification
    self.options = options
    self.account = account
    self.location = location
    folder = try Union.makeFolder()
    mnt = folder / "mnt"
    branches = specification.indices.map { [folder] in folder / Path("branch\($0)") }
    for path in branches + [mnt] { try path.mkdir() }
    for (path, branch) in zip(branches, specification) {
      if let size = branch.tmpfsSize {
        if size == "ramfs" {
          try path.mount(source: "ramfs", type: "ramfs", data: "mode=0755")
        } else {
          try path.mount(source: "tmpfs", type: "tmpfs", data: "mode=0755,size=\(size)")
        }
      }
    }
    let owner = account.map { (uid: $0.uid, gid: $0.gid) }
    if let owner {
      for path in branches + [mnt, folder] { try path.chown(owner.uid, owner.gid) }
    }
    for (path, branch) in zip(branches, specification) {
      try build(
        branch.items, in: path, owner: owner,
        marks: Backend.isOurs && !writesOverlay ? .aufs : .overlayfs)
    }
    before = try lowerIndices.map(snapshot)
    whiteoutsBefore = try hasWritableTop ? Set(newWhiteouts()) : []
  }

  private static func makeFolder() throws(Errno) -> Path {
    let parent = Path(currentEnvironment["UNIONFS_TEST_DIR"] ?? "/var/tmp")
    while true {
      let folder = parent / Path("unionfs-swift-test.\(UInt32.random(in: 0 ... .max))")
      do throws(Errno) { try folder.mkdir() } catch {
        if error == .exists { continue }
        throw error
      }
      try folder.chmod(0o755)
      return folder
    }
  }

  var hasWritableTop: Bool { specification[0].permission == "rw" }
  private var lowerIndices: [Int] { Array(specification.indices.dropFirst(hasWritableTop ? 1 : 0)) }

  // MARK: Files that stay open until the end of the test at most

  /// Opens below the mount point; closed at the end of the test if not before.
  public func open(_ path: Path, _ flags: Int32, _ mode: UInt32 = 0o644) throws(Errno) -> File {
    keep(try (mnt / path).open(flags, mode))
  }

  @discardableResult
  public func keep(_ file: File) -> File {
    files.append(file)
    return file
  }

  public func map(_ file: File, size: Int, writable: Bool = false, shared: Bool = true)
    throws(Errno) -> Mapping
  {
    let mapping = try Mapping(file, size: size, writable: writable, shared: shared)
    mappings.append(mapping)
    return mapping
  }

  public func closeAll() {
    for mapping in mappings { mapping.unmap() }
    for file in files { file.close() }
    (files, mappings) = ([], [])
  }

  // MARK: What there is

  /// Runs the body as the user who mounted; root where root did.
  public func act<R>(_ body: () throws -> R) throws -> R {
    // Within itself it has nothing left to do; geteuid(2) is of this thread.
    guard let account, geteuid() != account.uid else { return try body() }
    return try account.identity.run(body)
  }

  /// The mount's tree, its inode numbers and entry types checked on the way.
  public func viewNodes(_ location: SourceLocation? = nil) throws -> [Node] {
    try act {
      let nodes = try walk(mnt)
      checkNumbers(nodes, location ?? self.location)
      return nodes
    }
  }

  public func view() throws -> [String] { try viewNodes().map(\.line) }

  /// Asserts what the mount shows and what the top branch holds.
  public func expect(
    view: [String]? = nil, top: [String]? = nil, _ location: SourceLocation = #_sourceLocation
  ) throws {
    if let view {
      let shown = try viewNodes(location).map(\.line).sorted()
      #expect(shown == view.sorted(), sourceLocation: location)
    }
    if let top, Backend.isOurs {
      let held = try diskTree(self.top, asAufs: writesOverlay).sorted()
      #expect(held == top.sorted(), "on the top branch", sourceLocation: location)
    }
  }

  private func checkNumbers(_ nodes: [Node], _ location: SourceLocation) {
    guard Backend.isOurs, let root = try? mnt.stat() else { return }
    var owners: [UInt64: Node] = [:]
    for node in nodes {
      let (status, listed) = (node.status, node.listed)
      #expect(listed.inode == status.inode, "d_ino of \(node.path)", sourceLocation: location)
      #expect(
        listed.type == status.kind.entryType, "d_type of \(node.path)", sourceLocation: location)
      #expect(status.device == root.device, "st_dev of \(node.path)", sourceLocation: location)
      if let other = owners[status.inode], status.links < 2 || other.status.kind == .directory {
        Issue.record(
          "\(other.path) and \(node.path) share inode \(status.inode)", sourceLocation: location)
      }
      owners[status.inode] = node
    }
  }

  /// Names, modes, owners, times, xattrs, content and link counts of a branch.
  func snapshot(_ index: Int) throws(Errno) -> [String] {
    let root = try branches[index].stat()
    let first = ". \(String(root.mode, radix: 8)) \(root.uid):\(root.gid) \(root.modified)"
    return [first] + (try walk(branches[index]).map { $0.detail + " links \($0.status.links)" })
  }

  // MARK: The end

  func checkLower() throws {
    for (index, old) in zip(lowerIndices, before) {
      let now = try snapshot(index)
      let message = difference(old, now)
      #expect(now == old, "branch \(index) changed:\n\(message)", sourceLocation: location)
    }
  }

  /// The hidden names' paths of every whiteout on the top branch.
  private func newWhiteouts() throws(Errno) -> [Path] {
    var found: [Path] = []
    for node in try walk(top, skip: ownEntries) {
      let name = Path(bytes: node.path.name)
      if name.bytes.starts(with: Array(".wh..wh.long.".utf8)) {
        found.append(node.path.parent / Path(bytes: try (top / node.path).bytesOfFile()))
      } else if name.isReserved, !name.bytes.starts(with: Array(".wh..wh.".utf8)) {
        found.append(node.path.parent / Path(bytes: Array(name.bytes.dropFirst(4))))
      } else if node.status.isOverlayWhiteout {
        found.append(node.path)
      }
    }
    return found.filter { !whiteoutsBefore.contains($0) }
  }

  func checkWhiteouts() throws {
    let rest = zip(branches, specification).dropFirst()
    let below = AufsModel(
      rest.map { .init(path: $0.0, honoursWhiteouts: $0.1.honoursWhiteouts) })
    let shown = Set(try below.view().map(\.path))
    for hidden in try newWhiteouts() {
      var folder = hidden.parent
      var useful = shown.contains(hidden)
      while !folder.bytes.isEmpty {
        if (top / folder / ".wh..wh..opq").exists { useful = false }
        if try (top / folder).isMarkedOpaque { useful = false }
        folder = folder.parent
      }
      if !useful {
        Issue.record("the whiteout of \(hidden) hides nothing", sourceLocation: location)
      }
    }
  }

  /// The whiteouts in a folder of the top branch that hide nothing: beside an entry, in an opaque
  /// directory, or of a name that no lower branch has. For lower branches without whiteouts.
  public func needlessWhiteouts(in folder: Path) throws -> [Path] {
    var found: [Path] = []
    guard let entries = try? (top / folder).entries() else { return [] }
    let isOpaque =
      try entries.contains { $0.name == ".wh..wh..opq" } || (top / folder).isMarkedOpaque
    for entry in entries where try (top / folder / entry.name).stat().isOverlayWhiteout {
      let isNeeded = branches.dropFirst().contains { ($0 / folder / entry.name).exists }
      if isOpaque || !isNeeded { found.append(folder / entry.name) }
    }
    for entry in entries where entry.name.isReserved && entry.name != ".wh..wh..opq" {
      let hidden = folder / Path(bytes: Array(entry.name.bytes.dropFirst(4)))
      let isNeeded = branches.dropFirst().contains { ($0 / hidden).exists }
      if isOpaque || !isNeeded || (top / hidden).exists { found.append(folder / entry.name) }
    }
    for entry in entries where try (top / folder / entry.name).stat().kind == .directory {
      found += try needlessWhiteouts(in: folder / entry.name)
    }
    return found
  }

  func checkModel(_ shown: [String]) throws {
    let model = AufsModel(
      zip(branches, specification).map {
        .init(path: $0, honoursWhiteouts: $1.honoursWhiteouts)
      })
    let expected = try model.view().map(\.detail)
    let message = difference(expected, shown)
    #expect(
      shown == expected, "the view is not what the branches give:\n\(message)",
      sourceLocation: location)
  }

  /// Nothing of the work of the file system stays among the names of the top branch.
  func checkLeftovers() throws {
    guard hasWritableTop else { return }
    for node in try walk(top, skip: ownEntries) {
      let name = String(decoding: node.path.name, as: UTF8.self)
      guard name.hasPrefix(".wh..wh."), name != ".wh..wh..opq", !name.hasPrefix(".wh..wh.long.")
      else { continue }
      Issue.record("left behind on the top branch: \(node.path)", sourceLocation: location)
    }
  }

  func removeFolder() {
    for (path, branch) in zip(branches, specification) where branch.tmpfsSize != nil {
      try? path.umount(lazily: true)
    }
    do throws(Errno) { try folder.removeTree() } catch {
      Issue.record("cannot remove \(folder): \(error)", sourceLocation: location)
    }
  }
}

extension Trait where Self == ConditionTrait {
  /// For every test with a union of its own: owners, devices and other users' calls are root's.
  public static var mounts: Self {
    .enabled(
      if: geteuid() == 0 && Path("/dev/fuse").exists,
      "needs root, and /dev/fuse, which `modprobe fuse` gives")
  }

  /// For what looks at whiteouts of aufs's format on disk.
  public static var formatOfAufs: Self {
    .enabled(if: !Modes.writesOverlay, "whiteouts have another format in this run")
  }

  /// For what kernel overlayfs, on which expectations are tried, does in another way.
  public static var rulesOfAufs: Self {
    .enabled(if: Backend.isOurs, "kernel overlayfs does not follow aufs here")
  }
}
