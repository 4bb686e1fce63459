internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What an entry says of its file besides its content.
struct FileAttributes {
  /// nil where the number is no id.
  var owner: UInt32?
  var group: UInt32?
  var permissions: UInt32
  var modified: Timestamp
  var accessed: Timestamp?
  var device = DeviceNumber(major: 0, minor: 0)
  /// Whether the entry that the reader stands at has further ones.
  var isFromEntry = true

  init(_ entry: TarEntry) {
    owner = entry.owner
    group = entry.group
    permissions = entry.permissions
    modified = entry.modified
    accessed = entry.accessed
  }

  /// Of a mark that the tar does not have.
  init(marker time: Timestamp) {
    owner = 0
    group = 0
    permissions = 0o444
    modified = time
    isFromEntry = false
  }
}

/// What is set of a directory when everything in it is made.
struct DirectoryAttributes {
  var owner: UInt32
  var group: UInt32
  var permissions: UInt32
  var modified: Timestamp
  var accessed: Timestamp
  var defaultACL: [UInt8]?

  /// Of one that the tar does not name.
  init(implied time: Timestamp) {
    owner = 0
    group = 0
    permissions = 0o755
    modified = time
    accessed = time
  }

  init(_ attributes: FileAttributes) {
    owner = attributes.owner ?? 0
    group = attributes.group ?? 0
    permissions = attributes.permissions
    modified = attributes.modified
    accessed = attributes.accessed ?? attributes.modified
  }
}

extension LayerExtractor {
  func checked(_ attributes: FileAttributes) throws(Failure) -> FileAttributes {
    guard attributes.owner != nil, attributes.group != nil else {
      throw refuse("its owner or group is no number that Linux has")
    }
    return attributes
  }

  /// Sets everything.
  ///
  /// - Parameters:
  ///   - descriptor: of the file, or of its directory.
  ///   - name: the file's in the directory.
  ///   - kind: what the tar says that it is.
  func set(
    _ attributes: FileAttributes, of descriptor: CInt, _ name: CName?, kind: FileKind
  ) throws(Failure) {
    var permissions = attributes.permissions
    let (owner, group) = (attributes.owner ?? 0, attributes.group ?? 0)
    let here = name ?? ReservedName.itself
    if options.ownership == .set {
      try make { () throws(Errno) in
        try FileSystemCall.changeOwner(at: descriptor, here, owner: owner, group: group)
      }
    }
    if attributes.isFromEntry {
      if let bits = try setAttributes(of: descriptor, name, kind: kind) {
        permissions = permissions & ~0o070 | bits << 3
      }
    }
    let recorded = OverrideStat(
      owner: owner, group: group, permissions: permissions, kind: kind, device: attributes.device)
    try setMode(recorded, of: descriptor, name)
    try make { () throws(Errno) in
      try FileSystemCall.changeTimes(
        at: descriptor, here, accessed: .to(attributes.accessed ?? attributes.modified),
        modified: .to(attributes.modified))
    }
  }

  /// The mode, or what stands for owner, mode and type where they may not be set.
  private func setMode(
    _ recorded: OverrideStat, of descriptor: CInt, _ name: CName?
  ) throws(Failure) {
    if recorded.kind == .symbolicLink { return }
    let here = name ?? ReservedName.itself
    var mode = recorded.permissions
    if options.ownership == .recorded {
      try make { () throws(Errno) in
        try recorded.text.withBytes { (value) throws(Errno) in
          try FileSystemCall.setExtendedAttribute(
            at: descriptor, name, key: OwnerAttribute.containers.key, to: value)
        }
      }
      // Whoever unpacked it must be able to work with it, and nobody becomes him by it.
      mode = mode & 0o777 | (recorded.kind == .directory ? 0o700 : 0o600)
    }
    try make { () throws(Errno) in try FileSystemCall.changeMode(at: descriptor, here, mode) }
  }

  // MARK: Extended attributes and ACLs

  /// Sets the entry's extended attributes and access ACL; the group's bits of the mode where it has such.
  private func setAttributes(
    of descriptor: CInt, _ name: CName?, kind: FileKind
  ) throws(Failure) -> UInt32? {
    let entry = reader.entry
    try entry.forEachAttribute { (key, value) throws(Failure) in
      if isKept(key) { try setAttribute(key, value, of: descriptor, name) }
    }
    if kind == .symbolicLink { return nil }
    guard let list = try accessControl(of: entry, isDefault: false) else { return nil }
    try list.value.withBytesForFailure { (value) throws(Failure) in
      try setAttribute(AccessControl.accessKey, value, of: descriptor, name)
    }
    return list.groupBits
  }

  /// Not what says how a union is to take the file: that is told by whiteouts here.
  private func isKept(_ key: CName) -> Bool {
    OwnerAttribute(key) != .containers && OverlayAttribute(key) == nil
      && !isEqual(key, "system.posix_acl_default")
  }

  private func setAttribute(
    _ key: CName, _ value: UnsafeRawBufferPointer, of descriptor: CInt, _ name: CName?
  ) throws(Failure) {
    if options.ownership == .recorded && hasPrefix(key, "system.posix_acl_") {
      // Its ids are the image's, and would be the host's.
      return note("ACLs were left out: they name users of the image")
    }
    do throws(Errno) {
      try FileSystemCall.setExtendedAttribute(at: descriptor, name, key: key, to: value)
    } catch {
      switch error {
      case .notPermitted, .notSupported, .notSupportedOnSocket, .permissionDenied:
        note("\(shown(key)) cannot be set here and was left out: \(error)")
      case .invalidArgument, .outOfRange, .argListTooLong:
        throw refuse("its attribute \(shown(key)) is none that Linux has: \(error)")
      default:
        throw .system(
          "\(self.name): \(shown(reader.entry.path)): \(shown(key)) cannot be set", error)
      }
    }
  }

  private func accessControl(
    of entry: TarEntry, isDefault: Bool
  ) throws(Failure) -> AccessControl.List? {
    do throws(AccessControl.Flaw) {
      return try AccessControl.list(of: entry, isDefault: isDefault)
    } catch {
      switch error {
      case .names: note("ACLs that name users without their numbers were left out")
      case .tooLong: throw refuse("its ACL is too long")
      }
      return nil
    }
  }

  // MARK: Directories

  /// Sets what may be set of a directory at once, and keeps the rest for the end. The last entry wins.
  func noteDirectory(_ path: EntryPath, descriptor: CInt) throws(Failure) {
    let entry = reader.entry
    let attributes = try checked(FileAttributes(entry))
    var later = DirectoryAttributes(attributes)
    let key = path.bytes
    var isOpaque = false
    try entry.forEachAttribute { (name, value) throws(Failure) in
      if isOpaqueMark(name, value) { isOpaque = true }
      if isEqual(name, "system.posix_acl_default") { later.defaultACL = Array(value) }
    }
    if isOpaque { opaque[key] = path }
    if let bits = try setAttributes(of: descriptor, nil, kind: .directory) {
      later.permissions = later.permissions & ~0o070 | bits << 3
    }
    if later.defaultACL == nil {
      later.defaultACL = try accessControl(of: entry, isDefault: true)?.value
    }
    deferredBytes += later.defaultACL?.count ?? 0
    if deferredBytes > 1 << 26 { throw refuse("the layer's default ACLs are too long") }
    directories[key] = later
  }

  func finishDirectories() throws(Failure) {
    // Deepest first: a directory's mode may forbid going through it.
    let paths = directories.keys.sorted { $1.lexicographicallyPrecedes($0) }
    for path in paths {
      guard let attributes = directories[path] else { continue }
      do throws(Errno) { try finish(path, attributes) } catch {
        throw .system(
          "\(name): \(path.isEmpty ? "its root" : shown(path)) cannot be finished", error)
      }
    }
  }

  private func finish(_ bytes: [UInt8], _ attributes: DirectoryAttributes) throws(Errno) {
    let descriptor = try open(bytes)
    if options.ownership == .set {
      try FileSystemCall.changeOwner(
        of: descriptor, owner: attributes.owner, group: attributes.group)
      if let list = attributes.defaultACL { try setDefault(list, of: descriptor) }
      try FileSystemCall.changeMode(of: descriptor, attributes.permissions)
    } else {
      let recorded = OverrideStat(
        owner: attributes.owner, group: attributes.group, permissions: attributes.permissions,
        kind: .directory)
      try recorded.text.withBytes { (value) throws(Errno) in
        try FileSystemCall.setExtendedAttribute(
          at: descriptor, nil, key: OwnerAttribute.containers.key, to: value)
      }
      try FileSystemCall.changeMode(of: descriptor, attributes.permissions & 0o777 | 0o700)
    }
    try FileSystemCall.changeTimes(
      of: descriptor, accessed: .to(attributes.accessed), modified: .to(attributes.modified))
  }

  private func setDefault(_ list: [UInt8], of descriptor: CInt) throws(Errno) {
    do throws(Errno) {
      try list.withBytes { (value) throws(Errno) in
        try FileSystemCall.setExtendedAttribute(
          at: descriptor, nil, key: AccessControl.defaultKey, to: value)
      }
    } catch {
      guard error == .notSupported || error == .notSupportedOnSocket else { throw error }
      note("system.posix_acl_default cannot be set here and was left out: \(error)")
    }
  }

  private func open(_ bytes: [UInt8]) throws(Errno) -> CInt {
    if bytes.isEmpty { return root }
    let text = bytes.map { CChar(bitPattern: $0) } + [0]
    return try text.withUnsafeBufferPointer { (buffer) throws(Errno) in
      guard let path = try? EntryPath(buffer.baseAddress.unsafelyUnwrapped) else {
        throw Errno.invalidArgument
      }
      return try trail.open(path, count: path.count)
    }
  }
}

private func isOpaqueMark(_ key: CName, _ value: UnsafeRawBufferPointer) -> Bool {
  value.count == 1 && value[0] == UInt8(ascii: "y") && OverlayAttribute(key) == .opaque
}
