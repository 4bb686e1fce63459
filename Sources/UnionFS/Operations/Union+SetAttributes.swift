internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  /// chmod, chown, truncate and utimes, by name or by handle. The kernel has checked the caller.
  func setAttributes(
    of node: UInt64, _ change: AttributeChange, handle: UInt64?, caller: Caller
  ) throws(Errno) -> Attributes {
    let slot = try slot(node)
    if let size = change.size {
      if kind(slot) == .directory { throw Errno.isDirectory }
      try truncate(slot, to: size, dropsPrivileges: change.dropsPrivileges)
    } else {
      try copyUp(slot)
    }
    return try withPlace(slot) { place throws(Errno) in
      try apply(change, at: place)
      if change.mode != nil || change.owner != nil || change.group != nil { forgetPrivileges(slot) }
      // A request without any change is the kernel's way to say that the bits go (before fallocate).
      if change.size == nil && (change.dropsPrivileges || change.isEmpty) {
        try dropPrivileges(at: place)
      }
      return try attributes(ofSlot: slot, at: place)
    }
  }

  /// Owner before mode: chown(2) takes set-user-ID bits away.
  private func apply(_ change: AttributeChange, at place: Place) throws(Errno) {
    if change.owner != nil || change.group != nil {
      try FileSystemCall.changeOwner(
        at: place.directory, place.name, owner: change.owner ?? UInt32.max,
        group: change.group ?? UInt32.max)
    }
    if let mode = change.mode {
      try FileSystemCall.changeMode(at: place.directory, place.name, mode & 0o7777)
    }
    if change.changesTimes {
      try FileSystemCall.changeTimes(
        at: place.directory, place.name, accessed: change.accessed, modified: change.modified)
    }
  }

  private func truncate(_ slot: UInt32, to size: Int64, dropsPrivileges: Bool) throws(Errno) {
    let file = openFile(slot)
    defer { letGo(file, slot) }
    try copyUp(file, slot, size: size)
    file.lock.lock()
    defer { file.lock.unlock() }
    if file.isWritable.load(ordering: .relaxed) {
      let descriptor = file.descriptor.load(ordering: .relaxed)
      try FileSystemCall.truncate(descriptor, to: size)
      if dropsPrivileges { try dropPrivileges(file, descriptor) }
      return
    }
    let opened = try withPlace(slot) { place throws(Errno) in
      try openContent(place, write: true)
    }
    defer { FileSystemCall.close(opened.descriptor) }
    try FileSystemCall.truncate(opened.descriptor, to: size)
    if dropsPrivileges { try dropPrivileges(file, opened.descriptor) }
  }

  // MARK: Set-user-ID bits

  /// The mode without the bits that a write by another user takes away.
  static func withoutPrivileges(_ mode: UInt32) -> UInt32 {
    var mode = mode & 0o7777
    mode &= ~0o4000
    // Set-group-ID without group execution means mandatory locking and stays.
    if mode & 0o010 != 0 { mode &= ~0o2000 }
    return mode
  }

  /// Takes the bits away where the file has any. They are looked for once; `forgetPrivileges` makes
  /// the next write look again.
  func dropPrivileges(_ file: OpenFile, _ descriptor: CInt) throws(Errno) {
    guard file.mayHavePrivileges.load(ordering: .relaxed) else { return }
    let mode = try FileSystemCall.status(of: descriptor).permissions
    let clean = Self.withoutPrivileges(mode)
    if clean != mode { try FileSystemCall.changeMode(of: descriptor, clean) }
    file.mayHavePrivileges.store(false, ordering: .relaxed)
  }

  private func dropPrivileges(at place: Place) throws(Errno) {
    let attributes = try FileSystemCall.status(at: place.directory, place.name)
    guard attributes.isRegular else { return }
    let clean = Self.withoutPrivileges(attributes.mode)
    if clean != attributes.permissions {
      try FileSystemCall.changeMode(at: place.directory, place.name, clean)
    }
  }

  func forgetPrivileges(_ slot: UInt32) {
    guard kind(slot) == .regular else { return }
    let file = openFile(slot)
    file.mayHavePrivileges.store(true, ordering: .relaxed)
    letGo(file, slot)
  }
}
