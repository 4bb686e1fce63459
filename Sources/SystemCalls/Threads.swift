internal import CSystemCalls
internal import Glibc
public import SystemPackage

// Locks on the heap, as pthreads has them: an uncontended one costs 7–9 ns against 22–48 ns of
// Synchronization's Mutex, and ThreadSanitizer understands them better.

/// A mutual exclusion lock; not recursive. Whoever finds it taken looks again for a moment before sleeping: what
/// is done under most locks takes less than to sleep and to be woken.
public struct Lock: @unchecked Sendable {
  let storage: UnsafeMutablePointer<pthread_mutex_t>

  public init() {
    storage = .allocate(capacity: 1)
    csys_init_mutex(storage)
  }

  /// Frees the lock; nobody may hold it or come for it.
  public func destroy() {
    pthread_mutex_destroy(storage)
    storage.deallocate()
  }

  public func lock() { pthread_mutex_lock(storage) }
  public func unlock() { pthread_mutex_unlock(storage) }
  /// Whether it was free; it is held then.
  public func tryLock() -> Bool { pthread_mutex_trylock(storage) == 0 }

  @inline(__always)
  public func whileLocked<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    lock()
    defer { unlock() }
    return try body()
  }
}

/// A lock that many readers or one writer hold. A reader must not take it twice.
public struct ReadWriteLock: @unchecked Sendable {
  let storage: UnsafeMutablePointer<pthread_rwlock_t>

  public init() {
    storage = .allocate(capacity: 1)
    pthread_rwlock_init(storage, nil)
  }

  public func destroy() {
    pthread_rwlock_destroy(storage)
    storage.deallocate()
  }

  public func lockToRead() { pthread_rwlock_rdlock(storage) }
  public func lockToWrite() { pthread_rwlock_wrlock(storage) }
  /// Whether it could be had at once; it is held then.
  public func tryLockToRead() -> Bool { pthread_rwlock_tryrdlock(storage) == 0 }
  /// The same.
  public func tryLockToWrite() -> Bool { pthread_rwlock_trywrlock(storage) == 0 }
  public func unlock() { pthread_rwlock_unlock(storage) }
}

/// A condition to wait for under a `Lock`.
public struct Condition: @unchecked Sendable {
  let storage: UnsafeMutablePointer<pthread_cond_t>

  public init() {
    storage = .allocate(capacity: 1)
    pthread_cond_init(storage, nil)
  }

  public func destroy() {
    pthread_cond_destroy(storage)
    storage.deallocate()
  }

  public func wait(_ lock: Lock) { pthread_cond_wait(storage, lock.storage) }
  public func signal() { pthread_cond_signal(storage) }
  public func broadcast() { pthread_cond_broadcast(storage) }
}

/// Threads, ids and limits of this process.
public enum ProcessCall {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a detached thread with every signal blocked.
  public static func startThread(_ body: @escaping @Sendable () -> Void) throws(Errno) {
    let box = Unmanaged.passRetained(Body(body))
    let result = csys_start_thread(
      {
        Unmanaged<Body>.fromOpaque($0.unsafelyUnwrapped).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    if result < 0 { box.release() }
    _ = try check(result)
  }

  /// Gives the calling thread a umask of its own.
  public static func unshareFileSystemContext() throws(Errno) { _ = try check(csys_unshare_fs()) }
  /// Lets a root server act as another user and keep its capabilities (SECBIT_NO_SETUID_FIXUP).
  public static func keepCapabilities() throws(Errno) { _ = try check(csys_keep_capabilities()) }
  /// Whether the process holds a capability of capabilities(7), by its number.
  public static func hasCapability(_ number: CInt) -> Bool { csys_has_capability(number) == 1 }
  /// Sets the calling thread's umask and, when asked, the ids with which it creates files
  /// (umask(2), setfsuid(2)). Free where they are so already.
  public static func become(user: UInt32, group: UInt32, mask: UInt32, switchingIDs: Bool) {
    csys_become(switchingIDs ? 1 : 0, user, group, mask)
  }
  /// Sets the process's umask (umask(2)). Only before other threads have any of their own.
  public static func setMask(_ mask: UInt32) { umask(mask) }
  public static var effectiveUser: UInt32 { geteuid() }
  public static var effectiveGroup: UInt32 { getegid() }
  /// Raises the soft limit of descriptors to the hard one; the limit.
  public static func raiseDescriptorLimit() -> UInt64 { csys_raise_descriptor_limit() }

  /// Bytes of memory that the machine has (sysconf(3)).
  public static var memory: UInt64 {
    UInt64(max(sysconf(CInt(_SC_PHYS_PAGES)), 0)) &* UInt64(max(sysconf(CInt(_SC_PAGESIZE)), 0))
  }

  /// A descriptor that is readable once SIGTERM, SIGINT or SIGHUP has come; these are blocked.
  public static func signalDescriptor() throws(Errno) -> CInt {
    try check(csys_signal_descriptor())
  }

  /// An eventfd(2).
  public static func eventDescriptor() throws(Errno) -> CInt { try check(csys_event_descriptor()) }

  public static func raiseEvent(_ descriptor: CInt) {
    var one: UInt64 = 1
    _ = Glibc.write(descriptor, &one, 8)
  }

  /// Takes what made an event or signal descriptor readable.
  public static func drain(_ descriptor: CInt) {
    var room = [UInt8](repeating: 0, count: 128)
    _ = room.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
  }

  /// Waits until one of two descriptors is readable: 0 or 1; 2 when the time has passed.
  public static func waitReadable(
    _ first: CInt, _ second: CInt, milliseconds: CInt = -1
  ) throws(Errno) -> CInt { try check(csys_wait_readable(first, second, milliseconds)) }

  /// The same, or until nobody holds the writing end of a pipe: 3. With -1 there is no pipe.
  public static func waitReadable(
    _ first: CInt, _ second: CInt, orEndOf pipe: CInt
  ) throws(Errno) -> CInt { try check(csys_wait_ended(first, second, pipe, -1)) }

  /// Nanoseconds since 1970 (clock_gettime(2)).
  public static var nanoseconds: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(max(now.tv_sec, 0)) &* 1_000_000_000 &+ UInt64(max(now.tv_nsec, 0))
  }

  /// Nanoseconds of a clock that nobody sets.
  public static var monotonic: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(max(now.tv_sec, 0)) &* 1_000_000_000 &+ UInt64(max(now.tv_nsec, 0))
  }

  /// Lets time pass (poll(2) of nothing).
  public static func pause(milliseconds: CInt) { poll(nil, 0, milliseconds) }

  /// Whether a read would find something at once (poll(2)).
  public static func isReadable(_ descriptor: CInt) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) > 0
  }

  /// The number of the file system without a device that is mounted at a path. Asks it nothing.
  public static func mountedDevice(at path: String) throws(Errno) -> UInt32 {
    UInt32(truncatingIfNeeded: try check(csys_mounted_device(path)))
  }

  /// How much the kernel reads ahead on that file system (/sys/class/bdi).
  public static func setReadAhead(device: UInt32, kibibytes: UInt32) throws(Errno) {
    _ = try check(csys_set_read_ahead(device, kibibytes))
  }

  /// Flushes the file system at a path (syncfs(2)).
  public static func syncFileSystem(at path: String) throws(Errno) {
    _ = try check(csys_sync_file_system(path))
  }
}
