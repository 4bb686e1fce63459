public import SystemCalls
public import SystemPackage

/// The extended attributes that tell a file's owner, mode and type in the place of the file's own. Only of
/// regular files and directories; an empty regular file may stand for a device, a FIFO or a socket.
public enum OwnerAttribute: Sendable, Equatable, CaseIterable {
  /// containers/storage's, of an unprivileged user's layers.
  case containers
  /// fuse-overlayfs's with `xattr_permissions=2`.
  case fuseOverlayfs
  /// fuse-overlayfs's with `xattr_permissions=1`, for which a server must be privileged.
  case privileged

  public var key: CName { borrowedName(text) }

  private var text: StaticString {
    switch self {
    case .containers: "user.containers.override_stat"
    case .fuseOverlayfs: "user.fuseoverlayfs.override_stat"
    case .privileged: "security.fuseoverlayfs.override_stat"
    }
  }

  /// nil for another attribute's name.
  public init?(_ key: CName) {
    guard let found = Self.allCases.first(where: { isEqual(key, $0.text) }) else { return nil }
    self = found
  }

  /// Whether the file's owner may write it: then whoever makes files may not make devices, and a symbolic
  /// link, a FIFO and a socket have no such attribute.
  public var isUsers: Bool { self != .privileged }

  /// Whether it tells of files of that type, as they are shown.
  public func tells(of kind: FileKind) -> Bool {
    switch kind {
    case .regular, .directory: true
    default: isUsers && kind.needsStandIn
    }
  }

  /// The one that a branch's root has.
  public init?(ofRoot root: CInt) throws(Errno) {
    for attribute in [OwnerAttribute.privileged, .containers, .fuseOverlayfs] {
      if try attribute.value(at: root, ReservedName.here) != nil {
        self = attribute
        return
      }
    }
    return nil
  }

  // MARK: Reading

  /// Puts in what the attribute tells. A value that says nothing of a file counts as none.
  ///
  /// - Parameter name: the file's in the directory; nil for the descriptor's own, `.` for a directory by any
  ///   descriptor of it.
  public func tell(
    _ attributes: inout Attributes, at directory: CInt, _ name: CName?
  ) throws(Errno) {
    if attributes.isSymbolicLink, isUsers, name != nil {
      return try tellLink(&attributes, in: directory)
    }
    guard attributes.isRegular || attributes.isDirectory,
      let told = try stat(at: directory, name, actual: attributes.type)
    else { return }
    attributes.owner = told.owner
    attributes.group = told.group
    var kind = attributes.type
    if isUsers, attributes.isRegular, attributes.size == 0, told.kind.needsStandIn,
      let device = told.device.combined
    {
      kind = told.kind
      attributes.specialDevice = device
    }
    attributes.mode = kind.modeBits | told.permissions
  }

  /// A symbolic link cannot have the attribute. On disk it is the server's, whoever made it; it is told to be
  /// its directory's owner's, where that is told.
  private func tellLink(_ attributes: inout Attributes, in directory: CInt) throws(Errno) {
    guard attributes.owner == ProcessCall.effectiveUser,
      let told = try stat(at: directory, ReservedName.here, actual: .directory)
    else { return }
    attributes.owner = told.owner
    attributes.group = told.group
  }

  private func stat(
    at directory: CInt, _ name: CName?, actual: FileKind
  ) throws(Errno) -> OverrideStat? {
    try value(at: directory, name).flatMap { OverrideStat($0, actual: actual) }
  }

  /// nil where the file has none, or the file system has no attributes.
  private func value(at directory: CInt, _ name: CName?) throws(Errno) -> [UInt8]? {
    var value = [UInt8](repeating: 0, count: 64)
    do throws(Errno) {
      let count = try value.withMutableBytes { room throws(Errno) in
        try FileSystemCall.extendedAttribute(at: directory, name, key: key, into: room)
      }
      return Array(value.prefix(count))
    } catch {
      switch error {
      case .noData, .outOfRange, .notSupported, .notSupportedOnSocket, .noFunction: return nil
      default: throw error
      }
    }
  }

  // MARK: Writing

  /// Keeps owner, mode and type as these attributes have them.
  public func keep(_ told: Attributes, at directory: CInt, _ name: CName?) throws(Errno) {
    let stat = OverrideStat(
      owner: told.owner, group: told.group, permissions: told.permissions, kind: told.type,
      device: DeviceNumber(combined: told.specialDevice))
    try stat.text.withBytes { value throws(Errno) in
      try FileSystemCall.setExtendedAttribute(at: directory, name, key: key, to: value)
    }
  }

  /// The mode that a file with these bits has on disk: nobody becomes another by it, and the server can work
  /// with it.
  public func modeOnDisk(_ mode: UInt32, isDirectory: Bool) -> UInt32 {
    mode & 0o777 | (isDirectory ? 0o700 : 0o600)
  }
}

extension FileKind {
  /// Whether a user's layers have an empty file in its place.
  public var needsStandIn: Bool {
    switch self {
    case .fifo, .socket, .characterDevice, .blockDevice: true
    default: false
    }
  }
}

/// Where a branch's owners, modes and types are told.
public enum OwnerSource: Sendable, Equatable {
  /// By the files themselves.
  case disk
  /// By an attribute, where a file has it.
  case attribute(OwnerAttribute)
  /// By the attribute that the branch's root has, else by another one, if any.
  case detected(else: OwnerAttribute?)
}
