internal import CFuse
internal import SystemCalls
internal import SystemPackage

func addNameOperations(_ table: inout fuse_lowlevel_ops) {
  table.`init` = { data, connection in
    guard let data, let connection else { return }
    let state = data.assumingMemoryBound(to: cfuse_state.self)
    negotiate(connection, state)
    let owner = Unmanaged<SessionOwner>.fromOpaque(state.pointee.file_system).takeUnretainedValue()
    owner.session?.fileSystem.start()
    owner.whenLive?()
    owner.whenLive = nil
  }
  table.lookup = { raw, parent, name in
    serveEntry(raw) { request, fileSystem throws(Errno) in
      try fileSystem.lookUp(parent: parent, name: required(name), caller: request.caller)
    }
  }
  table.forget = { raw, node, count in
    guard let raw else { return }
    forget(raw, [fuse_forget_data(ino: node, nlookup: count)])
  }
  table.forget_multi = { raw, count, list in
    guard let raw else { return }
    forget(raw, UnsafeBufferPointer(start: list, count: count))
  }
}

func addChangeOperations(_ table: inout fuse_lowlevel_ops) {
  table.mknod = { raw, parent, name, mode, device in
    serveEntry(raw) { request, fileSystem throws(Errno) in
      try fileSystem.makeNode(
        parent: parent, name: required(name), mode: mode, device: UInt64(device),
        caller: request.caller)
    }
  }
  table.mkdir = { raw, parent, name, mode in
    serveEntry(raw) { request, fileSystem throws(Errno) in
      try fileSystem.makeDirectory(
        parent: parent, name: required(name), mode: mode, caller: request.caller)
    }
  }
  table.symlink = { raw, target, parent, name in
    serveEntry(raw) { request, fileSystem throws(Errno) in
      try fileSystem.makeSymbolicLink(
        parent: parent, name: required(name), target: required(target), caller: request.caller)
    }
  }
  table.link = { raw, node, parent, name in
    serveEntry(raw) { request, fileSystem throws(Errno) in
      try fileSystem.link(
        node: node, parent: parent, name: required(name), caller: request.caller)
    }
  }
  table.unlink = { raw, parent, name in
    serve(raw) { request, fileSystem throws(Errno) in
      try fileSystem.unlink(parent: parent, name: required(name), caller: request.caller)
    }
  }
  table.rmdir = { raw, parent, name in
    serve(raw) { request, fileSystem throws(Errno) in
      try fileSystem.removeDirectory(parent: parent, name: required(name), caller: request.caller)
    }
  }
  table.rename = { raw, parent, name, newParent, newName, flags in
    serve(raw) { request, fileSystem throws(Errno) in
      try fileSystem.rename(
        parent: parent, name: required(name), newParent: newParent, newName: required(newName),
        flags: flags, caller: request.caller)
    }
  }
  table.readlink = { raw, node in
    serve(raw) { _, fileSystem throws(Errno) -> UnsafeMutablePointer<CChar> in
      guard let worker = Worker.current else { throw Errno.ioError }
      // One more than PATH_MAX, for the NUL that libfuse wants.
      let room = worker.room(4097).bindMemory(to: CChar.self)
      guard let base = room.baseAddress else { throw Errno.noMemory }
      let count = try fileSystem.readLink(
        node, into: UnsafeMutableBufferPointer(start: base, count: 4096))
      base[count] = 0
      return base
    } reply: {
      fuse_reply_readlink($0, $1)
    }
  }
}

/// Asks for what the file system's design relies on, of what the kernel offers. Not ASYNC_DIO: after
/// an asynchronous direct write nobody takes the pages away that a racing reader brought in.
private func negotiate(
  _ connection: UnsafeMutablePointer<fuse_conn_info>, _ state: UnsafeMutablePointer<cfuse_state>
) {
  let offered = connection.pointee.capable
  var wanted =
    FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK | FUSE_CAP_READDIRPLUS
    | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS
    | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA
    | FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_IOCTL_DIR | FUSE_CAP_EXPORT_SUPPORT
  if state.pointee.wants_acl != 0 { wanted |= FUSE_CAP_POSIX_ACL }
  // The kernel does one or the other. A file that must be written at once has to be mapped all the same.
  if state.pointee.wants_writeback != 0, !Session.hasPassthrough(state),
    state.pointee.offered & Session.directMaps != 0,
    offered & UInt32(bitPattern: FUSE_CAP_WRITEBACK_CACHE) != 0
  {
    wanted |= FUSE_CAP_WRITEBACK_CACHE
    state.pointee.has_writeback = 1
  }
  connection.pointee.max_read = state.pointee.max_read
  connection.pointee.want = UInt32(bitPattern: wanted) & offered
  connection.pointee.time_gran = 1
  connection.pointee.max_background = 64
  connection.pointee.congestion_threshold = 48
}

private func forget(_ raw: fuse_req_t, _ list: some Collection<fuse_forget_data>) {
  if let data = fuse_req_userdata(raw) {
    let state = data.assumingMemoryBound(to: cfuse_state.self)
    let owner = Unmanaged<SessionOwner>.fromOpaque(state.pointee.file_system).takeUnretainedValue()
    for item in list { owner.session?.fileSystem.forget(node: item.ino, count: item.nlookup) }
  }
  fuse_reply_none(raw)
}
