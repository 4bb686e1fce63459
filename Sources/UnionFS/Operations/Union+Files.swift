internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Opening, reading and writing. A file of a lower branch that is opened for writing stays where it is
// until something is written.

extension Union {
  func open(
    _ node: UInt64, flags: CInt, dropsPrivileges: Bool, caller: Caller
  ) throws(Errno) -> OpenReply {
    let slot = try slot(node)
    guard kind(slot) == .regular else {
      throw kind(slot) == .directory ? Errno.isDirectory : Errno.noSuchDeviceOrAddressForOpen
    }
    let file = openFile(slot)
    let opening = Opening(node: node, slot: slot, flags: flags, thread: caller.process)
    do throws(Errno) {
      try prepare(file, opening)
      if flags & OpenFlag.truncate != 0 {
        try truncateOpened(file, slot, dropsPrivileges ? caller : nil)
      }
      return try answer(file, opening)
    } catch {
      letGo(file, slot)
      throw error
    }
  }

  private func answer(_ file: OpenFile, _ opening: Opening) throws(Errno) -> OpenReply {
    file.lockPatiently()
    defer { file.lock.unlock() }
    // Another open may have come between.
    if try checkID(file, opening) == .former { return formerReply(file, opening) }
    let reply = reply(file, opening.slot, flags: opening.flags, known: nil)
    // What the kernel believes of the file is true no longer than until the first write.
    if reply.backing != 0 && opening.flags & OpenFlag.accessMode != OpenFlag.readOnly {
      Session.forgetAttributes(of: opening.node)
    }
    if opening.flags & OpenFlag.accessMode == OpenFlag.readOnly {
      giveContent(of: opening.node, opening.slot, file)
    }
    return reply
  }

  /// A handle of an open file, which is locked.
  func reply(
    _ file: OpenFile, _ slot: UInt32, flags: CInt, known: Attributes?
  ) -> OpenReply {
    let (mode, backing) = settleMode(file, slot, flags: flags, known: known)
    let isDirect =
      mode == .cached && flags & OpenFlag.accessMode != OpenFlag.readOnly && Session.collectsWrites
      && mustWriteAtOnce(file)
    let handle = FileHandle(file, slot: slot, flags: flags, mode: mode, isDirect: isDirect)
    var reply = OpenReply(handle: handle.number)
    // Content changes through this mount only, and the kernel sees every change.
    reply.keepsCache = mode == .cached
    reply.skipsFlush = true
    reply.backing = backing
    reply.isDirect = isDirect
    return reply
  }

  /// What the kernel may have collected when the top branch has this much room left finds it, and the
  /// caller is told at once where it does not.
  static let roomToCollect: UInt64 = max(256 << 20, ProcessCall.memory / 32)

  /// Whether the top branch has room enough that writes are collected at all. Where it has little, each
  /// file would be written at once, and the kernel could as well not collect.
  var hasRoomToCollect: Bool {
    guard top != nil, let room = try? FileSystemCall.fileSystem(of: branches[0].root) else {
      return false
    }
    let (bytes, isMore) = room.blocksAvailable.multipliedReportingOverflow(by: room.fragmentSize)
    return isMore || bytes / 4 >= Self.roomToCollect
  }

  /// Whether writes to a file are not to be collected: they might not find room, the server could not
  /// read what surrounds them, or whatever is written is appended (chattr(1)'s `a`).
  private func mustWriteAtOnce(_ file: OpenFile) -> Bool {
    guard file.isReadable.load(ordering: .relaxed),
      !file.mayBeProtected.load(ordering: .relaxed),
      let room = try? FileSystemCall.fileSystem(of: branches[0].root)
    else { return true }
    var needed = Self.roomToCollect
    if !file.isOnTop.load(ordering: .relaxed) {
      let lower = try? FileSystemCall.status(of: file.descriptor.load(ordering: .acquiring))
      needed &+= UInt64(max(lower?.size ?? 0, 0))
    }
    let (bytes, isMore) = room.blocksAvailable.multipliedReportingOverflow(by: room.fragmentSize)
    return !isMore && bytes < needed
  }

  /// Makes sure that the shared descriptor can do what the flags ask.
  private func prepare(_ file: OpenFile, _ opening: Opening) throws(Errno) {
    let (slot, flags, wantsWriting) = (opening.slot, opening.flags, opening.wantsWriting)
    if wantsWriting { _ = try changing() }
    file.lockPatiently()
    defer { file.lock.unlock() }
    // Before anything is changed.
    _ = try checkID(file, opening)
    let isOnTop = file.isOnTop.load(ordering: .relaxed)
    let write = wantsWriting && isOnTop
    let isOpen = file.descriptor.load(ordering: .relaxed) >= 0
    let canRead = file.isReadable.load(ordering: .relaxed)
    let canWrite = file.isWritable.load(ordering: .relaxed)
    // What surrounds a piece that the kernel collects is read first.
    let wantsReading =
      flags & OpenFlag.accessMode != OpenFlag.writeOnly || wantsWriting && Session.collectsWrites
    if wantsWriting && (!isOnTop || file.mayBeProtected.load(ordering: .relaxed)) {
      let attributes = try withPlace(slot) { place throws(Errno) in
        try FileSystemCall.status(at: place.directory, place.name)
      }
      try checkProtection(attributes, flags: flags)
    }
    if isOpen && (!write || canWrite) && (!wantsReading || canRead) { return }
    // The rest is for directories and for what a request opens for its own time: whoever opens too
    // much is told, and everybody else goes on.
    if !file.isCounted && OpenFile.openCount.load(ordering: .relaxed) >= openFileLimit {
      throw Errno.tooManyOpenFiles
    }
    file.count()
    if !isOpen && !wantsWriting && isWithKernel(file, slot) { return }
    // A write-only descriptor and a reader: both are needed from now on.
    let opened = try withPlace(slot) { place throws(Errno) in
      do throws(Errno) {
        return try openContent(place, write: write || canWrite, flags: flags & OpenFlag.sync)
      } catch {
        // A file that chattr(1) lets only grow is opened in no other way.
        guard error == .notPermitted, write, flags & OpenFlag.append != 0 else { throw error }
        file.mayBeProtected.store(true, ordering: .relaxed)
        return try openContent(
          place, write: true, flags: flags & (OpenFlag.sync | OpenFlag.append))
      }
    }
    try file.adopt(
      opened.descriptor, readable: opened.isReadable, writable: write || canWrite)
  }

  private func truncateOpened(
    _ file: OpenFile, _ slot: UInt32, _ dropsPrivileges: Caller?
  ) throws(Errno) {
    let descriptor = file.descriptor.load(ordering: .acquiring)
    // Found out before anything is changed.
    let clean = try dropsPrivileges.flatMap { (caller) throws(Errno) in
      let branch = nodes.lock.whileLocked { nodes.node(slot).pointee.branch }
      return modeWithoutPrivileges(try status(of: descriptor, in: branch), caller)
    }
    if try !copyUp(file, slot, size: 0) { try FileSystemCall.truncate(descriptor, to: 0) }
    if let clean { try changeMode(of: descriptor, clean) }
    file.hasNoCapability.store(true, ordering: .relaxed)
  }

  func descriptor(ofHandle handle: UInt64) throws(Errno) -> CInt {
    let handle = try FileHandle.from(handle)
    return try content(handle.file, handle.slot)
  }

  /// The descriptor of what the kernel shows by a handle, which for a reader of a lower file by
  /// passthrough is the lower file still.
  private func shownDescriptor(ofHandle number: UInt64) throws(Errno) -> CInt {
    let handle = try FileHandle.from(number)
    let lower = handle.file.lowerDescriptor.load(ordering: .acquiring)
    if handle.mode == .passthroughBelow && lower >= 0 { return lower }
    return try content(handle.file, handle.slot)
  }

  /// The descriptor to write to; the first write to a lower file copies it up.
  private func writable(_ handle: FileHandle) throws(Errno) -> CInt {
    if !handle.file.isOnTop.load(ordering: .acquiring) {
      try copyUp(handle.file, handle.slot)
    }
    return handle.file.descriptor.load(ordering: .acquiring)
  }

  func write(
    _ node: UInt64, handle: UInt64, from buffer: UnsafeRawBufferPointer, at offset: Int64,
    isCollected: Bool, dropsPrivileges: Bool, caller: Caller
  ) throws(Errno) -> Int {
    let handle = try FileHandle.from(handle)
    let descriptor = try writable(handle)
    if handle.isDirect { handle.hasWritten.store(true, ordering: .relaxed) }
    if dropsPrivileges { try dropPrivileges(handle.file, descriptor, caller) }
    let before = isCollected ? try FileSystemCall.status(of: descriptor).modified : nil
    defer {
      // Where this server may not, the time is that of the piece's arrival.
      if let before {
        try? FileSystemCall.changeTimes(of: descriptor, accessed: .keep, modified: .to(before))
      }
    }
    var done = 0
    while done < buffer.count {
      do throws(Errno) {
        let count = try FileSystemCall.write(
          descriptor, from: UnsafeRawBufferPointer(rebasing: buffer[done...]),
          at: offset + Int64(done))
        if count == 0 { break }
        done += count
      } catch {
        if done == 0 { throw error }
        break
      }
    }
    return done
  }

  /// The kernel, which has sent what it collected before, need not say so again.
  func flush(_ node: UInt64, handle: UInt64) throws(Errno) { throw Errno.noFunction }

  func release(_ node: UInt64, handle: UInt64) {
    guard let handle = FileHandle.release(handle) else { return }
    handle.file.lockPatiently()
    endMode(handle.file, handle.mode)
    handle.file.lock.unlock()
    if handle.hasWritten.load(ordering: .relaxed) { forgetNames(of: handle.slot) }
    letGo(handle.file, handle.slot)
  }

  /// Where the kernel collects writes it believes no time of a regular file but its own, and what was
  /// written at once has not moved that: so it shall look the file up anew. Only once the request is
  /// answered: until then the kernel holds the inode.
  private func forgetNames(of slot: UInt32) {
    let names = nodes.names(of: slot)
    _ = Session.hold(
      Afterwards {
        // It waits for whoever changes names in the directory, and that one for this server.
        Session.willBlock()
        for (parent, name) in names { Session.forgetName(name, in: parent) }
      })
  }

  /// Data that the top branch holds goes to its disk; a lower file has none to flush.
  func sync(_ node: UInt64, handle: UInt64, dataOnly: Bool) throws(Errno) {
    let file = try FileHandle.from(handle).file
    guard file.isOnTop.load(ordering: .acquiring), configuration.durability != .volatile else {
      return
    }
    let descriptor = file.descriptor.load(ordering: .acquiring)
    if dataOnly {
      try FileSystemCall.syncData(descriptor)
    } else {
      try FileSystemCall.sync(descriptor)
    }
  }

  func allocate(
    _ node: UInt64, handle: UInt64, mode: CInt, offset: Int64, size: Int64
  ) throws(Errno) {
    let handle = try FileHandle.from(handle)
    try FileSystemCall.allocate(try writable(handle), mode: mode, offset: offset, size: size)
  }

  func seek(
    _ node: UInt64, handle: UInt64, offset: Int64, whence: CInt
  ) throws(Errno) -> Int64 {
    try FileSystemCall.seek(try shownDescriptor(ofHandle: handle), offset, whence: whence)
  }

  func copyRange(
    fromHandle: UInt64, at offset: Int64, toNode: UInt64, toHandle: UInt64, at newOffset: Int64,
    count: Int
  ) throws(Errno) -> Int {
    let target = try writable(try FileHandle.from(toHandle))
    let source = try FileHandle.from(fromHandle)
    let copied = try FileSystemCall.copyRange(
      from: try shownDescriptor(ofHandle: fromHandle), at: offset, to: target, at: newOffset,
      count: count)
    // The source's access time may have moved, of which the kernel is told nothing else.
    Session.forgetAttributes(of: nodes.id(source.slot))
    return copied
  }
}

/// Does something when nobody holds it any more.
private final class Afterwards {
  private let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
  deinit { body() }
}

extension NodeTable {
  /// The names by which a node is known, NUL-terminated, each with its directory's node id. Takes the lock.
  func names(of slot: UInt32) -> [(parent: UInt64, name: [CChar])] {
    lock.whileLocked {
      records(of: slot).map { record in
        (currentID(node(record).pointee.parent), name(record))
      }
    }
  }

  /// Takes the lock.
  func id(_ slot: UInt32) -> UInt64 {
    lock.whileLocked { currentID(slot) }
  }
}

extension Errno {
  /// ENXIO: a special file's content is the kernel's to open, not the server's.
  static var noSuchDeviceOrAddressForOpen: Errno { .noSuchAddressOrDevice }
}
