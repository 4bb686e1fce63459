internal import CFuse
internal import SystemCalls
internal import SystemPackage

func addDirectoryOperations(_ table: inout fuse_lowlevel_ops) {
  table.opendir = { raw, node, _ in
    serve(raw) { _, fileSystem throws(Errno) -> OpenReply in
      try fileSystem.openDirectory(node)
    } reply: {
      $1.send($0)
    } unwanted: {
      $0.releaseDirectory(node, handle: $1.handle)
    }
  }
  table.readdir = { raw, node, size, offset, info in
    list(raw, node, size: size, offset: Int64(offset), info, isPlus: false)
  }
  table.readdirplus = { raw, node, size, offset, info in
    list(raw, node, size: size, offset: Int64(offset), info, isPlus: true)
  }
  table.releasedir = { raw, node, info in
    serve(raw) { _, fileSystem throws(Errno) in
      fileSystem.releaseDirectory(node, handle: try handle(info))
    }
  }
  table.fsyncdir = { raw, node, dataOnly, info in
    serve(raw) { _, fileSystem throws(Errno) in
      try fileSystem.syncDirectory(node, handle: handle(info), dataOnly: dataOnly != 0)
    }
  }
  table.statfs = { raw, _ in
    serve(raw) { _, fileSystem throws(Errno) -> FileSystemStatus in
      try fileSystem.fileSystemStatus()
    } reply: { raw, status in
      var wire = statvfs()
      wire.f_bsize = UInt(status.blockSize)
      wire.f_frsize = UInt(status.fragmentSize)
      wire.f_blocks = UInt(status.blocks)
      wire.f_bfree = UInt(status.blocksFree)
      wire.f_bavail = UInt(status.blocksAvailable)
      wire.f_files = UInt(status.files)
      wire.f_ffree = UInt(status.filesFree)
      wire.f_favail = UInt(status.filesFree)
      wire.f_namemax = UInt(status.nameLimit)
      return fuse_reply_statfs(raw, &wire)
    }
  }
}

private func list(
  _ raw: fuse_req_t?, _ node: UInt64, size: Int, offset: Int64,
  _ info: UnsafeMutablePointer<fuse_file_info>?, isPlus: Bool
) {
  serve(raw) { request, fileSystem throws(Errno) -> UnsafeMutableRawBufferPointer in
    guard let worker = Worker.current else { throw Errno.ioError }
    let room = worker.room(size)
    guard let base = room.bindMemory(to: CChar.self).baseAddress else { throw Errno.noMemory }
    var buffer = DirectoryBuffer(
      request: request.raw, storage: base, capacity: size, isPlus: isPlus)
    try fileSystem.readDirectory(node, offset: offset, into: &buffer)
    return UnsafeMutableRawBufferPointer(rebasing: room[..<buffer.used])
  } reply: {
    fuse_reply_buf($0, $1.baseAddress, $1.count)
  } unwanted: { fileSystem, bytes in
    if isPlus { forgetEntries(UnsafeRawBufferPointer(bytes), fileSystem) }
  }
}

/// Takes back the lookups of a READDIRPLUS reply that was not wanted.
private func forgetEntries(_ bytes: UnsafeRawBufferPointer, _ fileSystem: any FileSystem) {
  var offset = 0
  while offset + MemoryLayout<fuse_entry_out>.size + 24 <= bytes.count {
    let entry = bytes.loadUnaligned(fromByteOffset: offset, as: fuse_entry_out.self)
    let nameLength = bytes.loadUnaligned(
      fromByteOffset: offset + MemoryLayout<fuse_entry_out>.size + 16, as: UInt32.self)
    if entry.nodeid != 0 { fileSystem.forget(node: entry.nodeid, count: 1) }
    offset += (MemoryLayout<fuse_entry_out>.size + 24 + Int(nameLength) + 7) & ~7
  }
}
