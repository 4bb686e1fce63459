internal import FUSE
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Owners, where they go in and out. Attributes inside are as the branches tell them: by the file itself, or by
// an attribute of it (`Branch.owners`). They become what the mount shows where an answer is made, and what a
// caller gives becomes an id on disk where it comes in (`OwnerMapping`).

extension Union {
  private var mapping: OwnerMapping { configuration.owners }

  // MARK: Out

  /// What a branch tells of a file.
  ///
  /// - Parameters:
  ///   - name: empty for the descriptor's own file.
  ///   - key: the name as the extended attributes' calls take it, where it is another.
  func status(
    at directory: CInt, _ name: CName, in branch: UInt16, attributesAt key: CName?
  ) throws(Errno) -> Attributes {
    var attributes = try FileSystemCall.status(at: directory, name)
    try tell(&attributes, at: directory, key, in: branch)
    return attributes
  }

  func status(at directory: CInt, _ name: CName, in branch: UInt16) throws(Errno) -> Attributes {
    try status(at: directory, name, in: branch, attributesAt: name)
  }

  func status(at place: Place) throws(Errno) -> Attributes {
    try status(
      at: place.directory, place.name, in: place.branch, attributesAt: place.attributeName)
  }

  /// The same of an open file.
  func status(of descriptor: CInt, in branch: UInt16) throws(Errno) -> Attributes {
    try status(at: descriptor, ReservedName.itself, in: branch, attributesAt: nil)
  }

  /// Puts in what the branch's attribute tells of a file whose own attributes are known.
  func tell(
    _ attributes: inout Attributes, at directory: CInt, _ name: CName?, in branch: UInt16
  ) throws(Errno) {
    if ownerAttributes.isEmpty { return }
    try self.branch(branch).owners?.tell(&attributes, at: directory, name)
  }

  /// Attributes as the mount shows them.
  func shown(_ attributes: Attributes) -> Attributes {
    mapsOwners ? mapping.shown(attributes) : attributes
  }

  /// Attributes of a lower file for its copy.
  func copied(_ attributes: Attributes) -> Attributes {
    mapsOwners ? mapping.copied(attributes) : attributes
  }

  /// Whether who asks is of a file's group, or may act as if.
  func isMember(_ caller: Caller, ofGroupOf attributes: Attributes) -> Bool {
    let group = shown(attributes).group
    return caller.user == 0 || caller.group == group || Session.isCallerInGroup(group)
  }

  // MARK: In

  /// What tells the owners of the top branch in the place of the files; nil on a read-only union too.
  var topOwners: OwnerAttribute? { top == nil ? nil : branches[0].owners }

  /// Makes this thread create files as the caller would. EOVERFLOW where the disk has no id for the caller.
  func become(_ caller: Caller) throws(Errno) {
    let (user, group) = try idsOnDisk(of: caller)
    ProcessCall.become(user: user, group: group, mask: caller.mask, switchingIDs: switchesIDs)
  }

  private func idsOnDisk(of caller: Caller) throws(Errno) -> (user: UInt32, group: UInt32) {
    guard mapsOwners else { return (caller.user, caller.group) }
    let isRoots = caller.user == 0
    return (
      try mapping.disk(user: caller.user, isRoots: isRoots),
      try mapping.disk(group: caller.group, isRoots: isRoots)
    )
  }

  /// Makes this thread create files as the server: whose they are an attribute tells.
  private func becomeServer() {
    ProcessCall.become(
      user: ProcessCall.effectiveUser, group: ProcessCall.effectiveGroup, mask: 0,
      switchingIDs: false)
  }

  /// What a file to be made in a directory of the top branch shall be, where an attribute tells it, and this
  /// thread as who makes it. nil where the kernel gives owner, group and mode in the creating call.
  ///
  /// - Parameter mode: with the type's bits.
  func prepareToMake(
    mode: UInt32, device: UInt64 = 0, in directory: CInt, _ caller: Caller
  ) throws(Errno) -> Attributes? {
    let kind = FileKind(mode: mode)
    guard let owners = topOwners, owners.tells(of: kind) else {
      try become(caller)
      return nil
    }
    var told = Attributes()
    (told.owner, told.group) = try idsOnDisk(of: caller)
    told.mode = mode & ~(caller.mask & 0o777)
    told.specialDevice = device
    let above = try status(
      at: directory, ReservedName.itself, in: 0, attributesAt: ReservedName.here)
    if above.mode & 0o2000 != 0 {
      told.group = above.group
      if kind == .directory { told.mode |= 0o2000 }
    }
    becomeServer()
    return told
  }

  /// The mode, with the type's bits, of what is made on disk for `told`.
  func modeToMake(_ mode: UInt32, _ told: Attributes?) -> UInt32 {
    guard let told, let owners = topOwners else { return mode }
    let kind: FileKind = told.isDirectory ? .directory : .regular
    return kind.modeBits | owners.modeOnDisk(told.mode, isDirectory: told.isDirectory)
  }

  /// Keeps what a file of the top branch is told to be.
  func keep(_ told: Attributes, at directory: CInt, _ name: CName?) throws(Errno) {
    try topOwners?.keep(told, at: directory, name)
  }

  /// Owners that a caller gives, as the disk has them.
  func onDisk(_ change: AttributeChange, _ caller: Caller) throws(Errno) -> AttributeChange {
    guard mapsOwners else { return change }
    var change = change
    if let owner = change.owner {
      change.owner = try mapping.disk(user: owner, isRoots: caller.user == 0)
    }
    if let group = change.group {
      change.group = try mapping.disk(group: group, isRoots: caller.user == 0)
    }
    return change
  }

  /// chown(2) and chmod(2) of a file on the top branch, by its attribute. False where they are the disk's.
  func keepChange(_ change: AttributeChange, at place: Place) throws(Errno) -> Bool {
    guard let owners = topOwners else { return false }
    guard change.owner != nil || change.group != nil || change.mode != nil else { return true }
    var told = try status(at: place)
    // A symbolic link is its directory's owner's then.
    guard owners.tells(of: told.type) else { return owners.isUsers }
    if change.owner != nil || change.group != nil {
      told.owner = change.owner ?? told.owner
      told.group = change.group ?? told.group
      if !told.isDirectory { told.mode &= told.mode & 0o010 != 0 ? ~0o6000 : ~0o4000 }
    }
    if let mode = change.mode { told.mode = told.type.modeBits | mode & 0o7777 }
    try owners.keep(told, at: place.directory, place.attributeName)
    return true
  }

  /// chmod(2) of an open file on the top branch.
  func changeMode(of descriptor: CInt, _ mode: UInt32) throws(Errno) {
    guard let owners = topOwners else {
      return try FileSystemCall.changeMode(of: descriptor, mode)
    }
    var told = try status(of: descriptor, in: 0)
    told.mode = told.type.modeBits | mode & 0o7777
    try owners.keep(told, at: descriptor, nil)
  }

  /// chmod(2) of a file on the top branch.
  func changeMode(at place: Place, _ mode: UInt32) throws(Errno) {
    var change = AttributeChange()
    change.mode = mode
    if try keepChange(change, at: place) { return }
    try FileSystemCall.changeMode(at: place.directory, place.name, mode & 0o7777)
  }

  // MARK: Extended attributes

  /// Whether an attribute is not part of the view: of overlayfs, or telling owners.
  func isHidden(_ key: CName) -> Bool {
    if OverlayAttribute(key) != nil { return true }
    guard !ownerAttributes.isEmpty, let attribute = OwnerAttribute(key) else { return false }
    return ownerAttributes.contains(attribute)
  }

  /// Whether the mount has ACLs.
  var hasACLs: Bool { configuration.hasACLs && branches[0].owners == nil }

  /// Calls `body` with an ACL's value as the disk keeps it.
  func withACLOnDisk(
    _ value: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(Errno) -> Void
  ) throws(Errno) {
    guard mapsOwners else { return try body(value) }
    var kept = Array(value)
    try kept.withMutableBytes { bytes throws(Errno) in
      try mapping.keep(acl: bytes)
      try body(UnsafeRawBufferPointer(bytes))
    }
  }
}
