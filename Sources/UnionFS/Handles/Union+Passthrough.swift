internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Passthrough: the kernel reads and writes the file on disk by itself. The rules that keep it right:
//
// - Only what will never be another file: the files of the top branch, and every file of a union that
//   nothing changes. A lower file that may be copied up is cached, its descriptor redirected, so that
//   no write reaches a lower branch and readers see what is written. With `readers=fast` it is passed
//   through to those who only read; `Union+Split.swift` has the rules then.
// - At one time all handles of a node are of one mode: the first decides, and the kernel refuses
//   others. `OpenFile` counts them; a handle counts until its RELEASE, which is later than the kernel's
//   own count, never earlier.
// - A passthrough open drops the node's cached pages, and none come while one is open. So the next
//   cached open may keep what it finds.
// - While a handle may write, the kernel is told to believe no attributes that it asks for: a mapping
//   changes a file's times without a word.
// - A file with set-user-ID or set-group-ID bits is cached: the kernel would write with the server's
//   rights and leave them.

extension UnionConfiguration.Passthrough {
  /// The session's `stackDepth`.
  var stackDepth: UInt32 {
    switch self {
    case .auto: 1
    case .stacked: 2
    case .off: 0
    }
  }
}

extension Union {
  /// Below so many bytes a file that is only read is read through the server: registering it costs
  /// more than the one or two requests.
  private static let leastToRead: Int64 = 128 << 10

  /// Gives a handle of an open file its mode. The file is locked.
  ///
  /// - Parameter known: the file's attributes, where the caller has them.
  func settleMode(
    _ file: OpenFile, _ slot: UInt32, flags: CInt, known: Attributes?
  ) -> (mode: DataMode, backing: CInt) {
    let mayWrite = flags & OpenFlag.accessMode != OpenFlag.readOnly
    if !mayWrite, joinLower(file, slot, known: known) {
      return (.passthroughBelow, file.lowerBacking)
    }
    let backing = backing(of: file, mayWrite: mayWrite, known: known)
    guard backing != 0 else {
      file.cachedHandles += 1
      return (.cached, 0)
    }
    file.passthroughHandles += 1
    if mayWrite { _ = file.writers.add(1, ordering: .releasing) }
    return (mayWrite ? .passthroughWriting : .passthrough, backing)
  }

  /// 0 for a file that is to be cached.
  private func backing(of file: OpenFile, mayWrite: Bool, known: Attributes?) -> CInt {
    if file.backing == 0, top == nil || file.isOnTop.load(ordering: .relaxed) {
      file.backing = register(file, mayWrite: mayWrite, known: known)
    }
    return file.backing
  }

  /// Tells the kernel of the file for passthrough; 0 where it is not to be passed through.
  func register(_ file: OpenFile, mayWrite: Bool, known: Attributes?) -> CInt {
    let descriptor = file.descriptor.load(ordering: .relaxed)
    guard file.cachedHandles == 0, configuration.passthrough != .off, Session.hasPassthrough,
      !isPassthroughRefused.load(ordering: .relaxed),
      let attributes = known ?? (try? status(of: descriptor, in: 0)),
      attributes.mode & 0o6000 == 0, mayWrite || attributes.size >= Self.leastToRead
    else { return 0 }
    do throws(Errno) { return try Session.openBacking(descriptor) } catch {
      // Another file may lie on a file system that is not stacked.
      if error != .tooManySymbolicLinkLevels {
        isPassthroughRefused.store(true, ordering: .relaxed)
      }
      return 0
    }
  }

  /// A handle is gone. The file is locked.
  func endMode(_ file: OpenFile, _ mode: DataMode) {
    switch mode {
    case .cached: file.cachedHandles -= 1
    case .direct: break
    case .passthroughBelow, .directBelow: leaveLower(file)
    case .passthrough: leavePassthrough(file)
    case .passthroughWriting:
      _ = file.writers.subtract(1, ordering: .releasing)
      leavePassthrough(file)
    }
  }

  private func leavePassthrough(_ file: OpenFile) {
    file.passthroughHandles -= 1
    if file.passthroughHandles == 0 {
      Session.closeBacking(file.backing)
      file.backing = 0
    }
  }

  /// How long the kernel may believe a node's attributes.
  func attributeTimeout(_ slot: UInt32) -> Double {
    nodes.lock.whileLocked { nodes.attributeTimeout(slot) }
  }
}

extension NodeTable {
  /// Under the lock.
  func attributeTimeout(_ slot: UInt32) -> Double {
    if isKnownTwice(slot) { return 0 }
    guard node(slot).pointee.kind == .regular, let extra = extra(slot) else {
      return Union.timeout
    }
    let file = Unmanaged<OpenFile>.fromOpaque(extra).takeUnretainedValue()
    return file.writers.load(ordering: .acquiring) > 0 ? 0 : Union.timeout
  }
}
