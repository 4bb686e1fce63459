internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// `readers=fast`: the kernel reads a lower file that may be copied up by itself, for those who only read.
//
// - The kernel takes one file on disk for an inode of its own at a time: while it reads the lower file, it
//   fails every other open of that inode (EIO), whether cached, direct or by another file. So an open to
//   write, and any once the file is on top, splits the node: from now on the kernel is given a second id for
//   it, another inode to the kernel with the same number, and the open is answered with ESTALE, at which it
//   looks the name up anew. The readers keep the first id.
// - Both ids are one node here: names, place, attributes, changes are those of the one file. The kernel may
//   keep no attributes while it knows both, as a change by one is none of the other to it.
// - Handles that write, and so cached pages, are the second id's alone; so a size can be set by it alone, too.
// - A file is split once: afterwards it is cached as long as it is below, so an open is answered with
//   ESTALE no more than once.
// - An open that comes by the first id once more knows no name that could be looked up (/proc/self/fd, a
//   bind mount). To read, it is answered through the server; to write, it is refused.
// - Readers' handles and mappings show the lower file to their end. No handle that writes is ever given it.

/// One request to open a file.
struct Opening {
  let node: UInt64
  let slot: UInt32
  let flags: CInt
  /// Who asks.
  let thread: Int32

  /// O_RDONLY | O_TRUNC truncates too.
  var wantsWriting: Bool {
    flags & OpenFlag.accessMode != OpenFlag.readOnly || flags & OpenFlag.truncate != 0
  }
}

/// What the kernel knows of a split node by its first id.
struct Split {
  /// How many replies have given the id to the kernel.
  var lookups: UInt64
  /// The threads that were told to look the name up and have not come by the second id yet.
  var refused: Set<Int32> = []

  /// A thread whose look-up found nothing stays: not for ever.
  mutating func refuse(_ thread: Int32) {
    if refused.count >= 64 { refused.removeAll() }
    // A thread of a foreign process namespace has no number.
    if thread != 0 { refused.insert(thread) }
  }
}

/// By which of a node's ids an open comes.
enum IDStanding {
  case current
  /// The first one of a split node.
  case former
}

extension Union {
  /// Whether an open can be answered; ESTALE where the kernel shall look the name up first. The file is
  /// locked.
  func checkID(_ file: OpenFile, _ opening: Opening) throws(Errno) -> IDStanding {
    guard configuration.readers == .fast else { return .current }
    switch nodes.standing(opening) {
    case .current?: break
    case .former?: return .former
    case nil: throw Errno.staleNFSFileHandle
    }
    let readsBelow = !opening.wantsWriting && !file.isOnTop.load(ordering: .relaxed)
    if file.lowerHandles == 0 || readsBelow || nodes.isSplit(opening.slot) { return .current }
    nodes.split(opening)
    Session.forgetAttributes(of: opening.node)
    throw Errno.staleNFSFileHandle
  }

  /// The same for a change of the file's size by one of its ids.
  func checkID(_ node: UInt64, _ slot: UInt32, _ caller: Caller) throws(Errno) {
    guard configuration.readers == .fast else { return }
    let change = Opening(
      node: node, slot: slot, flags: OpenFlag.writeOnly, thread: caller.process)
    if nodes.standing(change) != .current { throw Errno.staleNFSFileHandle }
  }

  /// A handle for who cannot look the name up. The file is locked.
  func formerReply(_ file: OpenFile, _ opening: Opening) -> OpenReply {
    let isBelow = file.lowerHandles > 0
    if isBelow { file.lowerHandles += 1 }
    let handle = FileHandle(
      file, slot: opening.slot, flags: opening.flags, mode: isBelow ? .directBelow : .direct,
      isDirect: false)
    var reply = OpenReply(handle: handle.number)
    reply.isDirect = true
    reply.skipsFlush = true
    reply.backing = file.lowerBacking
    return reply
  }

  /// Whether a handle that only reads has the lower file passed through; it is counted. The file is locked.
  func joinLower(_ file: OpenFile, _ slot: UInt32, known: Attributes?) -> Bool {
    guard configuration.readers == .fast, top != nil, !file.isOnTop.load(ordering: .relaxed),
      !nodes.wasSplit(slot)
    else { return false }
    if file.lowerBacking == 0 {
      file.lowerBacking = register(file, mayWrite: false, known: known)
    }
    guard file.lowerBacking != 0 else { return false }
    file.lowerHandles += 1
    return true
  }

  /// Such a handle is gone. The file is locked.
  func leaveLower(_ file: OpenFile) {
    file.lowerHandles -= 1
    guard file.lowerHandles == 0 else { return }
    Session.closeBacking(file.lowerBacking)
    file.lowerBacking = 0
    file.closeLower()
  }
}

extension NodeTable {
  // MARK: Under the lock

  /// Whether the kernel knows a node by two ids.
  func isKnownTwice(_ slot: UInt32) -> Bool {
    node(slot).pointee.flags.contains(.split) && splits[slot] != nil
  }

  /// The kernel has forgotten some of what it was given of a split node.
  func forgetFirst(_ id: UInt64, _ slot: UInt32, _ count: UInt64) {
    guard id & Self.secondID == 0, let known = splits[slot] else { return }
    if known.lookups > count {
      splits[slot]?.lookups -= count
    } else {
      splits[slot] = nil
    }
  }

  // MARK: Taking the lock

  func isSplit(_ slot: UInt32) -> Bool {
    lock.whileLocked { node(slot).pointee.flags.contains(.split) }
  }

  /// The same; also of a file that was in another node then.
  func wasSplit(_ slot: UInt32) -> Bool {
    lock.whileLocked {
      !splitNumbers.isEmpty && splitNumbers.contains(inode(slot))
    }
  }

  /// From now on the kernel is given the node's second id.
  func split(_ opening: Opening) {
    lock.whileLocked {
      node(opening.slot).pointee.flags.insert(.split)
      splitNumbers.insert(inode(opening.slot))
      splits[opening.slot] = Split(lookups: lookups(opening.slot))
      splits[opening.slot]?.refuse(opening.thread)
    }
  }

  /// By which id an open comes; nil where the kernel shall look the name up. Whoever comes again by the
  /// first id knows no name.
  func standing(_ opening: Opening) -> IDStanding? {
    lock.whileLocked {
      guard node(opening.slot).pointee.flags.contains(.split) else { return .current }
      if opening.node & Self.secondID != 0 {
        splits[opening.slot]?.refused.remove(opening.thread)
        return .current
      }
      let isRefused = splits[opening.slot]?.refused.contains(opening.thread) ?? false
      if isRefused && !opening.wantsWriting { return .former }
      splits[opening.slot]?.refuse(opening.thread)
      return nil
    }
  }
}
