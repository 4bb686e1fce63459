/// One thing that `check` has to say of a branch.
public struct Finding: Sendable, Equatable {
  /// Stable names: scripts compare them. docs/cli.md says what each means.
  public enum Kind: String, Sendable, CaseIterable {
    case whiteoutBesideEntry = "whiteout-beside-entry"
    case whiteoutNotRegular = "whiteout-not-regular"
    case needlessWhiteout = "needless-whiteout"
    case whiteoutInOpaque = "whiteout-in-opaque"
    case needlessOpaque = "needless-opaque"
    case leftover = "leftover"
    case stagedLeftover = "staged-leftover"
    case orphan = "orphan"
    case brokenPseudoLink = "broken-pseudo-link"
    case brokenLongWhiteout = "broken-long-whiteout"
    case brokenInodeTable = "broken-inode-table"
    case reservedNotDirectory = "reserved-not-directory"
    case unreadable = "unreadable"
    case overlayRedirect = "overlay-redirect"
    /// For information: a long whiteout that is as it should be.
    case longWhiteout = "long-whiteout"

    /// Whether it is told only where everything is asked for, and is nothing to mend.
    public var isNote: Bool { self == .longWhiteout }
  }

  /// What mends it without losing anything that the union shows.
  public enum Remedy: Sendable, Equatable {
    /// Nothing that is safe; the advice says what a person may do.
    case none
    /// An empty regular file, or a whiteout of overlayfs, goes; what holds something stays.
    case removeMarker
    /// The attribute that makes the directory itself opaque goes.
    case removeOpaqueAttribute
    /// A long whiteout, whose content is the name that it hides, goes.
    case removeLongWhiteout(hides: [UInt8])
    /// The directory of that name becomes opaque, then the whiteout beside it goes.
    case makeOpaque(directory: [UInt8])
    /// What no union shows goes, with all that is in it.
    case removeTree
    /// Numbers that cannot be read are given up, as the next mount would.
    case cutInodeTable
    /// The number is written into the inode table.
    case recordNumber(UInt64)
  }

  /// What became of it.
  public enum State: Sendable, Equatable {
    case found
    /// A repair was asked for, and this would be mended; or not here.
    case wouldRepair
    case repaired
    /// Why it was not.
    case left(String)
  }

  public var kind: Kind
  /// The index of the branch, 0 for the topmost.
  public var branch: Int
  /// Below the branch, without a leading slash.
  public var path: [UInt8]
  /// What is wrong, one line.
  public var message: String
  /// What to do.
  public var advice: String
  public var state = State.found

  public init(
    _ kind: Kind, branch: Int, path: [UInt8], _ message: String, advice: String
  ) {
    self.kind = kind
    self.branch = branch
    self.path = path
    self.message = message
    self.advice = advice
  }

  /// Whether it is still there, and worth an exit status.
  public var remains: Bool { !kind.isNote && state != .repaired }
}

/// A finding in the directory that is looked at, with what mends it.
public struct LocalFinding: Sendable, Equatable {
  public var kind: Finding.Kind
  public var branch: Int
  /// Its name in the directory.
  public var name: [UInt8]
  public var message: String
  public var advice: String
  public var remedy: Finding.Remedy

  public init(
    _ kind: Finding.Kind, branch: Int, name: [UInt8], _ message: String, advice: String,
    remedy: Finding.Remedy = .none
  ) {
    self.kind = kind
    self.branch = branch
    self.name = name
    self.message = message
    self.advice = advice
    self.remedy = remedy
  }
}
