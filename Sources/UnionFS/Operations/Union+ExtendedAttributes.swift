internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension Union {
  func extendedAttribute(
    of node: UInt64, key: CName, into buffer: UnsafeMutableRawBufferPointer, caller: Caller
  ) throws(Errno) -> Int {
    let slot = try slot(node)
    if let question = OriginQuestion(key) {
      return try answer(question, about: slot, into: buffer)
    }
    try checkACLs(key)
    if isHidden(key) { throw Errno.noData }
    if isCapability(key), nodes.hasNoCapability(slot) { throw Errno.noData }
    return try withPlace(slot) { place throws(Errno) in
      let count = try extendedAttribute(at: place, key: key, into: buffer)
      if mapsOwners, isACL(key), count <= buffer.count {
        configuration.owners.show(acl: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
      }
      return count
    }
  }

  /// A file system that knows no attributes has none: EOPNOTSUPP for an ACL would make the kernel refuse
  /// the file, and a lower file gets its first one where the top branch knows them.
  private func extendedAttribute(
    at place: Place, key: CName, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    do throws(Errno) {
      return try FileSystemCall.extendedAttribute(
        at: place.directory, place.attributeName, key: key, into: buffer)
    } catch {
      guard error == .notSupported || error == .notSupportedOnSocket,
        !isWritable(place.branch) || isACL(key)
      else { throw error }
      throw Errno.noData
    }
  }

  /// The kernel has checked the caller; an access ACL set by one who is not of the file's group takes
  /// its set-group-ID bit away, as on a local disk.
  func setExtendedAttribute(
    of node: UInt64, key: CName, to value: UnsafeRawBufferPointer, flags: CInt,
    caller: Caller
  ) throws(Errno) {
    try checkACLs(key)
    if OriginQuestion.isReserved(key) || isHidden(key) { throw Errno.notPermitted }
    let slot = try slot(node)
    if flags != 0 { try checkExistence(slot, key, flags) }
    try copyUp(slot)
    if isCapability(key) { nodes.mayHaveCapability(slot) }
    try withPlace(slot) { place throws(Errno) in
      func set(_ value: UnsafeRawBufferPointer) throws(Errno) {
        try FileSystemCall.setExtendedAttribute(
          at: place.directory, place.attributeName, key: key, to: value, flags: flags)
      }
      if isACL(key) { try withACLOnDisk(value, set) } else { try set(value) }
      guard isAccessACL(key), caller.user != 0 else { return }
      let attributes = try FileSystemCall.status(at: place.directory, place.name)
      guard attributes.mode & 0o2000 != 0, !isMember(caller, ofGroupOf: attributes) else { return }
      try FileSystemCall.changeMode(
        at: place.directory, place.name, attributes.permissions & ~0o2000)
    }
  }

  /// What XATTR_CREATE or XATTR_REPLACE will refuse is refused before a copy.
  private func checkExistence(_ slot: UInt32, _ key: CName, _ flags: CInt) throws(Errno) {
    let create: CInt = 1
    let replace: CInt = 2
    do throws(Errno) {
      _ = try withPlace(slot) { place throws(Errno) in
        try extendedAttribute(
          at: place, key: key, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
      if flags == create { throw Errno.fileExists }
    } catch { if error != .noData || flags == replace { throw error } }
  }

  private func isAccessACL(_ key: CName) -> Bool {
    isEqual(key, "system.posix_acl_access")
  }

  /// Only names of attributes that are on disk, without those of overlayfs. Those of `trusted.` are for
  /// the privileged: the server sees them where its caller may not.
  func listExtendedAttributes(
    of node: UInt64, into buffer: UnsafeMutableBufferPointer<CChar>, caller: Caller
  ) throws(Errno) -> Int {
    try withPlace(slot(node)) { place throws(Errno) in
      let list = { (room: UnsafeMutableBufferPointer<CChar>) throws(Errno) in
        do throws(Errno) {
          return try FileSystemCall.listExtendedAttributes(
            at: place.directory, place.attributeName, into: room)
        } catch {
          if error == .notSupported || error == .notSupportedOnSocket { return 0 }
          throw error
        }
      }
      let all = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 1 << 16)
      defer { all.deallocate() }
      let count = try list(all)
      if count == 0 { return 0 }
      return try filter(
        UnsafeBufferPointer(rebasing: all[..<count]), showsTrusted: caller.user == 0, into: buffer)
    }
  }

  private func filter(
    _ names: UnsafeBufferPointer<CChar>, showsTrusted: Bool,
    into buffer: UnsafeMutableBufferPointer<CChar>
  ) throws(Errno) -> Int {
    var used = 0
    var start = 0
    let prefix = "trusted.".utf8.map { CChar(bitPattern: $0) }
    while start < names.count {
      let end = (names[start...].firstIndex(of: 0) ?? names.count - 1) + 1
      let name = names[start..<end]
      start = end
      if !showsTrusted, name.starts(with: prefix) { continue }
      if let base = names.baseAddress {
        let key = base + name.startIndex
        if isHidden(key) || !hasACLs && isACL(key) { continue }
      }
      if !buffer.isEmpty {
        guard used + name.count <= buffer.count else { throw Errno.outOfRange }
        for (offset, byte) in name.enumerated() { buffer[used + offset] = byte }
      }
      used += name.count
    }
    return used
  }

  func removeExtendedAttribute(of node: UInt64, key: CName, caller: Caller) throws(Errno) {
    try checkACLs(key)
    if OriginQuestion.isReserved(key) || isHidden(key) { throw Errno.notPermitted }
    let slot = try slot(node)
    // What is not there is not worth a copy. An ACL is what a mode says then.
    do throws(Errno) {
      _ = try withPlace(slot) { place throws(Errno) in
        try extendedAttribute(
          at: place, key: key, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
    } catch {
      if error == .noData && isACL(key) { return }
      // One whose value cannot be told can be removed all the same.
      if error != .invalidArgument { throw error }
    }
    try copyUp(slot)
    try withPlace(slot) { place throws(Errno) in
      try FileSystemCall.removeExtendedAttribute(
        at: place.directory, place.attributeName, key: key)
    }
  }
}

extension NodeTable {
  /// The open file of a regular file's node, nil where nothing has it open. Under the lock.
  func openFile(_ slot: UInt32) -> OpenFile? {
    guard node(slot).pointee.kind == .regular, let extra = extra(slot) else { return nil }
    return Unmanaged<OpenFile>.fromOpaque(extra).takeUnretainedValue()
  }

  /// Takes the lock.
  func hasNoCapability(_ slot: UInt32) -> Bool {
    lock.whileLocked { openFile(slot)?.hasNoCapability.load(ordering: .relaxed) ?? false }
  }

  /// Takes the lock.
  func mayHaveCapability(_ slot: UInt32) {
    lock.whileLocked { openFile(slot)?.hasNoCapability.store(false, ordering: .relaxed) }
  }
}
