public import SystemCalls
public import SystemPackage

/// An opened branch.
public final class Branch: Sendable {
  /// The union's index of it: 0 is the topmost.
  public let index: Int
  public let specification: BranchSpecification
  /// A readable descriptor of its root directory, open as long as the branch.
  public let root: CInt
  public let rootAttributes: Attributes
  public let isWritable: Bool
  /// What overlayfs's attributes say of the root; nil where the branch honours none or its file system has
  /// none at all.
  private let rootMarks: OverlayMarks?
  /// The directory that holds `.wh..wh.aufs` and what else is not part of the view: the root, or a
  /// directory beside the branch on the same mount (`BranchSpecification.workDirectory`).
  public let bookkeeping: CInt
  /// What tells its owners in the place of the files themselves.
  public let owners: OwnerAttribute?

  init(
    index: Int, specification: BranchSpecification, root: CInt, attributes: Attributes,
    isWritable: Bool, marks: OverlayMarks?, owners: OwnerAttribute?, bookkeeping: CInt? = nil
  ) {
    self.index = index
    self.specification = specification
    self.root = root
    self.rootAttributes = attributes
    self.isWritable = isWritable
    rootMarks = marks
    self.owners = owners
    self.bookkeeping = bookkeeping ?? root
  }

  deinit {
    FileSystemCall.close(root)
    if bookkeeping != root { FileSystemCall.close(bookkeeping) }
  }

  /// Whether nothing but the layer lies in the branch.
  public var keepsBooksElsewhere: Bool { bookkeeping != root }

  public var honoursWhiteouts: Bool { specification.honoursWhiteouts }

  /// Whether empty files with an attribute may be whiteouts: overlayfs looks for such only where the root
  /// says so.
  public var holdsMarkedWhiteouts: Bool { rootMarks?.holdsMarkedWhiteouts ?? false }

  /// What overlayfs's attributes say of a file or directory of the branch, where they count.
  public func marks(at directory: CInt, _ name: CName) throws(Errno) -> OverlayMarks {
    guard let rootMarks else { return OverlayMarks() }
    var marks = try OverlayMarks(at: directory, name)
    if !rootMarks.holdsMarkedWhiteouts { marks.holdsMarkedWhiteouts = false }
    return marks
  }

  /// The same of a directory by any descriptor of it.
  public func marks(of directory: CInt) throws(Errno) -> OverlayMarks {
    try marks(at: directory, ReservedName.here)
  }

  /// EIO for a file whose content overlayfs would take from below: what is here is none of it.
  public func checkContent(
    _ attributes: Attributes, at directory: CInt, _ name: CName
  ) throws(Errno) {
    guard attributes.mayBeMetacopy, rootMarks != nil else { return }
    if try OverlayMarks(at: directory, name).isMetacopy { throw Errno.ioError }
  }

  /// The same branch through a mount of its own, as kernel overlayfs takes its layers: nothing the
  /// server does can change it or move an access time. Itself where the server may not mount.
  fileprivate func throughPrivateMount() -> Branch {
    guard let root = try? FileSystemCall.cloneMountReadOnly(root) else { return self }
    return Branch(
      index: index, specification: specification, root: root, attributes: rootAttributes,
      isWritable: false, marks: rootMarks, owners: owners)
  }
}

/// The branches of a union, top first, checked against each other.
public struct BranchSet: Sendable {
  public private(set) var branches: [Branch]

  public var count: Int { branches.count }
  public subscript(index: Int) -> Branch { branches[index] }
  /// The branch that changes go to; nil on a read-only union.
  public var writable: Branch? { branches.first.flatMap { $0.isWritable ? $0 : nil } }

  /// Opens and checks the branches. Refused: none at all, the same directory twice, one branch above
  /// or below another, the mount point inside a branch or a branch inside the mount point, a `rw`
  /// branch that is not the first or lies on a read-only file system, and one that another mount
  /// writes to. The lock on the writable branch goes with its descriptor, also when the process
  /// is killed.
  public init(
    _ specifications: [BranchSpecification], mountPoint: String, readOnly: Bool
  ) throws(Failure) {
    guard !specifications.isEmpty else {
      throw Failure(.usage, "no branch is named", advice: "name at least one with --branch DIR=rw")
    }
    guard specifications.count < Int(IndexEntry.none) else {
      throw Failure(.usage, "\(specifications.count) branches are too many")
    }
    var opened: [Branch] = []
    for (index, specification) in specifications.enumerated() {
      opened.append(try Self.open(specification, index: index, readOnly: readOnly))
    }
    branches = opened
    try checkMountPoint(mountPoint, places: try checkNesting())
    if let top = writable {
      if top.keepsBooksElsewhere { try top.checkWorkDirectory(against: opened) }
      try Self.lock(top.root, "the branch \(top.specification.path)")
      if top.keepsBooksElsewhere, let work = top.specification.workDirectory {
        try Self.lock(top.bookkeeping, "the work directory \(work)")
      }
    }
    branches = opened.map { $0.isWritable ? $0 : $0.throughPrivateMount() }
  }

  /// Opens and checks the branches of a union without mounting it.
  ///
  /// - Parameter locked: the indices of those that nothing else may write to until these are closed.
  public init(
    unmounted specifications: [BranchSpecification], locked: Set<Int>
  ) throws(Failure) {
    var opened: [Branch] = []
    for (index, specification) in specifications.enumerated() {
      opened.append(
        try Self.open(specification, index: index, readOnly: !locked.contains(index)))
    }
    branches = opened
    _ = try checkNesting()
    for branch in branches where locked.contains(branch.index) {
      try Self.lock(branch.root, "the branch \(branch.specification.path)")
    }
  }

  /// Whether something writes to a branch through a mount now.
  static func isInUse(_ branch: Branch) -> Bool {
    guard
      let other = try? FileSystemCall.open(
        at: branch.root, ReservedName.here, OpenFlag.readOnly | OpenFlag.directory)
    else { return false }
    // The lock belongs to this descriptor and goes with it.
    defer { FileSystemCall.close(other) }
    do throws(Errno) { try FileSystemCall.lockExclusively(other) } catch {
      return error == .wouldBlock
    }
    return false
  }

  private static func open(
    _ specification: BranchSpecification, index: Int, readOnly: Bool
  ) throws(Failure) -> Branch {
    let path = specification.path.string
    let wantsWriting = specification.permission == .readWrite
    if wantsWriting && index > 0 {
      throw Failure(
        .unusableBranches, "the branch \(path) is rw, but not the first",
        advice: "only the top branch can be written to; make it ro+wh")
    }
    do throws(Errno) {
      let root = try FileSystemCall.open(
        path: specification.path, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.nonBlocking)
      let isWritable = wantsWriting && !readOnly
      let branch = Branch(
        index: index, specification: specification, root: root,
        attributes: try attributes(ofRoot: root), isWritable: isWritable,
        marks: specification.honoursWhiteouts ? try OverlayMarks(ofRoot: root) : nil,
        owners: try owners(specification, root),
        bookkeeping: isWritable ? try openWorkDirectory(specification) : nil)
      if branch.isWritable, try FileSystemCall.fileSystem(of: root).isReadOnly {
        throw Errno.readOnlyFileSystem
      }
      return branch
    } catch { throw failure(of: error, path: path) }
  }

  private static func owners(
    _ specification: BranchSpecification, _ root: CInt
  ) throws(Errno) -> OwnerAttribute? {
    switch specification.owners {
    case .disk: nil
    case .attribute(let attribute): attribute
    case .detected(let other): try OwnerAttribute(ofRoot: root) ?? other
    }
  }

  /// nil where the branch's root serves for it.
  private static func openWorkDirectory(
    _ specification: BranchSpecification
  ) throws(Errno) -> CInt? {
    guard let work = specification.workDirectory else { return nil }
    return try FileSystemCall.open(
      path: work, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.nonBlocking)
  }

  /// A file system may call all of its files immutable (erofs does) without the flag of chattr(1).
  private static func attributes(ofRoot root: CInt) throws(Errno) -> Attributes {
    let told = try FileSystemCall.status(of: root)
    if told.isProtected, (try? FileSystemCall.flags(of: root)).map({ $0 & 0x30 == 0 }) ?? true {
      FileSystemCall.ignoreInodeFlags(ofDevice: told.device)
      return try FileSystemCall.status(of: root)
    }
    return told
  }

  private static func failure(of error: Errno, path: String) -> Failure {
    switch error {
    case .noSuchFileOrDirectory:
      Failure(
        .missingInput, "the branch \(path) does not exist", advice: "create it, or name another")
    case .notDirectory: Failure(.missingInput, "the branch \(path) is not a directory")
    case .fileNameTooLong: Failure(.missingInput, "the branch \(path) has too long a name")
    case .permissionDenied:
      Failure(.permission, "the branch \(path) cannot be opened: \(error)")
    case .readOnlyFileSystem:
      Failure(
        .unusableBranches, "the branch \(path) is rw on a read-only file system",
        advice: "make it ro+wh, or put a writable directory on top")
    default: Failure(.failed, "the branch \(path) cannot be opened: \(error)")
    }
  }

  /// A server that has just been unmounted may still be on its way out: the lock is tried for a
  /// moment.
  private static func lock(_ directory: CInt, _ name: String) throws(Failure) {
    for attempt in 0...20 {
      do throws(Errno) { return try FileSystemCall.lockExclusively(directory) } catch {
        guard error == .wouldBlock else {
          throw Failure(.failed, "\(name) cannot be locked: \(error)")
        }
      }
      if attempt < 20 { ProcessCall.pause(milliseconds: 25) }
    }
    throw Failure(
      .busy, "\(name) is written to by another mount",
      advice: "unmount that one first, or give this mount a top branch of its own")
  }

  /// A file's identity.
  struct Identity: Hashable {
    var device: UInt64
    var inode: UInt64
    init(_ attributes: Attributes) {
      device = attributes.device
      inode = attributes.inode
    }
  }

  /// The branch at each directory.
  private func checkNesting() throws(Failure) -> [Identity: String] {
    var places: [Identity: String] = [:]
    for branch in branches {
      let path = branch.specification.path.string
      if let other = places[Identity(branch.rootAttributes)] {
        throw Failure(
          .unusableBranches,
          other == path
            ? "the branch \(path) is named twice"
            : "the branches \(other) and \(path) are one directory",
          advice: "leave one of them out")
      }
      places[Identity(branch.rootAttributes)] = path
    }
    for branch in branches {
      let path = branch.specification.path.string
      for above in Self.directories(above: branch.root) {
        if let other = places[above] {
          throw Failure(
            .unusableBranches, "the branch \(path) lies inside the branch \(other)",
            advice: "branches must not contain each other")
        }
      }
    }
    return places
  }

  private func checkMountPoint(
    _ mountPoint: String, places: [Identity: String]
  ) throws(Failure) {
    let descriptor: CInt
    let own: Identity
    do throws(Errno) {
      descriptor = try FileSystemCall.open(
        path: mountPoint, OpenFlag.path | OpenFlag.directory)
      own = Identity(try FileSystemCall.status(of: descriptor))
    } catch {
      if error == .noSuchFileOrDirectory {
        throw Failure(
          .missingInput, "the mount point \(mountPoint) does not exist",
          advice: "create it with mkdir")
      }
      throw Failure(.missingInput, "the mount point \(mountPoint) cannot be used: \(error)")
    }
    defer { FileSystemCall.close(descriptor) }
    for place in [own] + Self.directories(above: descriptor) {
      if let branch = places[place] {
        throw Failure(
          .unusableBranches, "the mount point \(mountPoint) lies inside the branch \(branch)",
          advice: "mount somewhere else")
      }
    }
    for branch in branches where Self.directories(above: branch.root).contains(own) {
      throw Failure(
        .unusableBranches,
        "the branch \(branch.specification.path) lies inside the mount point \(mountPoint)",
        advice: "it would be covered by the mount; mount somewhere else")
    }
  }

  /// The directories above one, up to the root.
  static func directories(above start: CInt) -> [Identity] {
    var list: [Identity] = []
    var current = start
    defer { if current != start { FileSystemCall.close(current) } }
    while list.count < 4096,
      let next = try? FileSystemCall.open(
        at: current, ReservedName.above, OpenFlag.path | OpenFlag.directory)
    {
      let identity = (try? FileSystemCall.status(of: next)).map(Identity.init)
      let last = (try? FileSystemCall.status(of: current)).map(Identity.init)
      if current != start { FileSystemCall.close(current) }
      current = next
      guard let identity, identity != last else { break }
      list.append(identity)
    }
    return list
  }
}
