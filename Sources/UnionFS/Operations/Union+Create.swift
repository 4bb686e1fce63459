internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Making names. Each object is made in its place by the one system call that also gives it owner,
// group, mode and default ACLs, as the caller; a whiteout of the name goes afterwards. Where both are
// there (a crash in between) the entry wins and the whiteout still hides what is below. A whiteout of
// overlayfs has the name itself: there the object is made beside it, and takes its place in one step.

extension Union {
  /// Locks a directory that is on the top branch to change a name that must not be visible, and lets
  /// `make` make it there.
  ///
  /// - Parameters:
  ///   - isLink: the name is one more for a file that is known.
  ///   - mode: of what is made, with the type's bits.
  ///   - make: is given the mode to make it with on disk.
  ///   - undo: takes back what `make` made, when the whiteout of the name cannot be removed.
  func makeName(
    parent: UInt64, name raw: CName, caller: Caller, mode: UInt32, device: UInt64 = 0,
    isLink: Bool = false,
    make: (CInt, Name, NameState, UInt32) throws(Errno) -> Void,
    undo: (CInt, Name) throws(Errno) -> Void
  ) throws(Errno) -> EntryReply {
    let top = try changing()
    let name = try Name(raw)
    let directory = try directory(parent)
    try directory.checkMayAdd()
    try ensureOnTop(directory)
    try lockToWrite(directory)
    defer { directory.lock.unlock() }
    if directory.isRemoved { throw Errno.notThere }
    let state = try nameState(directory, name)
    if state.isVisible { throw Errno.fileExists }
    let target = try topDescriptor(directory)
    if state.hasTopWhiteout { try top.area.inodes.expectMarkers() }
    // A further name makes nothing that an attribute would tell of.
    let told =
      try isLink ? nil : prepareToMake(mode: mode, device: device, in: target.raw, caller)
    let modeOnDisk = modeToMake(mode, told)
    var made: (identity: Identity, attributes: Attributes)?
    func makeAndPublish(
      in place: CInt, _ name: Name, _ publish: () throws(Errno) -> Void
    ) throws(Errno) {
      try make(place, name, state, modeOnDisk)
      do throws(Errno) {
        if let told {
          try keep(told, at: place, name.pointer)
        } else if !configuration.hasACLs, !isLink, FileKind(mode: mode) != .symbolicLink {
          try disinherit(at: place, name.pointer, mode: mode & ~caller.mask)
        }
        var attributes = try status(at: place, name.pointer, in: 0)
        var identity = try identify(&attributes, branch: 0, at: place, name.pointer)
        if state.hasTopWhiteout || told != nil { try hiddenLinks.whileChanging(publish) }
        // The first name of an unnamed file is found by its number too.
        if isLink { identity.isLinked = true }
        made = (identity, attributes)
      } catch {
        try? undo(place, name)
        throw error
      }
    }
    func makeBeside(in place: CInt) throws(Errno) {
      try top.area.withFreshName(in: place) { fresh throws(Errno) in
        try makeAndPublish(in: place, Name(fresh: fresh)) { () throws(Errno) in
          try publish(
            fresh, in: place, as: name, in: target.raw, over: state,
            isDirectory: FileKind(mode: mode) == .directory)
        }
      }
    }
    if told != nil {
      // In the work area, where the next mount looks for what a crash leaves. On a file system that is
      // mounted inside the branch, beside its name.
      do throws(Errno) { try makeBeside(in: top.area.descriptor) } catch {
        guard error == .improperLink else { throw error }
        try makeBeside(in: target.raw)
      }
    } else if state.topWhiteouts.contains(.overlay) {
      try makeBeside(in: target.raw)
    } else {
      try makeAndPublish(in: target.raw, name) { () throws(Errno) in
        try top.whiteouts.show(name, in: target.raw)
      }
    }
    guard let made else { throw Errno.ioError }
    return didMake(directory, name, made.identity, made.attributes)
  }

  /// Gives what was made under another name its own, in one step, and takes the whiteouts of that away.
  private func publish(
    _ fresh: CName, in place: CInt, as name: Name, in target: CInt, over state: NameState,
    isDirectory: Bool
  ) throws(Errno) {
    guard state.topWhiteouts.contains(.overlay) else {
      try FileSystemCall.rename(
        at: place, fresh, to: target, name.pointer, flags: FileSystemCall.RenameFlag.noReplace)
      if state.hasTopWhiteout { try? changing().whiteouts.show(name, in: target) }
      return
    }
    if isDirectory {
      try replaceWhiteout(of: name, in: target, byDirectory: fresh, in: place)
    } else {
      try FileSystemCall.rename(at: place, fresh, to: target, name.pointer)
    }
    // The entry wins over one of the other form.
    if state.topWhiteouts.contains(.aufs) { try? changing().whiteouts.show(name, in: target) }
  }

  private func replaceWhiteout(
    of name: Name, in target: CInt, byDirectory fresh: CName, in place: CInt
  ) throws(Errno) {
    let exchange = FileSystemCall.RenameFlag.exchange
    try FileSystemCall.rename(at: place, fresh, to: target, name.pointer, flags: exchange)
    do throws(Errno) { try FileSystemCall.unlink(at: place, fresh) } catch {
      try? FileSystemCall.rename(at: place, fresh, to: target, name.pointer, flags: exchange)
      throw error
    }
  }

  /// Enters a name that was just made on the top branch.
  private func didMake(
    _ directory: Directory, _ name: Name, _ identity: Identity, _ attributes: Attributes
  ) -> EntryReply {
    directory.index?.setTop(
      name, type: attributes.type, inode: identity.number, branches: [0])
    let state = NameState(branch: 0, kind: attributes.type, branches: [0])
    return enter(directory, name, state, identity, attributes)
  }

  private static func unlinkMade(_ target: CInt, _ name: Name) throws(Errno) {
    try FileSystemCall.unlink(at: target, name.pointer)
  }

  func makeNode(
    parent: UInt64, name: CName, mode: UInt32, device: UInt64, caller: Caller
  ) throws(Errno) -> EntryReply {
    // It would be a whiteout from the next mount on.
    if FileKind(mode: mode) == .characterDevice, device == 0 { throw Errno.notPermitted }
    return try makeName(
      parent: parent, name: name, caller: caller, mode: mode, device: device,
      make: { (target, name, _, mode) throws(Errno) in
        try FileSystemCall.makeNode(at: target, name.pointer, mode: mode, device: device)
      }, undo: Self.unlinkMade)
  }

  func makeSymbolicLink(
    parent: UInt64, name: CName, target: CName, caller: Caller
  ) throws(Errno) -> EntryReply {
    try makeName(
      parent: parent, name: name, caller: caller, mode: FileKind.symbolicLink.modeBits,
      make: { (directory, name, _, _) throws(Errno) in
        try FileSystemCall.makeSymbolicLink(at: directory, name.pointer, to: target)
      }, undo: Self.unlinkMade)
  }

  /// Over a lower directory the new one is opaque before the whiteout goes, so that the old content
  /// never shows.
  func makeDirectory(
    parent: UInt64, name: CName, mode: UInt32, caller: Caller
  ) throws(Errno) -> EntryReply {
    let top = try changing()
    return try makeName(
      parent: parent, name: name, caller: caller,
      mode: FileKind.directory.modeBits | mode & 0o7777,
      make: { (target, name, state, mode) throws(Errno) in
        try FileSystemCall.makeDirectory(at: target, name.pointer, mode: mode)
        guard state.lowerKind == .directory else { return }
        do throws(Errno) { try self.makeOpaque(target, name, top) } catch {
          try? FileSystemCall.removeDirectory(at: target, name.pointer)
          throw error
        }
      },
      undo: { (target, name) throws(Errno) in
        try self.emptyOfMarkers(target, name)
        try FileSystemCall.removeDirectory(at: target, name.pointer)
      })
  }

  func emptyOfMarkers(_ parent: CInt, _ name: Name) throws(Errno) {
    let inside = try FileSystemCall.open(
      at: parent, name.pointer, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
    defer { FileSystemCall.close(inside) }
    try removeMarkers(in: inside)
  }

  /// Marks a directory of the top branch opaque.
  func makeOpaque(_ parent: CInt, _ name: Name, _ top: Top) throws(Errno) {
    let inside = try FileSystemCall.open(
      at: parent, name.pointer, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
    defer { FileSystemCall.close(inside) }
    try top.whiteouts.makeOpaque(inside)
  }

  /// A file that is made and opened in one step. EEXIST where it is there and O_EXCL was given;
  /// without, the file that is there is opened.
  func create(
    parent: UInt64, name: CName, mode: UInt32, flags: CInt, caller: Caller
  ) throws(Errno) -> (EntryReply, OpenReply) {
    if OpenFile.openCount.load(ordering: .relaxed) >= openFileLimit {
      throw Errno.tooManyOpenFiles
    }
    var descriptor: CInt = -1
    let entry: EntryReply
    do throws(Errno) {
      entry = try makeName(
        parent: parent, name: name, caller: caller,
        mode: FileKind.regular.modeBits | mode & 0o7777,
        make: { (target, name, _, mode) throws(Errno) in
          if descriptor >= 0 { FileSystemCall.close(descriptor) }
          descriptor = -1
          descriptor = try FileSystemCall.open(
            at: target, name.pointer,
            OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow,
            mode: mode)
        }, undo: Self.unlinkMade)
    } catch {
      if descriptor >= 0 { FileSystemCall.close(descriptor) }
      guard error == .fileExists, flags & OpenFlag.exclusive == 0 else { throw error }
      return try openExisting(parent: parent, name: name, flags: flags, caller: caller)
    }
    return try openMade(entry, descriptor, flags: flags)
  }

  private func openExisting(
    parent: UInt64, name: CName, flags: CInt, caller: Caller
  ) throws(Errno) -> (EntryReply, OpenReply) {
    let entry = try lookUp(parent: parent, name: name, caller: caller)
    if entry.node == 0 { throw Errno.notThere }
    do throws(Errno) {
      return (
        entry, try open(entry.node, flags: flags, dropsPrivileges: false, caller: caller)
      )
    } catch {
      forget(node: entry.node, count: 1)
      throw error
    }
  }

  /// The handle of a file that was just made; the descriptor is its content's.
  private func openMade(
    _ entry: EntryReply, _ descriptor: CInt, flags: CInt
  ) throws(Errno) -> (EntryReply, OpenReply) {
    let slot: UInt32
    do throws(Errno) { slot = try self.slot(entry.node) } catch {
      FileSystemCall.close(descriptor)
      throw error
    }
    let file = openFile(slot)
    file.lock.lock()
    defer { file.lock.unlock() }
    do throws(Errno) { try file.adopt(descriptor, readable: true, writable: true) } catch {
      letGo(file, slot)
      throw error
    }
    file.hasNoCapability.store(true, ordering: .relaxed)
    // The kernel may believe what it is told of an empty file: whatever makes it larger takes that back.
    return (entry, reply(file, slot, flags: flags, known: entry.attributes))
  }

  /// A file without a name (O_TMPFILE), on the top branch.
  func createUnnamed(
    parent: UInt64, mode: UInt32, flags: CInt, caller: Caller
  ) throws(Errno) -> (EntryReply, OpenReply) {
    _ = try changing()
    let directory = try directory(parent)
    try ensureOnTop(directory)
    let target = try topDescriptor(directory)
    let told = try prepareToMake(
      mode: FileKind.regular.modeBits | mode & 0o7777, in: target.raw, caller)
    let exclusive = flags & OpenFlag.exclusive
    let descriptor = try FileSystemCall.open(
      at: target.raw, ReservedName.here, OpenFlag.temporary | OpenFlag.readWrite | exclusive,
      mode: modeToMake(mode, told))
    var attributes: Attributes
    do throws(Errno) {
      if let told {
        try keep(told, at: descriptor, nil)
      } else if !configuration.hasACLs {
        try disinherit(at: descriptor, nil, mode: mode & ~caller.mask)
      }
      attributes = try status(of: descriptor, in: 0)
    } catch {
      FileSystemCall.close(descriptor)
      throw error
    }
    attributes.inode = numbers.number(
      branch: 0, device: attributes.device, inode: attributes.inode)
    let entry = enterUnnamed(attributes)
    return try openMade(entry, descriptor, flags: flags)
  }

  private func enterUnnamed(_ attributes: Attributes) -> EntryReply {
    nodes.lock.whileLocked {
      let slot = nodes.makeNode(
        inode: attributes.inode, kind: attributes.type, branch: 0, flags: .unlinked)
      nodes.countLookup(slot)
      return EntryReply(
        node: nodes.currentID(slot),
        generation: UInt64(nodes.node(slot).pointee.generation), attributes: shown(attributes),
        timeout: Self.timeout)
    }
  }
}
