internal import CFuse
internal import SystemCalls
internal import SystemPackage

func addFileOperations(_ table: inout fuse_lowlevel_ops) {
  table.open = { raw, node, info in
    serve(raw) { request, fileSystem throws(Errno) -> OpenReply in
      guard let info else { throw Errno.invalidArgument }
      return try fileSystem.open(
        node, flags: info.pointee.flags, dropsPrivileges: Worker.current?.dropsPrivileges ?? false,
        caller: request.caller)
    } reply: {
      $1.send($0)
    } unwanted: {
      $0.release(node, handle: $1.handle)
    }
  }
  table.create = { raw, parent, name, mode, info in
    serve(raw) { request, fileSystem throws(Errno) -> (EntryReply, OpenReply) in
      guard let info else { throw Errno.invalidArgument }
      return try fileSystem.create(
        parent: parent, name: required(name), mode: mode, flags: info.pointee.flags,
        caller: request.caller)
    } reply: { raw, value in
      var entry = value.0.wire
      return cfuse_reply_create(raw, &entry, value.1.handle, value.1.flags, value.1.backing)
    } unwanted: { fileSystem, value in
      fileSystem.release(value.0.node, handle: value.1.handle)
      fileSystem.forget(node: value.0.node, count: 1)
    }
  }
  table.read = { raw, _, size, offset, info in
    serve(raw) { _, fileSystem throws(Errno) -> UnsafeMutableRawBufferPointer in
      guard let info, let worker = Worker.current else { throw Errno.ioError }
      let descriptor = try fileSystem.descriptor(ofHandle: info.pointee.fh)
      let room = worker.room(size)
      let count = try read(descriptor, into: room, at: Int64(offset))
      return UnsafeMutableRawBufferPointer(rebasing: room[..<count])
    } reply: {
      fuse_reply_buf($0, $1.baseAddress, $1.count)
    }
  }
  table.write = { raw, node, bytes, size, offset, info in
    serve(raw) { request, fileSystem throws(Errno) -> Int in
      guard let info else { throw Errno.invalidArgument }
      return try fileSystem.write(
        node, handle: info.pointee.fh, from: UnsafeRawBufferPointer(start: bytes, count: size),
        at: Int64(offset), isCollected: info.pointee.writepage != 0 && Session.collectsWrites,
        dropsPrivileges: Worker.current?.dropsPrivileges ?? false,
        caller: request.caller)
    } reply: {
      fuse_reply_write($0, $1)
    }
  }
}

/// Up to so many bytes a read is first tried from memory.
private let smallRead = 1 << 17

/// Reads; only what waits for a disk, or takes its time, makes another thread read requests.
private func read(
  _ descriptor: CInt, into room: UnsafeMutableRawBufferPointer, at offset: Int64
) throws(Errno) -> Int {
  if room.count <= smallRead,
    let count = try? FileSystemCall.readIfCached(descriptor, into: room, at: offset)
  {
    if count == room.count { return count }
    // The end of the file, or of what is in memory.
    if try FileSystemCall.status(of: descriptor).size <= offset + Int64(count) { return count }
  }
  Session.willBlock()
  return try FileSystemCall.read(descriptor, into: room, at: offset)
}

func addDescriptorOperations(_ table: inout fuse_lowlevel_ops) {
  table.flush = { raw, node, info in
    serve(raw) { _, fileSystem throws(Errno) in
      try fileSystem.flush(node, handle: handle(info))
    }
  }
  table.release = { raw, node, info in
    serve(raw) { _, fileSystem throws(Errno) in
      fileSystem.release(node, handle: try handle(info))
    }
  }
  table.fsync = { raw, node, dataOnly, info in
    serve(raw) { _, fileSystem throws(Errno) in
      try fileSystem.sync(node, handle: handle(info), dataOnly: dataOnly != 0)
    }
  }
  table.fallocate = { raw, node, mode, offset, size, info in
    serve(raw) { _, fileSystem throws(Errno) in
      try fileSystem.allocate(
        node, handle: handle(info), mode: mode, offset: Int64(offset), size: Int64(size))
    }
  }
  table.lseek = { raw, node, offset, whence, info in
    serve(raw) { _, fileSystem throws(Errno) -> Int64 in
      try fileSystem.seek(node, handle: handle(info), offset: Int64(offset), whence: whence)
    } reply: {
      fuse_reply_lseek($0, Int($1))
    }
  }
  table.copy_file_range = { raw, _, from, fromInfo, toNode, to, toInfo, size, _ in
    serve(raw) { _, fileSystem throws(Errno) -> Int in
      try fileSystem.copyRange(
        fromHandle: handle(fromInfo), at: Int64(from), toNode: toNode, toHandle: handle(toInfo),
        at: Int64(to), count: size)
    } reply: {
      fuse_reply_write($0, $1)
    }
  }
}

func handle(_ info: UnsafeMutablePointer<fuse_file_info>?) throws(Errno) -> UInt64 {
  guard let info else { throw Errno.badFileDescriptor }
  return info.pointee.fh
}
