public import SystemPackage

/// One branch of a union as a person names it: a directory and what may be done with it.
/// Top branch first wherever branches are listed. The spelling is aufs's: `PATH=rw`, `PATH=ro+wh`.
public struct BranchSpecification: Sendable, Equatable {
  /// aufs's branch permissions.
  public enum Permission: String, Sendable, Equatable, CaseIterable {
    /// Changes go here.
    case readWrite = "rw"
    /// Never changed by the union; may change below it.
    case readOnly = "ro"
    /// Never changes at all (a CD-ROM, squashfs): aufs's `rr`.
    case naturallyReadOnly = "rr"
  }

  public var path: FilePath
  public var permission: Permission
  /// Whether `.wh.NAME` and `.wh..wh..opq` in this branch hide what lies below it. Always true for
  /// a branch that is `rw`, by `+wh` for the others.
  public var honoursWhiteouts: Bool
  /// Whether whiteouts are hard links to one base file (false: aufs's `+nolwh`).
  public var linksWhiteouts: Bool
  /// Where the union keeps what it needs besides the view of a branch that is `rw`, instead of at its root:
  /// overlayfs's workdir, on the same mount. The branch then holds the layer and nothing else.
  public var workDirectory: FilePath?
  /// Where its owners are told.
  public var owners = OwnerSource.disk

  public init(
    path: FilePath, permission: Permission, honoursWhiteouts: Bool? = nil,
    linksWhiteouts: Bool = true
  ) {
    self.path = path
    self.permission = permission
    self.honoursWhiteouts = honoursWhiteouts ?? (permission == .readWrite)
    self.linksWhiteouts = linksWhiteouts
  }
}
