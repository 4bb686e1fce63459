public import SystemCalls
public import SystemPackage

/// What a session asks of a file system: one function a request. Each either returns its answer or
/// throws the errno that the caller sees; the session sends exactly one reply for it. Called on any
/// of the session's threads, several at once. Names are NUL-terminated and borrowed.
///
/// A reply that the kernel no longer wants (the caller was killed) is taken back by `forget` or
/// `release`, so counts stay right.
public protocol FileSystem: AnyObject, Sendable {
  /// The kernel's INIT has come; `wanted` is what it offers of what the session asks by default.
  func start()

  func lookUp(parent: UInt64, name: CName, caller: Caller) throws(Errno) -> EntryReply
  func forget(node: UInt64, count: UInt64)
  func attributes(of node: UInt64, caller: Caller) throws(Errno) -> AttributeReply
  func setAttributes(
    of node: UInt64, _ change: AttributeChange, handle: UInt64?, caller: Caller
  ) throws(Errno) -> AttributeReply
  /// The target's length, stored in `buffer` without a NUL.
  func readLink(
    _ node: UInt64, into buffer: UnsafeMutableBufferPointer<CChar>
  ) throws(Errno) -> Int

  func makeNode(
    parent: UInt64, name: CName, mode: UInt32, device: UInt64, caller: Caller
  ) throws(Errno) -> EntryReply
  func makeDirectory(
    parent: UInt64, name: CName, mode: UInt32, caller: Caller
  ) throws(Errno) -> EntryReply
  func makeSymbolicLink(
    parent: UInt64, name: CName, target: CName, caller: Caller
  ) throws(Errno) -> EntryReply
  func link(node: UInt64, parent: UInt64, name: CName, caller: Caller) throws(Errno) -> EntryReply
  func unlink(parent: UInt64, name: CName, caller: Caller) throws(Errno)
  func removeDirectory(parent: UInt64, name: CName, caller: Caller) throws(Errno)
  func rename(
    parent: UInt64, name: CName, newParent: UInt64, newName: CName, flags: UInt32, caller: Caller
  ) throws(Errno)

  func open(_ node: UInt64, flags: CInt, dropsPrivileges: Bool, caller: Caller)
    throws(Errno) -> OpenReply
  func create(
    parent: UInt64, name: CName, mode: UInt32, flags: CInt, caller: Caller
  ) throws(Errno) -> (EntryReply, OpenReply)
  /// O_TMPFILE in a directory.
  func createUnnamed(
    parent: UInt64, mode: UInt32, flags: CInt, caller: Caller
  ) throws(Errno) -> (EntryReply, OpenReply)
  /// The descriptor to read from, or to answer with: the session moves the data.
  func descriptor(ofHandle handle: UInt64) throws(Errno) -> CInt
  /// The bytes written.
  ///
  /// - Parameter isCollected: it was written before; the kernel tells the time of that itself, if it is
  ///   another than the file's.
  func write(
    _ node: UInt64, handle: UInt64, from buffer: UnsafeRawBufferPointer, at offset: Int64,
    isCollected: Bool, dropsPrivileges: Bool, caller: Caller
  ) throws(Errno) -> Int
  func flush(_ node: UInt64, handle: UInt64) throws(Errno)
  func release(_ node: UInt64, handle: UInt64)
  func sync(_ node: UInt64, handle: UInt64, dataOnly: Bool) throws(Errno)
  func allocate(
    _ node: UInt64, handle: UInt64, mode: CInt, offset: Int64, size: Int64
  ) throws(Errno)
  func seek(_ node: UInt64, handle: UInt64, offset: Int64, whence: CInt) throws(Errno) -> Int64
  func copyRange(
    fromHandle: UInt64, at offset: Int64, toNode: UInt64, toHandle: UInt64, at newOffset: Int64,
    count: Int
  ) throws(Errno) -> Int

  /// ENOSYS makes the kernel open every directory without asking.
  func openDirectory(_ node: UInt64) throws(Errno) -> OpenReply
  /// Adds entries from `offset` on until the listing ends or `add` answers false.
  func readDirectory(
    _ node: UInt64, offset: Int64, into listing: inout DirectoryBuffer
  ) throws(Errno)
  func releaseDirectory(_ node: UInt64, handle: UInt64)
  func syncDirectory(_ node: UInt64, handle: UInt64, dataOnly: Bool) throws(Errno)

  func fileSystemStatus() throws(Errno) -> FileSystemStatus

  /// The value's length; a buffer of no bytes asks for it alone. ERANGE where it does not fit.
  func extendedAttribute(
    of node: UInt64, key: CName, into buffer: UnsafeMutableRawBufferPointer, caller: Caller
  ) throws(Errno) -> Int
  func setExtendedAttribute(
    of node: UInt64, key: CName, to value: UnsafeRawBufferPointer, flags: CInt,
    caller: Caller
  ) throws(Errno)
  func listExtendedAttributes(
    of node: UInt64, into buffer: UnsafeMutableBufferPointer<CChar>, caller: Caller
  ) throws(Errno) -> Int
  func removeExtendedAttribute(of node: UInt64, key: CName, caller: Caller) throws(Errno)

  /// An ioctl(2) of a file or a directory. The answer's length in `output`.
  func control(
    _ node: UInt64, handle: UInt64, isDirectory: Bool, command: UInt32,
    input: UnsafeRawBufferPointer, output: UnsafeMutableRawBufferPointer, caller: Caller
  ) throws(Errno) -> Int
}
