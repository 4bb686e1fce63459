internal import CFuse
internal import SystemCalls
internal import SystemPackage

func addAttributeOperations(_ table: inout fuse_lowlevel_ops) {
  table.getattr = { raw, node, _ in
    serve(raw) { request, fileSystem throws(Errno) -> AttributeReply in
      try fileSystem.attributes(of: node, caller: request.caller)
    } reply: {
      reply($0, $1)
    }
  }
  table.setattr = { raw, node, values, valid, info in
    serve(raw) { request, fileSystem throws(Errno) -> AttributeReply in
      guard let values else { throw Errno.invalidArgument }
      var change = AttributeChange(values.pointee, valid)
      change.dropsPrivileges = Worker.current?.dropsPrivileges ?? false
      return try fileSystem.setAttributes(
        of: node, change, handle: info?.pointee.fh, caller: request.caller)
    } reply: {
      reply($0, $1)
    }
  }
}

func addExtendedAttributeOperations(_ table: inout fuse_lowlevel_ops) {
  table.getxattr = { raw, node, name, size in
    serve(raw) { request, fileSystem throws(Errno) -> (Int, UnsafeMutableRawBufferPointer) in
      let room = try attributeRoom(size)
      let count = try fileSystem.extendedAttribute(
        of: node, key: required(name), into: room, caller: request.caller)
      return (count, room)
    } reply: {
      reply($0, asked: size, count: $1.0, bytes: UnsafeRawBufferPointer($1.1))
    }
  }
  table.listxattr = { raw, node, size in
    serve(raw) { request, fileSystem throws(Errno) -> (Int, UnsafeMutableRawBufferPointer) in
      let room = try attributeRoom(size)
      let count = try fileSystem.listExtendedAttributes(
        of: node, into: room.bindMemory(to: CChar.self), caller: request.caller)
      return (count, room)
    } reply: {
      reply($0, asked: size, count: $1.0, bytes: UnsafeRawBufferPointer($1.1))
    }
  }
  table.setxattr = { raw, node, name, value, size, flags in
    serve(raw) { request, fileSystem throws(Errno) in
      try fileSystem.setExtendedAttribute(
        of: node, key: required(name), to: UnsafeRawBufferPointer(start: value, count: size),
        flags: flags, caller: request.caller)
    }
  }
  table.removexattr = { raw, node, name in
    serve(raw) { request, fileSystem throws(Errno) in
      try fileSystem.removeExtendedAttribute(
        of: node, key: required(name), caller: request.caller)
    }
  }
  table.ioctl = { raw, node, command, _, info, flags, input, inputSize, outputSize in
    serve(raw) { request, fileSystem throws(Errno) -> UnsafeMutableRawBufferPointer in
      guard let worker = Worker.current else { throw Errno.ioError }
      let room = worker.room(outputSize)
      let count = try fileSystem.control(
        node, handle: handle(info), isDirectory: flags & UInt32(FUSE_IOCTL_DIR) != 0,
        command: command, input: UnsafeRawBufferPointer(start: input, count: inputSize),
        output: room, caller: request.caller)
      return UnsafeMutableRawBufferPointer(rebasing: room[..<count])
    } reply: {
      fuse_reply_ioctl($0, 0, $1.baseAddress, $1.count)
    }
  }
}

private func reply(_ raw: fuse_req_t, _ reply: AttributeReply) -> CInt {
  var wire = reply.attributes.stat
  return fuse_reply_attr(raw, &wire, reply.timeout)
}

private func attributeRoom(_ size: Int) throws(Errno) -> UnsafeMutableRawBufferPointer {
  guard let worker = Worker.current else { throw Errno.ioError }
  // The kernel's limit of a value and of a list is 64 KiB.
  let room = worker.room(1 << 16)
  return UnsafeMutableRawBufferPointer(rebasing: room[..<min(size, room.count)])
}

/// A size where none was given room, else the bytes.
private func reply(
  _ raw: fuse_req_t, asked: Int, count: Int, bytes: UnsafeRawBufferPointer
) -> CInt {
  asked == 0 ? fuse_reply_xattr(raw, count) : fuse_reply_buf(raw, bytes.baseAddress, count)
}

extension AttributeChange {
  init(_ values: stat, _ valid: CInt) {
    self.init()
    func has(_ bit: CInt) -> Bool { valid & bit != 0 }
    if has(FUSE_SET_ATTR_MODE) { mode = values.st_mode }
    if has(FUSE_SET_ATTR_UID) { owner = values.st_uid }
    if has(FUSE_SET_ATTR_GID) { group = values.st_gid }
    if has(FUSE_SET_ATTR_SIZE) { size = Int64(values.st_size) }
    if has(FUSE_SET_ATTR_ATIME_NOW) {
      accessed = .now
    } else if has(FUSE_SET_ATTR_ATIME) {
      accessed = .to(Timestamp(values.st_atim))
    }
    if has(FUSE_SET_ATTR_MTIME_NOW) {
      modified = .now
    } else if has(FUSE_SET_ATTR_MTIME) {
      modified = .to(Timestamp(values.st_mtim))
    }
  }
}

extension Timestamp {
  init(_ time: timespec) {
    self.init(seconds: Int64(time.tv_sec), nanoseconds: UInt32(truncatingIfNeeded: time.tv_nsec))
  }
}
