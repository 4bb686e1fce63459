public import SystemCalls
public import SystemPackage

/// Brings files and directories of lower branches to the writable branch. Everything is staged in the
/// work area, filled, data first, and becomes visible in one step.
public struct CopyUp: Sendable {
  /// When data reaches the disk.
  public enum Flushing: Sendable { case data, everything, nothing }

  public let area: WorkArea
  public let flushing: Flushing
  /// Whether the work area's file system keeps data and names in order by itself.
  private let keepsOrder: Bool
  /// Whether the server may write where modes forbid it (CAP_DAC_OVERRIDE).
  private let overridesModes = ProcessCall.hasCapability(1)
  /// What tells owner, mode and type of a copy in the place of the file itself.
  private let owners: OwnerAttribute?
  /// What a source's attributes told already.
  private let droppedAttributes: [OwnerAttribute]

  /// - Parameters:
  ///   - owners: what tells owner, mode and type on the writable branch in the place of the files.
  ///   - droppedAttributes: those that are not copied as they are.
  public init(
    area: WorkArea, flushing: Flushing, owners: OwnerAttribute? = nil,
    droppedAttributes: [OwnerAttribute] = []
  ) {
    self.area = area
    self.flushing = flushing
    keepsOrder = flushing == .data && JournalOrder.isKept(by: area.descriptor)
    self.owners = owners
    self.droppedAttributes = droppedAttributes
  }

  /// A copy of a regular file, not yet visible, with everything but its name.
  ///
  /// - Parameters:
  ///   - source: a readable descriptor.
  ///   - size: the copy's size in bytes, as truncate(2) makes it; nil for the source's. What is not
  ///     wanted is not read.
  ///   - number: the inode number that the copy keeps.
  ///   - place: the directory to stage it in, where it is not the work area.
  public func stageFile(
    _ source: CInt, _ attributes: Attributes, size: Int64? = nil, number: UInt64,
    in place: CInt? = nil
  ) throws(Errno) -> StagedFile {
    let staged = try area.stageFile(in: place)
    let wanted = min(size ?? attributes.size, attributes.size)
    if wanted > 0 {
      try FileContents.copy(
        from: source, to: staged.descriptor, size: wanted, isWhole: wanted == attributes.size)
    }
    if let size, size > attributes.size {
      try FileSystemCall.truncate(staged.descriptor, to: size)
    }
    try copyMetadata(
      from: source, to: staged.descriptor, attributes, keepsTimes: size == nil)
    if wanted > 0 { try flush(staged.descriptor, isHere: place == nil) }
    try InodeFlags.copy(from: source, to: staged.descriptor)
    try record(staged.descriptor, ReservedName.itself, number)
    return staged
  }

  /// - Parameter isHere: whether the file lies on the work area's file system.
  private func flush(_ staged: CInt, isHere: Bool) throws(Errno) {
    switch flushing {
    case .nothing: break
    case .data where isHere && keepsOrder: try FileSystemCall.writeOut(staged)
    case .data, .everything: try FileSystemCall.sync(staged)
    }
  }

  /// Copies a directory (without what is in it), a symbolic link, a device, FIFO or socket to
  /// `target`, and shows it there in one step. EEXIST where the name is taken.
  ///
  /// - Parameter links: where the copy of a hard-linked file lies for its other names.
  public func copyOther(
    at directory: CInt, _ name: CName, _ attributes: Attributes, number: UInt64,
    links: PseudoLinks? = nil, to targetDirectory: CInt, _ target: CName
  ) throws(Errno) {
    do throws(Errno) {
      try copyOther(
        at: directory, name, attributes, number: number, links: links, by: area.descriptor,
        to: targetDirectory, target)
    } catch {
      // The target lies on a file system that is mounted inside the branch: staged beside it.
      guard error == .improperLink, links == nil else { throw error }
      try copyOther(
        at: directory, name, attributes, number: number, links: nil, by: targetDirectory,
        to: targetDirectory, target)
    }
    if flushing == .everything { try syncDirectory(targetDirectory) }
  }

  private func copyOther(
    at directory: CInt, _ name: CName, _ attributes: Attributes, number: UInt64,
    links: PseudoLinks?, by place: CInt, to targetDirectory: CInt, _ target: CName
  ) throws(Errno) {
    try area.withFreshName(in: place) { fresh throws(Errno) in
      try makeOther(at: directory, name, attributes, place, fresh)
      do throws(Errno) {
        try copyOtherMetadata(at: directory, name, attributes, to: place, fresh)
        try record(place, fresh, number)
        try links?.add(number: number) { (directory, name) throws(Errno) in
          try FileSystemCall.link(at: place, fresh, to: directory, name)
        }
        try publish(place, fresh, attributes, to: targetDirectory, target)
      } catch {
        // Under its number it would be seen by the other names.
        try? links?.remove(number)
        if let made = try? FileSystemCall.status(at: place, fresh) {
          area.inodes.forget(top: made)
        }
        try? removeOne(at: place, fresh)
        throw error
      }
    }
  }

  /// A directory that its owner may not write to cannot be moved by an unprivileged server (its `..`
  /// changes): it gets its mode where it is shown.
  private func publish(
    _ place: CInt, _ fresh: CName, _ attributes: Attributes, to targetDirectory: CInt,
    _ target: CName
  ) throws(Errno) {
    let isLocked =
      attributes.isDirectory && attributes.mode & 0o200 == 0 && !overridesModes && owners == nil
    if isLocked {
      try FileSystemCall.changeMode(
        at: place, fresh, attributes.permissions | 0o200)
    }
    try FileSystemCall.rename(
      at: place, fresh, to: targetDirectory, target,
      flags: FileSystemCall.RenameFlag.noReplace)
    if isLocked {
      try FileSystemCall.changeMode(at: targetDirectory, target, attributes.permissions)
    }
    if attributes.isDirectory && attributes.isProtected,
      let shown = try? InodeFlags.openDirectory(targetDirectory, target)
    {
      InodeFlags.protect(shown, as: attributes)
      FileSystemCall.close(shown)
    }
  }

  /// Flushes a directory that is known by any descriptor.
  public func syncDirectory(_ directory: CInt) throws(Errno) {
    let readable = try FileSystemCall.open(
      at: directory, ReservedName.here, OpenFlag.readOnly | OpenFlag.directory)
    defer { FileSystemCall.close(readable) }
    try FileSystemCall.sync(readable)
  }

  private func makeOther(
    at directory: CInt, _ name: CName, _ attributes: Attributes, _ place: CInt, _ fresh: CName
  ) throws(Errno) {
    switch attributes.type {
    case .directory: try FileSystemCall.makeDirectory(at: place, fresh, mode: 0o700)
    case .symbolicLink:
      var target = [CChar](repeating: 0, count: 4097)
      let count = try target.withUnsafeMutableBufferPointer { buffer throws(Errno) in
        try FileSystemCall.readLink(
          at: directory, name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<4096]))
      }
      target[count] = 0
      try FileSystemCall.makeSymbolicLink(at: place, fresh, to: target)
    case let kind where owners?.isUsers ?? false && kind.needsStandIn:
      try FileSystemCall.makeNode(
        at: place, fresh, mode: FileKind.regular.modeBits | 0o600, device: 0)
    default:
      try FileSystemCall.makeNode(
        at: place, fresh, mode: attributes.type.modeBits | 0o600,
        device: attributes.specialDevice)
    }
  }

  /// What tells of a copy of such a type on the writable branch; nil for the file itself.
  private func teller(of kind: FileKind) -> OwnerAttribute? {
    owners.flatMap { $0.tells(of: kind) ? $0 : nil }
  }

  /// Whether a source's extended attribute is one of the copy's. An ACL goes by ids that are the disk's.
  private func isKept(_ key: CName) -> Bool {
    if let attribute = OwnerAttribute(key), droppedAttributes.contains(attribute) { return false }
    return owners == nil || !hasPrefix(key, "system.posix_acl_")
  }

  private func copyOtherMetadata(
    at directory: CInt, _ name: CName, _ attributes: Attributes, to own: CInt, _ fresh: CName
  ) throws(Errno) {
    let owners = teller(of: attributes.type)
    if owners == nil {
      do throws(Errno) {
        try FileSystemCall.changeOwner(
          at: own, fresh, owner: attributes.owner, group: attributes.group)
      } catch {
        // A symbolic link of a user's layer is whose its directory is.
        guard error == .notPermitted, self.owners?.isUsers ?? false else { throw error }
      }
    }
    try ExtendedAttributes.copy(
      list: { (buffer) throws(Errno) in
        try FileSystemCall.listExtendedAttributes(at: directory, name, into: buffer)
      },
      get: { (key, buffer) throws(Errno) in
        try FileSystemCall.extendedAttribute(at: directory, name, key: key, into: buffer)
      },
      set: { (key, value) throws(Errno) in
        guard isKept(key) else { return }
        try FileSystemCall.setExtendedAttribute(at: own, fresh, key: key, to: value)
      })
    if let owners {
      try owners.keep(attributes, at: own, fresh)
      try FileSystemCall.changeMode(
        at: own, fresh, owners.modeOnDisk(attributes.mode, isDirectory: attributes.isDirectory))
    } else if !attributes.isSymbolicLink {
      try FileSystemCall.changeMode(at: own, fresh, attributes.permissions)
    }
    if attributes.isDirectory {
      try InodeFlags.copy(ofDirectory: directory, name, to: own, fresh)
    }
    try FileSystemCall.changeTimes(
      at: own, fresh, accessed: .to(attributes.accessed), modified: .to(attributes.modified))
  }

  /// Owner before mode: chown(2) takes set-user-ID bits away. Times last.
  private func copyMetadata(
    from source: CInt, to target: CInt, _ attributes: Attributes, keepsTimes: Bool
  ) throws(Errno) {
    if owners == nil {
      try FileSystemCall.changeOwner(
        of: target, owner: attributes.owner, group: attributes.group)
    }
    try ExtendedAttributes.copy(
      list: { (buffer) throws(Errno) in
        try FileSystemCall.listExtendedAttributes(at: source, nil, into: buffer)
      },
      get: { (key, buffer) throws(Errno) in
        try FileSystemCall.extendedAttribute(at: source, nil, key: key, into: buffer)
      },
      set: { (key, value) throws(Errno) in
        // A truncation takes the capability away.
        if !keepsTimes && isCapability(key) || !isKept(key) { return }
        try FileSystemCall.setExtendedAttribute(at: target, nil, key: key, to: value)
      })
    if let owners {
      try owners.keep(attributes, at: target, nil)
      try FileSystemCall.changeMode(
        of: target, owners.modeOnDisk(attributes.mode, isDirectory: false))
    } else {
      try FileSystemCall.changeMode(of: target, attributes.permissions)
    }
    try FileSystemCall.changeTimes(
      of: target, accessed: .to(attributes.accessed),
      modified: keepsTimes ? .to(attributes.modified) : .now)
  }

  /// Notes the number that the file at `name` keeps, before anybody can see it.
  private func record(_ directory: CInt, _ name: CName, _ number: UInt64) throws(Errno) {
    try area.inodes.record(top: FileSystemCall.status(at: directory, name), number: number)
  }
}

/// Whether an attribute's name is `security.capability`.
public func isCapability(_ key: CName) -> Bool {
  isEqual(key, "security.capability")
}
