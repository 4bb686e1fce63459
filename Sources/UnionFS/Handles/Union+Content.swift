internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Small files are with the kernel: their content is put into its page cache when they are first opened to be
// read. From then on an open of a lower file that only reads takes no descriptor: there is one as soon as
// something asks for it, which is when the kernel has dropped a page.
//
// - A lower file stays where it is whatever happens to its name, so it can be opened later; where its name
//   goes, the open file remembers the place (`OpenFile.former`).
// - A copy-up gives a descriptor to whoever reads without one.

extension Union {
  /// Up to so many bytes of a file are given to the kernel before they are asked for.
  static let mostGiven = 1 << 16

  /// Whether an open that only reads needs no descriptor: the kernel has the content, and the file can be
  /// found later. The file is locked, and its name does not go unnoticed any more.
  func isWithKernel(_ file: OpenFile, _ slot: UInt32) -> Bool {
    !file.isOnTop.load(ordering: .relaxed)
      && nodes.lock.whileLocked {
        nodes.node(slot).pointee.flags.contains(.given)
          && (nodes.hasName(slot) || file.former != nil)
      }
  }

  /// The descriptor of an open file's content.
  func content(_ file: OpenFile, _ slot: UInt32) throws(Errno) -> CInt {
    let descriptor = file.descriptor.load(ordering: .acquiring)
    if descriptor >= 0 { return descriptor }
    file.lockPatiently()
    defer { file.lock.unlock() }
    return try openContent(of: file, slot)
  }

  /// The same of one that is locked.
  func openContent(of file: OpenFile, _ slot: UInt32) throws(Errno) -> CInt {
    let descriptor = file.descriptor.load(ordering: .relaxed)
    if descriptor >= 0 { return descriptor }
    let opened = try withPlace(slot) { place throws(Errno) in
      try openContent(place, write: false)
    }
    try file.adopt(opened.descriptor, readable: opened.isReadable, writable: false)
    // Its directory's descriptor is needed no longer.
    let former = nodes.lock.whileLocked { file.former.take() }
    _ = consume former
    return file.descriptor.load(ordering: .relaxed)
  }

  /// Gives the kernel the content of a small file that has one handle, where it is in memory. The file is
  /// locked, so nothing writes to it or opens it meanwhile.
  func giveContent(of node: UInt64, _ slot: UInt32, _ file: OpenFile) {
    let descriptor = file.descriptor.load(ordering: .relaxed)
    guard descriptor >= 0, file.cachedHandles == 1, !nodes.isGiven(slot),
      let size = try? FileSystemCall.status(of: descriptor).size, size <= Self.mostGiven,
      let session = Session.current, let room = Session.room(Self.mostGiven),
      let count = try? FileSystemCall.readIfCached(descriptor, into: room, at: 0), count == size
    else { return }
    if session.giveContent(of: node, UnsafeRawBufferPointer(rebasing: room[..<count])) {
      nodes.didGive(slot)
    }
  }
}

extension NodeTable {
  /// Whether the kernel was given all of a node's content. Takes the lock.
  func isGiven(_ slot: UInt32) -> Bool {
    lock.whileLocked { node(slot).pointee.flags.contains(.given) }
  }

  /// Takes the lock.
  func didGive(_ slot: UInt32) {
    lock.whileLocked { _ = node(slot).pointee.flags.insert(.given) }
  }
}
