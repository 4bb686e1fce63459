internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The file system that answers the kernel: nodes, directories and handles over UnionCore's rules.
/// One file a family of requests under `Operations/`.
///
/// Lock order, outermost first: `renameLock`, an `OpenFile`'s lock, directories' locks (ancestors
/// first), `treeLock`, the node table's lock, the descriptors' lock. No reply is sent under any.
final class Union: @unchecked Sendable {
  let branches: BranchSet
  let numbers: InodeNumbers
  let hiddenLinks: HiddenLinks
  let configuration: UnionConfiguration
  /// What changing the top branch takes; nil on a read-only union.
  let top: Top?
  let nodes: NodeTable
  let descriptors: DirectoryDescriptors
  let readAhead = ReadAhead()
  let root: Directory
  /// Held by renames of directories between directories, so that ancestry stands still.
  let renameLock = Lock()
  /// Written while a directory's place in the tree changes, read while descriptors are opened along
  /// the tree.
  let treeLock = ReadWriteLock()
  /// Whether the server may write where modes forbid it (CAP_DAC_OVERRIDE).
  let overridesModes = ProcessCall.hasCapability(1)
  /// The most files that are open at once.
  let openFileLimit: Int
  /// Whether reading moves no access time (`noatime`).
  let keepsAccessTimes: Bool
  /// Whether the kernel has refused passthrough for good.
  let isPassthroughRefused = Atomic<Bool>(false)
  /// Whether a name is told from a whiteout by a listing alone: in some branch any empty file may be one.
  let needsIndexes: Bool
  /// Whether the mount shows other owners than there are.
  let mapsOwners: Bool
  /// Those that tell owners in some branch; they are not part of the view.
  let ownerAttributes: [OwnerAttribute]
  /// Whether files are created with the caller's ids (a privileged server).
  let switchesIDs: Bool

  /// The tools of change.
  struct Top: Sendable {
    let area: WorkArea
    let whiteouts: Whiteouts
    let copyUp: CopyUp
    let pseudoLinks: PseudoLinks
  }

  /// Seconds for which the kernel may believe what it is told: only requests change it.
  static let timeout: Double = 86_400

  init(_ branches: BranchSet, configuration: UnionConfiguration) throws(Errno) {
    self.branches = branches
    self.configuration = configuration
    mapsOwners = !configuration.owners.isIdentity
    keepsAccessTimes = configuration.mountOptions.contains("noatime")
    numbers = InodeNumbers(branches)
    needsIndexes = branches.branches.contains(where: \.holdsMarkedWhiteouts)
    let ownerAttributes = OwnerAttribute.allCases.filter { attribute in
      branches.branches.contains { $0.owners == attribute }
    }
    self.ownerAttributes = ownerAttributes
    hiddenLinks = HiddenLinks(branches, numbers: numbers)
    top = try branches.writable.map { (branch) throws(Errno) in
      try Self.openTop(
        branch, branches, durability: configuration.durability, whiteouts: configuration.whiteouts,
        ownerAttributes: ownerAttributes)
    }
    // A quarter of the descriptors for directories, the rest for open files.
    let limit = Int(min(ProcessCall.raiseDescriptorLimit(), 1 << 20))
    let directories = max(64, min(limit / 4, 8192))
    descriptors = DirectoryDescriptors(limit: directories)
    FileSystemCall.whenDescriptorsRunOut { [descriptors] failures in
      // What others hold they let go of with their answers; 250 ms is what a caller may be kept for.
      guard failures == 0 || failures < 250 && Session.waitForOthers() else { return false }
      descriptors.closeUnused()
      return true
    }
    openFileLimit = max(64, limit - directories - 256)
    root = Directory(
      slot: NodeTable.rootSlot, branches: branches.branches.map { UInt16($0.index) },
      isResolved: branches.count == 1, cache: descriptors)
    for branch in branches.branches {
      let descriptor = try FileSystemCall.open(
        at: branch.root, ReservedName.here, OpenFlag.path | OpenFlag.directory)
      _ = descriptors.put(root, branch: UInt16(branch.index), DirectoryDescriptor(descriptor))
    }
    let attributes = branches[0].rootAttributes
    root.protection = Protection(attributes)
    nodes = NodeTable(
      root: root,
      inode: numbers.number(branch: 0, device: attributes.device, inode: attributes.inode),
      branch: 0)
    switchesIDs = Self.prepareToSwitchIDs()
    try makeUpForCrash()
    try recountLinks()
    descriptors.settle()
  }

  deinit {
    renameLock.destroy()
    treeLock.destroy()
  }

  private static func openTop(
    _ branch: Branch, _ branches: BranchSet, durability: UnionConfiguration.Durability,
    whiteouts: WhiteoutFormat, ownerAttributes: [OwnerAttribute]
  ) throws(Errno) -> Top {
    // What is made at its root the first time is no change of the branch.
    let before = try FileSystemCall.status(of: branch.root)
    defer {
      let after = try? FileSystemCall.status(of: branch.root)
      if let after, after.modified != before.modified {
        try? FileSystemCall.changeTimes(
          at: branch.root, ReservedName.itself, accessed: .keep, modified: .to(before.modified))
      }
    }
    try markOwners(of: branch, over: branches)
    let area = try WorkArea(on: branch)
    let flushing: CopyUp.Flushing =
      switch durability {
      case .auto: .data
      case .strict: .everything
      case .volatile: .nothing
      }
    return Top(
      area: area, whiteouts: try Whiteouts(on: branch, area: area, format: whiteouts),
      copyUp: CopyUp(
        area: area, flushing: flushing, owners: branch.owners, droppedAttributes: ownerAttributes),
      pseudoLinks: try PseudoLinks(on: branch))
  }

  /// Says at the root of a layer that stands alone what tells its owners: by that a later mount knows. What the
  /// root shows is what the uppermost of the lower ones shows that says so too, else as fuse-overlayfs has it.
  private static func markOwners(of branch: Branch, over branches: BranchSet) throws(Errno) {
    guard branch.keepsBooksElsewhere, let owners = branch.owners,
      try OwnerAttribute(ofRoot: branch.root) == nil
    else { return }
    var told = branch.rootAttributes
    (told.owner, told.group, told.mode) = (0, 0, FileKind.directory.modeBits | 0o555)
    for lower in branches.branches {
      guard let attribute = try OwnerAttribute(ofRoot: lower.root) else { continue }
      try attribute.tell(&told, at: lower.root, ReservedName.here)
      break
    }
    try owners.keep(told, at: branch.root, nil)
  }

  /// After a mount that ended without a word, whiteouts that hide nothing may lie on the top branch.
  /// Before the mount, so nothing else happens meanwhile.
  private func makeUpForCrash() throws(Errno) {
    guard let top, top.area.inodes.hasUncertainMarkers else { return }
    removeNeedlessMarkers(on: branches)
    try top.area.inodes.settleMarkers()
  }

  /// Before the first request. Without a thread in the background each request does its own deletions.
  func begin() {
    try? top?.area.background.start()
    startReadingAhead()
  }

  /// Before the session is closed.
  func stop() { readAhead.finish() }

  /// The mount's last word: nothing is left half done.
  func finish() {
    top?.area.background.finish()
    try? top?.area.inodes.settleMarkers()
  }

  /// CAP_SETUID and CAP_SETGID, and the kernel's word that capabilities stay when the ids change.
  private static func prepareToSwitchIDs() -> Bool {
    guard ProcessCall.hasCapability(7), ProcessCall.hasCapability(6) else { return false }
    return (try? ProcessCall.keepCapabilities()) != nil
  }

  /// The tools of change; EROFS on a read-only union.
  func changing() throws(Errno) -> Top {
    guard let top else { throw Errno.readOnlyFileSystem }
    return top
  }

  func branch(_ index: UInt16) -> Branch { branches[Int(index)] }

  /// Whether changes to this branch are the union's own.
  func isWritable(_ index: UInt16) -> Bool { index == 0 && top != nil }
}

extension Errno {
  /// ENOENT.
  static var notThere: Errno { .noSuchFileOrDirectory }
}
