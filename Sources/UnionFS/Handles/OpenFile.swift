internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The content of a file that is open or being changed: one descriptor that all of its handles share.
/// A copy-up replaces what the descriptor stands for, not its number, so every handle, and every
/// mapping through the kernel's one page cache, sees what is written afterwards.
final class OpenFile: @unchecked Sendable {
  /// Held while content moves to the top branch and while the descriptor changes; long for a large
  /// file, so nothing else waits for it.
  let lock = Lock()

  /// -1 while nothing needs it: nobody has the file open, or only readers of a lower file whose content
  /// the kernel was given (`Union+Content.swift`). Changed under `lock`; stays while there are handles.
  let descriptor = Atomic<CInt>(-1)
  /// Whether `descriptor` can be written to. Changed under `lock`.
  let isWritable = Atomic<Bool>(false)
  /// Whether it can be read. A write-only file of an unprivileged server cannot.
  let isReadable = Atomic<Bool>(false)
  /// Whether the content is on the top branch.
  let isOnTop: Atomic<Bool>
  /// Whether set-user-ID bits or file capabilities may have to go at a write.
  let mayHavePrivileges = Atomic<Bool>(true)

  // Guarded by `lock`.
  /// Whether it counts among those open: also one without a descriptor, which may need one at any time.
  private(set) var isCounted = false
  /// The kernel's number of the file for passthrough, 0 while no handle is.
  var backing: CInt = 0
  var cachedHandles = 0
  var passthroughHandles = 0
  /// The same for those that read the lower file by passthrough (`readers=fast`), also after its copy-up.
  var lowerBacking: CInt = 0
  var lowerHandles = 0
  /// The lower file once it has been copied up, while such handles are left; else -1.
  let lowerDescriptor = Atomic<CInt>(-1)
  /// Those of them that may write. Changed under `lock`.
  let writers = Atomic<Int>(0)

  /// Whether it is known to have no file capability: it was just made or truncated. The kernel asks at
  /// the first write, and after it has truncated, when it is late for a failure.
  let hasNoCapability = Atomic<Bool>(false)

  /// Whether chattr(1) may forbid to write, so that an open has to look.
  let mayBeProtected = Atomic<Bool>(false)

  // Guarded by the node table's lock.
  /// Handles and requests that use it.
  var users = 0
  /// Where a lower branch holds the file, once it has no name.
  var former: FormerPlace?

  /// Descriptors of content that are open or may be at any time, over all files.
  static let openCount = Atomic<Int>(0)

  init(isOnTop: Bool) { self.isOnTop = Atomic(isOnTop) }

  deinit {
    let open = descriptor.load(ordering: .relaxed)
    if open >= 0 { FileSystemCall.close(open) }
    if isCounted { Self.openCount.subtract(1, ordering: .relaxed) }
    closeLower()
    lock.destroy()
  }

  /// Nobody reads the lower file any more.
  func closeLower() {
    let lower = lowerDescriptor.exchange(-1, ordering: .acquiringAndReleasing)
    guard lower >= 0 else { return }
    FileSystemCall.close(lower)
    Self.openCount.subtract(1, ordering: .relaxed)
  }

  /// Locks it; where another thread copies the content up, requests of others are not kept waiting.
  func lockPatiently() {
    if lock.tryLock() { return }
    Session.willBlock()
    lock.lock()
  }

  /// Counts it among those open, once. Under `lock`.
  func count() {
    if isCounted { return }
    isCounted = true
    Self.openCount.add(1, ordering: .relaxed)
  }

  /// Takes another descriptor of the file's content. Under `lock`.
  func adopt(_ new: CInt, readable: Bool, writable: Bool) throws(Errno) {
    let old = descriptor.load(ordering: .relaxed)
    if old >= 0 {
      defer { FileSystemCall.close(new) }
      // The copy may be in its place by now: what fails once is tried again before it is an error.
      if (try? FileSystemCall.replace(old, with: new)) == nil {
        try FileSystemCall.replace(old, with: new)
      }
    } else {
      count()
      descriptor.store(new, ordering: .releasing)
    }
    isReadable.store(readable, ordering: .relaxed)
    isWritable.store(writable, ordering: .relaxed)
  }
}

/// Where a file lies that has no name any more.
struct FormerPlace {
  var directory: DirectoryDescriptor
  /// NUL-terminated.
  var name: [CChar]
  var branch: UInt16
}

/// How a handle's data moves.
enum DataMode {
  /// Through the server, with the kernel's page cache kept.
  case cached
  /// The kernel reads the file on disk by itself.
  case passthrough
  /// It may write, too.
  case passthroughWriting
  /// It reads a lower file by itself that may be copied up.
  case passthroughBelow
  /// Through the server without the page cache: opened anew by an id that is the kernel's no longer.
  case direct
  /// The same while others read the lower file by passthrough.
  case directBelow
}

/// One open of a file.
final class FileHandle: Sendable {
  let file: OpenFile
  let slot: UInt32
  let flags: CInt
  let mode: DataMode
  /// Whether its writes come at once though the kernel collects others'.
  let isDirect: Bool
  /// Whether such a write has come.
  let hasWritten = Atomic(false)

  init(_ file: OpenFile, slot: UInt32, flags: CInt, mode: DataMode, isDirect: Bool) {
    self.file = file
    self.slot = slot
    self.flags = flags
    self.mode = mode
    self.isDirect = isDirect
  }

  /// The number that the kernel keeps for it; retained until `release`.
  var number: UInt64 { UInt64(UInt(bitPattern: Unmanaged.passRetained(self).toOpaque())) }

  static func from(_ number: UInt64) throws(Errno) -> FileHandle {
    guard let pointer = UnsafeRawPointer(bitPattern: UInt(number)) else {
      throw Errno.badFileDescriptor
    }
    return Unmanaged<FileHandle>.fromOpaque(pointer).takeUnretainedValue()
  }

  static func release(_ number: UInt64) -> FileHandle? {
    UnsafeRawPointer(bitPattern: UInt(number)).map {
      Unmanaged<FileHandle>.fromOpaque($0).takeRetainedValue()
    }
  }
}

extension Union {
  /// The open file of a node, made where there is none; to be given back with `letGo`.
  func openFile(_ slot: UInt32) -> OpenFile {
    nodes.lock.whileLocked {
      let file: OpenFile
      if let extra = nodes.extra(slot) {
        file = Unmanaged<OpenFile>.fromOpaque(extra).takeUnretainedValue()
      } else {
        file = OpenFile(isOnTop: isWritable(nodes.node(slot).pointee.branch))
        nodes.setExtra(slot, Unmanaged.passRetained(file).toOpaque())
      }
      file.users += 1
      return file
    }
  }

  func letGo(_ file: OpenFile, _ slot: UInt32) {
    nodes.lock.lock()
    file.users -= 1
    if file.users == 0 {
      if let extra = nodes.extra(slot),
        Unmanaged<OpenFile>.fromOpaque(extra).takeUnretainedValue() === file,
        nodes.takeExtra(slot) != nil
      {
        // The caller's reference is the last but one; the descriptor closes outside the lock.
        Unmanaged<OpenFile>.fromOpaque(extra).release()
      }
    }
    nodes.lock.unlock()
  }
}
