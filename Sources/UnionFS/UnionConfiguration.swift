public import UnionCore

/// All that one mount of a union is made from; checked and opened by `UnionMount`.
public struct UnionConfiguration: Sendable {
  /// When a copy-up's data reaches the disk; `docs/semantics.md` has the guarantees.
  public enum Durability: String, Sendable, CaseIterable {
    /// Data is flushed before it is published.
    case auto
    /// Data and directories are flushed.
    case strict
    /// Nothing is flushed.
    case volatile
  }

  /// What renaming a directory with visible lower content does.
  public enum DirectoryRename: String, Sendable, CaseIterable {
    /// The subtree is brought to the top branch, then renamed in one step.
    case materialise
    /// EXDEV, as aufs answers.
    case exdev
  }

  /// Whether the kernel reads and writes files by itself, where it may.
  public enum Passthrough: String, Sendable, CaseIterable {
    /// On files of file systems that are not stacked themselves; a stacked one may lie on the mount.
    case auto
    /// On a stacked file system too (overlayfs, another passthrough mount); nothing stacks on the
    /// mount then.
    case stacked
    case off
  }

  /// Whether the kernel keeps what is written for a while and sends it in large pieces.
  public enum Writeback: String, Sendable, CaseIterable {
    /// Where it cannot write by itself (`Passthrough`): an unprivileged server, an older kernel. Not on a
    /// file system with little room, so that no write that has been acknowledged finds none.
    case auto
    case off
  }

  /// What a file of a lower branch that is open to be read shows once it has been copied up.
  public enum Readers: String, Sendable, CaseIterable {
    /// What is written.
    case coherent
    /// What it was. The kernel reads it by itself then, where it may (`Passthrough`).
    case fast
  }

  /// Where requests are served.
  public enum Serving: String, Sendable, CaseIterable {
    /// A single caller's on the core on which it waits, where the server may do that.
    case near
    /// Wherever the scheduler puts the server's threads.
    case any
  }

  /// Top branch first. At most the first is `rw`.
  public var branches: [BranchSpecification]
  /// No change through this mount at all, whatever the branches allow.
  public var readOnly = false
  public var durability = Durability.auto
  public var passthrough = Passthrough.auto
  public var writeback = Writeback.auto
  public var readers = Readers.coherent
  public var serving = Serving.near
  public var directoryRename = DirectoryRename.materialise
  /// How the top branch says that a name is gone.
  public var whiteouts = WhiteoutFormat.aufs
  /// How the owners on disk are shown, and those that callers give kept.
  public var owners = OwnerMapping()
  /// Whether the kernel checks callers against owners and modes. A mount for one user alone may do without,
  /// where that user is to work with files that are told to be others'.
  public var checksPermissions = true
  /// `.wh.NAME` entries are listed and can be looked at. Only for a union that nothing changes.
  public var showsWhiteouts = false
  /// statfs(2) tells the sum of the branches' file systems instead of the top branch's.
  public var sumsFileSystems = false
  /// Whether POSIX ACLs hold, are seen and are inherited. The branches keep theirs all the same.
  public var hasACLs = true
  /// Every directory has one link, which tools take for "unknown".
  public var directoriesHaveOneLink = false
  /// Absolute.
  public var mountPoint: String
  /// `-o` words handed to libfuse and the kernel as they are: `allow_other`, `nosuid`, `fsname=x`…
  public var mountOptions: [String] = []

  public init(branches: [BranchSpecification], mountPoint: String) {
    self.branches = branches
    self.mountPoint = mountPoint
  }
}
