internal import CFuse
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// One thread's share of a session: its buffers and what it saw in the request at hand.
final class Worker {
  unowned let session: Session
  private var buffer = fuse_buf()
  /// Room for replies, grown to what the kernel asked for.
  private var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 4096)
  /// The request at hand asks that set-user-ID bits go (a flag that libfuse 3.14 does not pass on).
  private(set) var dropsPrivileges = false

  /// What the request at hand uses by a number that something else may close.
  private(set) var held: [AnyObject] = []
  private var pool: ThreadPool?
  /// Whether the request at hand takes long.
  private var isAway = false
  /// How many times in turn a request was waiting when one had been answered, and how many times none was.
  /// Looked at after each fourth request: it is a system call.
  private var waiting = 0
  private var quiet = 0
  private var answered = 0
  /// From so many on, another thread helps: one client's RELEASE and FORGET, which nobody waits for,
  /// are no reason to wake another core.
  private static let patience = 2
  /// From so many on, one is too many: to park a thread and to wake it again costs as much as a request.
  private static let leastQuiet = 4
  /// The request at hand.
  var request: fuse_req_t?
  /// Who asks this thread.
  private var callers: CallerWatch
  /// Nanoseconds that reading the request at hand took, where it matters.
  private var waited: UInt64 = 0

  init(_ session: Session) {
    self.session = session
    callers = CallerWatch(session.core)
  }

  deinit {
    cfuse_free(buffer.mem)
    scratch.deallocate()
  }

  /// The worker of the calling thread.
  static var current: Worker? {
    guard let pointer = cfuse_worker() else { return nil }
    return Unmanaged<Worker>.fromOpaque(pointer).takeUnretainedValue()
  }

  func run(_ pool: ThreadPool) {
    cfuse_set_worker(Unmanaged.passUnretained(self).toOpaque())
    defer { cfuse_set_worker(nil) }
    // A umask of its own; where this is refused, all threads share one and `Credentials` sets it for
    // each request all the same.
    try? ProcessCall.unshareFileSystemContext()
    self.pool = pool
    let descriptor = fuse_session_fd(session.raw)
    while !session.hasEnded {
      let before = callers.isNear ? ProcessCall.monotonic : 0
      let count = fuse_session_receive_buf(session.raw, &buffer)
      waited = before == 0 ? 0 : ProcessCall.monotonic &- before
      if count == -CInt(Errno.interrupted.rawValue)
        || count == -CInt(Errno.resourceTemporarilyUnavailable.rawValue)
      {
        continue
      }
      if count <= 0 { break }
      KernelOrder.pass()
      isAway = mayBlock(count: Int(count))
      pool.didRead(mayBlock: isAway)
      handle(count: Int(count))
      callers.willAnswer()
      held.removeAll(keepingCapacity: true)
      session.settle()
      // On its caller's core the thread has one caller; the guard sees to others.
      guard pool.shouldRead(callers.isNear ? nil : load(descriptor), wasAway: isAway)
      else { break }
    }
  }

  /// The reply is about to be sent.
  func willAnswer() {
    KernelOrder.pass()
    callers.willAnswer()
  }

  /// What the last requests tell of how many come.
  private func load(_ descriptor: CInt) -> ThreadPool.Load? {
    answered &+= 1
    guard answered & 3 == 0 else { return nil }
    guard ProcessCall.isReadable(descriptor) else {
      (waiting, quiet) = (0, quiet + 1)
      return quiet >= Self.leastQuiet ? .shrinks : nil
    }
    (waiting, quiet) = (waiting + 1, 0)
    return waiting >= Self.patience ? .grows : nil
  }

  func hold(_ object: AnyObject) { held.append(object) }
  func letGo(from mark: Int) { held.removeSubrange(min(mark, held.count)...) }

  /// The caller's core has a guard that notices by itself.
  func willBlock() {
    if callers.isWatched { return }
    if isAway { pool?.makeSureOfReader() } else { pool?.willBlock() }
    isAway = true
  }

  /// Whether a request may wait for a disk, by its kind; what else turns out to take long says so with
  /// `Session.willBlock`. Counts it, too, and takes note of who asks.
  private func mayBlock(count: Int) -> Bool {
    let size = MemoryLayout<fuse_in_header>.size
    guard let memory = buffer.mem, count >= size else { return false }
    let opcode = memory.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    switch opcode {
    case FUSE_FORGET.rawValue, FUSE_BATCH_FORGET.rawValue, FUSE_RELEASE.rawValue,
      FUSE_RELEASEDIR.rawValue, FUSE_INTERRUPT.rawValue:
      return false
    default: session.roundTrips.add(1, ordering: .relaxed)
    }
    let isLong: Bool
    switch opcode {
    case FUSE_FSYNC.rawValue, FUSE_FSYNCDIR.rawValue,
      FUSE_FALLOCATE.rawValue, FUSE_COPY_FILE_RANGE.rawValue, FUSE_SYNCFS.rawValue:
      isLong = true
    case FUSE_READ.rawValue where count >= size + MemoryLayout<fuse_read_in>.size:
      let read = UnsafeRawPointer(memory + size).loadUnaligned(as: fuse_read_in.self)
      callers.didRead(caller: caller(memory), isLong: isStreamed(read), waited: waited)
      return false
    case FUSE_WRITE.rawValue:
      callers.didRead(caller: caller(memory), isLong: false, waited: waited)
      return count >= 1 << 16 && !callers.isNear
    default: isLong = false
    }
    callers.didRead(caller: caller(memory), isLong: isLong, waited: waited)
    return isLong
  }

  /// The thread that made the request whose header this is.
  private func caller(_ header: UnsafeMutableRawPointer) -> Int32 {
    Int32(bitPattern: header.loadUnaligned(fromByteOffset: 32, as: UInt32.self))
  }

  /// Whether a large file is read from one end to the other: the kernel asks ahead then, so that caller
  /// and server can work at once.
  private func isStreamed(_ read: fuse_read_in) -> Bool {
    read.size >= 1 << 16 && read.offset >= 1 << 19
  }

  /// At least `count` bytes of room, valid until the request is answered.
  func room(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if scratch.count < count {
      scratch.deallocate()
      scratch = .allocate(byteCount: count, alignment: 4096)
    }
    return UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
  }

  private func handle(count: Int) {
    guard let memory = buffer.mem, count >= MemoryLayout<fuse_in_header>.size else { return }
    let bytes = UnsafeRawBufferPointer(start: memory, count: count)
    let header = bytes.loadUnaligned(as: fuse_in_header.self)
    dropsPrivileges = asksToDropPrivileges(header.opcode, bytes)
    if header.opcode == CFUSE_OPCODE_TMPFILE {
      answerTemporary(header, bytes)
    } else {
      fuse_session_process_buf(session.raw, &buffer)
    }
  }

  private func asksToDropPrivileges(_ opcode: UInt32, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let body = MemoryLayout<fuse_in_header>.size
    func word(_ offset: Int) -> UInt32 {
      body + offset + 4 <= bytes.count
        ? bytes.loadUnaligned(fromByteOffset: body + offset, as: UInt32.self) : 0
    }
    switch opcode {
    case FUSE_WRITE.rawValue: return word(20) & 4 != 0
    case FUSE_OPEN.rawValue: return word(4) & 1 != 0
    case FUSE_CREATE.rawValue: return word(12) & 1 != 0
    case FUSE_SETATTR.rawValue: return word(0) & UInt32(CFUSE_FATTR_KILL_SUIDGID) != 0
    default: return false
    }
  }

  /// FUSE_TMPFILE, which libfuse 3.14 does not know: the same body as CREATE.
  private func answerTemporary(_ header: fuse_in_header, _ bytes: UnsafeRawBufferPointer) {
    let size = MemoryLayout<fuse_in_header>.size
    guard bytes.count >= size + MemoryLayout<fuse_create_in>.size else { return }
    let body = bytes.loadUnaligned(fromByteOffset: size, as: fuse_create_in.self)
    let caller = Caller(
      user: header.uid, group: header.gid, process: Int32(bitPattern: header.pid), mask: body.umask)
    do throws(Errno) {
      let (entry, opened) = try session.fileSystem.createUnnamed(
        parent: header.nodeid, mode: body.mode, flags: CInt(bitPattern: body.flags), caller: caller)
      var reply = TemporaryReply()
      reply.entry = entry.wire
      reply.opened.fh = opened.handle
      reply.opened.open_flags = opened.flags
      reply.opened.padding = UInt32(bitPattern: opened.backing)
      KernelOrder.pass()
      let sent = cfuse_reply_raw(
        session.raw, header.unique, 0, &reply, MemoryLayout<TemporaryReply>.size)
      if sent < 0 {
        session.fileSystem.release(entry.node, handle: opened.handle)
        session.fileSystem.forget(node: entry.node, count: 1)
      }
    } catch {
      _ = cfuse_reply_raw(session.raw, header.unique, -error.rawValue, nil, 0)
    }
  }
}

/// The body of a reply to TMPFILE.
private struct TemporaryReply {
  var entry = fuse_entry_out()
  var opened = fuse_open_out()
}
