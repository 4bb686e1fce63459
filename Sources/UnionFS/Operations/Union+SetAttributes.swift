internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  /// chmod, chown, truncate and utimes, by name or by handle. The kernel has checked the caller.
  func setAttributes(
    of node: UInt64, _ change: AttributeChange, handle: UInt64?, caller: Caller
  ) throws(Errno) -> AttributeReply {
    let slot = try slot(node)
    let wanted = try onDisk(change, caller)
    let clean = try modeAfter(wanted, of: slot, caller)
    let change = try asKernelBelieves(wanted, of: slot)
    if Session.collectsWrites, let reply = try replyIfNothingChanges(change, slot) { return reply }
    if let size = change.size {
      if kind(slot) == .directory { throw Errno.isDirectory }
      try checkID(node, slot, caller)
      try truncate(slot, to: size)
      // An open may have come between. Truncated once more it is the same.
      try checkID(node, slot, caller)
    } else {
      try copyUp(slot)
    }
    let timeout = attributeTimeout(slot)
    let changed = try withPlace(slot) { place throws(Errno) in
      try apply(change, at: place)
      if change.mode != nil || change.owner != nil || change.group != nil { forgetPrivileges(slot) }
      // chown(2) has taken the bits away already.
      if let clean, change.owner == nil && change.group == nil {
        try changeMode(at: place, clean)
      }
      // It is done: a status that fails is asked for again before the caller hears of an error.
      if let attributes = try? attributes(ofSlot: slot, at: place) { return attributes }
      return try attributes(ofSlot: slot, at: place)
    }
    return AttributeReply(shown(changed), timeout: min(timeout, attributeTimeout(slot)))
  }

  /// Where the kernel collects writes it believes its own times: a truncation to the size that there is
  /// moves none, as on most file systems.
  private func asKernelBelieves(
    _ change: AttributeChange, of slot: UInt32
  ) throws(Errno) -> AttributeChange {
    guard Session.collectsWrites, let size = change.size, case .keep = change.modified,
      kind(slot) == .regular
    else { return change }
    let now = try withPlace(slot) { place throws(Errno) in
      try FileSystemCall.status(at: place.directory, place.name)
    }
    var change = change
    if now.size == size { change.modified = .to(now.modified) }
    return change
  }

  /// What the kernel collects it sends with times, even where nothing was changed but a time of its own:
  /// no reason to bring a lower file up.
  private func replyIfNothingChanges(
    _ change: AttributeChange, _ slot: UInt32
  ) throws(Errno) -> AttributeReply? {
    guard change.mode == nil, change.owner == nil, change.group == nil, change.size == nil,
      case .keep = change.accessed, case .to(let time) = change.modified,
      nodes.lock.whileLocked({ !isWritable(nodes.node(slot).pointee.branch) })
    else { return nil }
    let timeout = attributeTimeout(slot)
    let now = try withPlace(slot) { place throws(Errno) in
      try attributes(ofSlot: slot, at: place)
    }
    return now.modified == time ? AttributeReply(shown(now), timeout: timeout) : nil
  }

  /// The mode that a change leaves which takes set-user-ID bits away; nil where it is the one there is.
  /// Found out before anything is changed. A request without any change is the kernel's way to say that
  /// the bits go (before fallocate).
  private func modeAfter(
    _ change: AttributeChange, of slot: UInt32, _ caller: Caller
  ) throws(Errno) -> UInt32? {
    // Root's write takes the capability away, which writing does by itself, but no bits.
    guard change.dropsPrivileges || change.isEmpty && caller.user != 0, change.mode == nil,
      kind(slot) == .regular
    else { return nil }
    var attributes = try withPlace(slot) { place throws(Errno) in try status(at: place) }
    if let group = change.group { attributes.group = group }
    return modeWithoutPrivileges(attributes, caller)
  }

  /// nil where it is the one there is.
  func modeWithoutPrivileges(_ attributes: Attributes, _ caller: Caller) -> UInt32? {
    let clean = withoutPrivileges(attributes, caller)
    return clean == attributes.permissions ? nil : clean
  }

  /// Owner before mode: chown(2) takes set-user-ID bits away. Owners are the disk's.
  private func apply(_ change: AttributeChange, at place: Place) throws(Errno) {
    if try keepChange(change, at: place) { return try applyTimes(of: change, at: place) }
    if change.owner != nil || change.group != nil {
      try FileSystemCall.changeOwner(
        at: place.directory, place.name, owner: change.owner ?? UInt32.max,
        group: change.group ?? UInt32.max)
    }
    if let mode = change.mode {
      try FileSystemCall.changeMode(at: place.directory, place.name, mode & 0o7777)
    }
    try applyTimes(of: change, at: place)
  }

  private func applyTimes(of change: AttributeChange, at place: Place) throws(Errno) {
    guard change.changesTimes else { return }
    try FileSystemCall.changeTimes(
      at: place.directory, place.name, accessed: change.accessed, modified: change.modified)
  }

  private func truncate(_ slot: UInt32, to size: Int64) throws(Errno) {
    let file = openFile(slot)
    defer { letGo(file, slot) }
    if try copyUp(file, slot, size: size) { return }
    file.lock.lock()
    defer { file.lock.unlock() }
    if file.isWritable.load(ordering: .relaxed) {
      let descriptor = file.descriptor.load(ordering: .relaxed)
      return try FileSystemCall.truncate(descriptor, to: size)
    }
    let opened = try withPlace(slot) { place throws(Errno) in
      try openContent(place, write: true)
    }
    defer { FileSystemCall.close(opened.descriptor) }
    try FileSystemCall.truncate(opened.descriptor, to: size)
  }

  // MARK: Set-user-ID bits

  /// The mode without the bits that a write by this caller takes away. Set-group-ID without group
  /// execution stays for members of the group.
  private func withoutPrivileges(_ attributes: Attributes, _ caller: Caller) -> UInt32 {
    var mode = attributes.permissions & ~0o4000
    guard mode & 0o2000 != 0 else { return mode }
    // CAP_FSETID, as far as can be told.
    let isMember = isMember(caller, ofGroupOf: attributes)
    if mode & 0o010 != 0 || !isMember { mode &= ~0o2000 }
    return mode
  }

  /// Takes the bits away where the file has any. They are looked for once; `forgetPrivileges` makes
  /// the next write look again.
  func dropPrivileges(
    _ file: OpenFile, _ descriptor: CInt, _ caller: Caller
  ) throws(Errno) {
    guard file.mayHavePrivileges.load(ordering: .relaxed) else { return }
    let attributes = try status(of: descriptor, in: 0)
    let clean = withoutPrivileges(attributes, caller)
    if clean != attributes.permissions { try changeMode(of: descriptor, clean) }
    if clean & 0o6000 == 0 { file.mayHavePrivileges.store(false, ordering: .relaxed) }
  }

  func forgetPrivileges(_ slot: UInt32) {
    guard kind(slot) == .regular else { return }
    let file = openFile(slot)
    file.mayHavePrivileges.store(true, ordering: .relaxed)
    letGo(file, slot)
  }
}
