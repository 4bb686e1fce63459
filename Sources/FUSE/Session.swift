internal import CFuse
internal import SystemCalls
public import SystemPackage
internal import Synchronization

/// Why a session could not be made or mounted: libfuse's own words.
public struct SessionFailure: Error, Sendable {
  public var message: String
}

/// A connection to the kernel: mounts a file system, reads its requests on a small pool of threads
/// and hands each to a `FileSystem`.
///
/// libfuse's loop is not used: `ThreadPool` says why. Reading the requests here also shows flags that
/// libfuse 3.14 hides.
public final class Session: @unchecked Sendable {
  let raw: OpaquePointer
  let fileSystem: any FileSystem
  private let state: UnsafeMutablePointer<cfuse_state>
  private let pool: ThreadPool
  /// nil where callers are served wherever the scheduler puts the threads.
  let core: CallerCore?
  public let mountPoint: String
  /// Requests that a caller has waited for, so far.
  let roundTrips = Atomic<UInt64>(0)
  private let isSettled = Atomic<Bool>(false)
  /// The mount's number, found out when it was made: later something else may lie at its path.
  private let device: UInt32?

  /// Makes a session and mounts it; requests wait until `serve`. No thread is started.
  ///
  /// - Parameters:
  ///   - options: `-o` words for libfuse and the kernel, any bytes but NUL.
  ///   - mountPoint: an absolute path.
  ///   - stackDepth: asks for passthrough, on files that lie at most on so many stacked file systems
  ///     less one; 0 for none.
  ///   - collectsWrites: whether the kernel shall keep what is written for a while and send it in large
  ///     pieces, where it does not read and write by itself.
  ///   - hasACLs: whether the kernel enforces POSIX ACLs.
  ///   - servesNearby: whether a single caller is served on its own core, where that can be had.
  public init(
    _ fileSystem: any FileSystem, options: [String], mountPoint: String, stackDepth: UInt32 = 0,
    collectsWrites: Bool = false, hasACLs: Bool = true, servesNearby: Bool = true
  ) throws(SessionFailure) {
    cfuse_capture_messages()
    let state = UnsafeMutablePointer<cfuse_state>.allocate(capacity: 1)
    state.initialize(to: cfuse_state())
    let owner = Unmanaged.passRetained(SessionOwner())
    state.pointee.file_system = owner.toOpaque()
    state.pointee.extra_wanted =
      UInt64(CFUSE_PARALLEL_DIROPS) | UInt64(CFUSE_HANDLE_KILLPRIV_V2)
      | (stackDepth > 0 ? Self.passthrough : 0) | (collectsWrites ? Self.directMaps : 0)
    state.pointee.max_read =
      options.last { $0.hasPrefix("max_read=") }.flatMap { UInt32($0.dropFirst(9)) } ?? 0
    state.pointee.wants_writeback = collectsWrites ? 1 : 0
    state.pointee.wants_acl = hasACLs ? 1 : 0
    state.pointee.max_stack_depth = stackDepth

    var operations = makeOperations()
    let made = cfuse_session_new(Self.join(options), &operations, state)
    guard let made else {
      owner.release()
      state.deallocate()
      throw SessionFailure(message: String(cString: cfuse_last_message()))
    }
    guard fuse_session_mount(made, mountPoint) == 0, cfuse_complete_init(made) == 0 else {
      let message = String(cString: cfuse_last_message())
      fuse_session_destroy(made)
      owner.release()
      state.deallocate()
      throw SessionFailure(message: message)
    }
    self.raw = made
    self.state = state
    self.fileSystem = fileSystem
    self.mountPoint = mountPoint
    pool = ThreadPool(limit: 64)
    device = try? ProcessCall.mountedDevice(at: mountPoint)
    core = servesNearby ? CallerCore(descriptor: fuse_session_fd(made), pool: pool) : nil
    owner.takeUnretainedValue().session = self
  }

  /// Starts the threads that serve. They end when the kernel ends the connection: the last user of an
  /// unmounted file system is gone.
  ///
  /// - Parameters:
  ///   - whenLive: called once, when the kernel's first request has come.
  ///   - whenOver: called once, by the last thread.
  public func start(
    whenLive: @escaping @Sendable () -> Void, whenOver: @escaping @Sendable () -> Void
  ) throws(Errno) {
    let owner = Unmanaged<SessionOwner>.fromOpaque(state.pointee.file_system).takeUnretainedValue()
    owner.whenLive = whenLive
    try pool.start({ [self] in Worker(self).run(pool) }, whenOver: whenOver)
  }

  /// Once the kernel has the answer to INIT. It asks in pieces of 128 KiB by itself, each a round trip.
  /// Only root may tell it to take more.
  func settle() {
    guard !isSettled.load(ordering: .relaxed), !isSettled.exchange(true, ordering: .relaxed) else {
      return
    }
    if let device { try? ProcessCall.setReadAhead(device: device, kibibytes: 1024) }
  }

  /// Whether its mount is what lies at its path. Asks it nothing.
  public var isInPlace: Bool {
    guard let device else { return true }
    return (try? ProcessCall.mountedDevice(at: mountPoint)) == device
  }

  /// Unmounts what is still mounted and frees the connection.
  public func close() {
    core?.end()
    // It goes by the path alone, where something else may lie by now.
    if isInPlace { fuse_session_unmount(raw) }
    fuse_session_destroy(raw)
    Unmanaged<SessionOwner>.fromOpaque(state.pointee.file_system).release()
    state.deallocate()
  }

  // MARK: Passthrough

  /// FUSE_PASSTHROUGH of INIT.
  private static let passthrough: UInt64 = 1 << 37

  /// FUSE_DIRECT_IO_ALLOW_MMAP of INIT.
  static let directMaps: UInt64 = 1 << 36

  /// Whether the kernel has agreed to read and write files by itself.
  public static var hasPassthrough: Bool {
    guard let state = Worker.current?.session.state else { return false }
    return hasPassthrough(state)
  }

  static func hasPassthrough(_ state: UnsafeMutablePointer<cfuse_state>) -> Bool {
    state.pointee.extra_wanted & state.pointee.offered & passthrough != 0
  }

  // MARK: Writeback

  /// Whether the kernel collects what is written and sends it later, at the latest when the file is
  /// closed.
  public static var collectsWrites: Bool {
    Worker.current?.session.state.pointee.has_writeback ?? 0 != 0
  }

  /// Registers an open regular file for passthrough: the number that an `OpenReply` carries. EPERM
  /// without CAP_SYS_ADMIN, ELOOP on a file system that is stacked too high.
  ///
  /// Every open of a node that is passthrough at one time must carry the same number, and none may be
  /// cached then: the kernel answers EIO otherwise.
  public static func openBacking(_ descriptor: CInt) throws(Errno) -> CInt {
    guard let session = Worker.current?.session else { throw Errno.notSupported }
    let result = cfuse_backing_open(session.raw, descriptor)
    if result < 0 { throw Errno(rawValue: -result) }
    return result
  }

  /// Gives the number up; files that were opened with it go on.
  public static func closeBacking(_ backing: CInt) {
    if let session = Worker.current?.session { cfuse_backing_close(session.raw, backing) }
  }

  /// The session whose request the calling thread serves.
  public static var current: Session? { Worker.current?.session }

  /// Room for so many bytes until the request at hand is answered; nil on any other thread.
  public static func room(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    Worker.current?.room(count)
  }

  /// Puts a whole small file's content into the kernel's page cache, so that reading it asks nothing. Of a
  /// node of which no handle is open, or the first is about to be answered: a page that a READ waits for
  /// would be waited for. Not after `close`.
  ///
  /// - Returns: whether the kernel has taken it.
  public func giveContent(of node: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.isEmpty || cfuse_store(raw, node, 0, bytes.baseAddress, bytes.count) == 0
  }

  /// Makes the kernel forget a node's attributes. Safe while a request of that node is served.
  public static func forgetAttributes(of node: UInt64) {
    if let session = Worker.current?.session {
      fuse_lowlevel_notify_inval_inode(session.raw, node, -1, 0)
    }
  }

  /// Makes the kernel look a name up anew. Waits for whoever changes the directory: `willBlock` first.
  ///
  /// - Parameter name: NUL-terminated: libfuse sends that byte too.
  public static func forgetName(_ name: [CChar], in directory: UInt64) {
    guard let session = Worker.current?.session, name.last == 0 else { return }
    _ = name.withUnsafeBufferPointer {
      fuse_lowlevel_notify_inval_entry(session.raw, directory, $0.baseAddress, $0.count - 1)
    }
  }

  /// Tells that the request which the calling thread answers will take long, so that others are not
  /// kept waiting behind it. To be called before a copy of data, a flush, a walk over many names.
  public static func willBlock() { Worker.current?.willBlock() }

  /// Waits a millisecond, for a request that another thread answers to end. False at once where there is
  /// none.
  public static func waitForOthers() -> Bool {
    guard let worker = Worker.current, worker.session.pool.othersServe else { return false }
    worker.willBlock()
    ProcessCall.pause(milliseconds: 1)
    return true
  }

  /// How many requests of this session a caller has waited for. What nobody waits for (FORGET, RELEASE)
  /// is not counted.
  public static var roundTrips: UInt64 {
    Worker.current?.session.roundTrips.load(ordering: .relaxed) ?? 0
  }

  /// Keeps an object until the request that the calling thread serves has been answered: for a
  /// descriptor whose number is used after the last reference to it. False on any other thread.
  public static func hold(_ object: AnyObject) -> Bool {
    guard let worker = Worker.current else { return false }
    worker.hold(object)
    return true
  }

  /// Does a part of a request that another thread answers, on a thread that serves none. What the part comes to
  /// hold it holds to its end.
  public func assist(_ body: () -> Void) {
    let worker = Worker(self)
    cfuse_set_worker(Unmanaged.passUnretained(worker).toOpaque())
    body()
    cfuse_set_worker(nil)
    withExtendedLifetime(worker) {}
  }

  /// How much the request at hand holds; for `letGo`.
  public static var held: Int { Worker.current?.held.count ?? 0 }

  /// Lets go of what the request at hand has come to hold since: in a request that walks a tree.
  public static func letGo(from mark: Int) { Worker.current?.letGo(from: mark) }

  /// Whether a group is among the supplementary groups of who made the request that the calling thread
  /// answers (from /proc; false where it cannot tell).
  public static func isCallerInGroup(_ group: UInt32) -> Bool {
    guard let request = Worker.current?.request else { return false }
    var list = [gid_t](repeating: 0, count: 256)
    var count = fuse_req_getgroups(request, CInt(list.count), &list)
    if count > list.count {
      list = [gid_t](repeating: 0, count: Int(count))
      count = fuse_req_getgroups(request, count, &list)
    }
    guard count > 0 else { return false }
    return list.prefix(Int(count)).contains(group)
  }

  /// One string as libfuse parses it: commas and backslashes of a word are escaped.
  private static func join(_ options: [String]) -> String {
    var text = ""
    for option in options {
      if !text.isEmpty { text += "," }
      for character in option {
        if character == "," || character == "\\" { text += "\\" }
        text.append(character)
      }
    }
    return text
  }

  /// Whether the connection has ended.
  var hasEnded: Bool { fuse_session_exited(raw) != 0 }
}

/// What the operations' userdata leads to; the session is set once it exists.
final class SessionOwner: @unchecked Sendable {
  unowned(unsafe) var session: Session?
  var whenLive: (@Sendable () -> Void)?
}
