internal import CFuse
internal import SystemCalls
internal import SystemPackage

// The table of libfuse's operations: each unpacks its request, asks the file system and sends the
// one reply. The order within each is the same: guard, ask, answer.

/// A request that owes the kernel one reply. Consumed by its answer; one that is dropped on the way
/// answers Errno.ioError.rawValue, so that no caller hangs.
struct Request: ~Copyable {
  let raw: fuse_req_t

  init(_ raw: fuse_req_t) {
    self.raw = raw
    Worker.current?.request = raw
  }

  deinit { fuse_reply_err(raw, Errno.ioError.rawValue) }

  /// The session's file system and who asks.
  var session: Session? {
    guard let data = fuse_req_userdata(raw) else { return nil }
    let state = data.assumingMemoryBound(to: cfuse_state.self)
    return Unmanaged<SessionOwner>.fromOpaque(state.pointee.file_system)
      .takeUnretainedValue().session
  }

  var caller: Caller {
    guard let context = fuse_req_ctx(raw) else {
      return Caller(user: UInt32.max, group: UInt32.max, process: 0, mask: 0o77)
    }
    return Caller(
      user: context.pointee.uid, group: context.pointee.gid, process: context.pointee.pid,
      mask: context.pointee.umask)
  }

  consuming func answer(_ error: CInt) {
    Worker.current?.willAnswer()
    fuse_reply_err(raw, error)
    discard self
  }

  /// Sends a reply that needs the raw request; false where the kernel no longer wants it.
  @discardableResult
  consuming func answer(_ send: (fuse_req_t) -> CInt) -> Bool {
    Worker.current?.willAnswer()
    let result = send(raw)
    discard self
    return result == 0
  }
}

/// Runs an operation and answers the errno that it throws.
@inline(__always)
func serve(_ raw: fuse_req_t?, _ body: (borrowing Request, any FileSystem) throws(Errno) -> Void) {
  guard let raw else { return }
  let request = Request(raw)
  guard let session = request.session else { return request.answer(Errno.ioError.rawValue) }
  do throws(Errno) {
    try body(request, session.fileSystem)
    request.answer(0)
  } catch { request.answer(error.rawValue) }
}

/// Runs an operation that computes a value, and sends the value by `reply`.
@inline(__always)
func serve<Value>(
  _ raw: fuse_req_t?,
  _ body: (borrowing Request, any FileSystem) throws(Errno) -> Value,
  reply: (fuse_req_t, Value) -> CInt,
  unwanted: (any FileSystem, Value) -> Void = { _, _ in }
) {
  guard let raw else { return }
  let request = Request(raw)
  guard let session = request.session else { return request.answer(Errno.ioError.rawValue) }
  let value: Value
  do throws(Errno) {
    value = try body(request, session.fileSystem)
  } catch { return request.answer(error.rawValue) }
  if !request.answer({ reply($0, value) }) { unwanted(session.fileSystem, value) }
}

/// Serves an operation that answers an entry.
@inline(__always)
func serveEntry(
  _ raw: fuse_req_t?, _ body: (borrowing Request, any FileSystem) throws(Errno) -> EntryReply
) {
  serve(raw, body) { raw, entry in
    var entry = entry.raw
    return fuse_reply_entry(raw, &entry)
  } unwanted: { fileSystem, entry in
    if entry.node != 0 { fileSystem.forget(node: entry.node, count: 1) }
  }
}

@inline(__always)
func required(_ name: CName?) throws(Errno) -> CName {
  guard let name else { throw Errno.invalidArgument }
  return name
}

func makeOperations() -> fuse_lowlevel_ops {
  var table = fuse_lowlevel_ops()
  addNameOperations(&table)
  addChangeOperations(&table)
  addFileOperations(&table)
  addDescriptorOperations(&table)
  addDirectoryOperations(&table)
  addAttributeOperations(&table)
  addExtendedAttributeOperations(&table)
  return table
}
