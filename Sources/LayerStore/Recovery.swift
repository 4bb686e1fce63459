internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Ending what others were killed in.
extension LayerStore {
  /// Ends every transaction that nobody holds, and deletes what a Docker has left half removed.
  func recover() throws(Failure) {
    try whileLocked(exclusively: true) { () throws(Failure) in _ = try endDead(names: true) }
    _ = try endDead(names: false)
    try removeLeftovers()
  }

  /// - Parameter names: whether to take names away, which needs the lock, or to delete what is left.
  /// - Returns: the images that living transactions use.
  func endDead(names: Bool) throws(Failure) -> Set<ObjectID> {
    let logs = try place("unionfs-swift/transactions")
    var used: Set<ObjectID> = []
    for name in try about(logs.path, { () throws(Errno) in try logs.names() }) {
      guard
        let bytes = try about(logs.path(name), { () throws(Errno) in try logs.readIfThere(name) })
      else { continue }
      let log = TransactionLog(parsing: bytes)
      let dead = try about(logs.path(name)) { () throws(Errno) in try Self.take(name, in: logs) }
      guard let dead else {
        used.formUnion(log.used.compactMap(\.object))
        continue
      }
      defer { FileSystemCall.close(dead) }
      // Once more: it may have said something before it was killed.
      let path = logs.path(name)
      let last = try about(path) { () throws(Errno) -> TransactionLog in
        let bytes = try StoreDirectory.read(dead, limit: 64 << 20)
        // A line that was cut short would swallow the next one.
        let whole = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        if whole < bytes.count { try FileSystemCall.truncate(dead, to: Int64(whole)) }
        return TransactionLog(parsing: bytes)
      }
      if names, !last.isDone {
        try endNames(last, name)
        try about(path) { () throws(Errno) in try Transaction.sayDone(dead) }
      }
      // One that is not done has just begun: it gets its lock in a moment.
      if !names, last.isDone { try endContent(last, name) }
    }
    return used
  }

  /// Locks a dead transaction; nil for one that lives or has gone.
  private static func take(_ name: [CChar], in logs: StoreDirectory) throws(Errno) -> CInt? {
    do throws(Errno) {
      let log = try FileSystemCall.open(
        at: logs.descriptor, name, OpenFlag.readWrite | OpenFlag.append | OpenFlag.noFollow)
      do throws(Errno) {
        try FileSystemCall.lockExclusively(log)
        if try FileSystemCall.status(of: log).linkCount > 0 { return log }
        FileSystemCall.close(log)
        return nil
      } catch {
        FileSystemCall.close(log)
        throw error
      }
    } catch {
      if error == .wouldBlock || error == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }

  private func endNames(_ log: TransactionLog, _ name: [CChar]) throws(Failure) {
    let staging = try place("unionfs-swift/tmp")
    let staged = try about(staging.path(name)) { () throws(Errno) in
      do throws(Errno) { return try staging.directory(name) } catch {
        if error == .noSuchFileOrDirectory { return try staging.make(name) }
        throw error
      }
    }
    if log.isCommitted {
      try completeCommitted(log, staged)
    } else {
      try removeNames(of: log.added, into: staged)
    }
  }

  private func endContent(_ log: TransactionLog, _ name: [CChar]) throws(Failure) {
    try removeContent(of: log.victims)
    let (staging, logs) = (
      try place("unionfs-swift/tmp"), try place("unionfs-swift/transactions")
    )
    try about(staging.path(name)) { () throws(Errno) in
      try staging.remove(name)
      try FileSystemCall.unlink(at: logs.descriptor, name)
    }
  }

  /// `ID-removing`, of which no living transaction knows.
  private func removeLeftovers() throws(Failure) {
    let pending = try Pending(of: self)
    for name in ["aufs/diff", "aufs/mnt"] {
      let directory = try place(name)
      let names = try about(directory.path) { () throws(Errno) in try directory.names() }
      for name in names where name.text.hasSuffix(Self.removing) {
        let owner = name.text.dropLast(Self.removing.utf8.count)
        if pending.victims.contains(where: { owner == $0.description }) { continue }
        try about(directory.path(name)) { () throws(Errno) in try directory.remove(name) }
      }
    }
  }
}

/// Taking away.
extension LayerStore {
  static let removing = "-removing"

  /// Takes an image, a container or a layer out of everybody's sight, under the lock. Nothing where it
  /// is out already.
  func removeNames(of ids: [LayerID], into staged: StoreDirectory) throws(Failure) {
    for place in ["graph", "containers"] {
      guard let directory = try placeIfThere(place) else { continue }
      var hasMoved = false
      for id in ids where id.object != nil {
        let name = "\(place)-\(id)".name
        let moved = try about(directory.path(id.name)) { () throws(Errno) in
          try directory.moveIfThere(id.name, to: staged, name)
        }
        hasMoved = hasMoved || moved
      }
      if hasMoved { try about(directory.path) { () throws(Errno) in try directory.sync() } }
    }
    let (layers, mnt) = (try place("aufs/layers"), try place("aufs/mnt"))
    let diff = try place("aufs/diff")
    for id in ids {
      try about(layers.path(id.name)) { () throws(Errno) in
        try Self.tolerating([.noSuchFileOrDirectory]) { () throws(Errno) in
          try FileSystemCall.unlink(at: layers.descriptor, id.name)
        }
      }
      try removeMountPoint(id, in: mnt)
      try about(diff.path(id.name)) { () throws(Errno) in
        try Self.tolerating([.directoryNotEmpty, .fileExists]) { () throws(Errno) in
          try diff.moveIfThere(id.name, to: diff, Self.removingName(id))
        }
        // One of an earlier life was not gone yet. The next change of the store deletes it.
        let other = "\(id)-\(ObjectID.random().short)\(Self.removing)".name
        try diff.moveIfThere(id.name, to: diff, other)
      }
    }
  }

  static func removingName(_ id: LayerID) -> [CChar] { (id.name.dropLast()) + removing.name }

  private static func tolerating(
    _ errors: [Errno], _ body: () throws(Errno) -> Void
  ) throws(Errno) {
    do throws(Errno) { try body() } catch {
      if !errors.contains(error) { throw error }
    }
  }

  /// A mount that is still there is detached: what it shows is going.
  private func removeMountPoint(_ id: LayerID, in mnt: StoreDirectory) throws(Failure) {
    let path = mnt.path(id.name)
    try about(path) { () throws(Errno) in
      do throws(Errno) {
        try FileSystemCall.removeDirectory(at: mnt.descriptor, id.name)
      } catch {
        if error == .noSuchFileOrDirectory { return }
        guard error == .resourceBusy else {
          // Not empty: files that somebody put below the mount.
          return try mnt.remove(id.name)
        }
        try Self.detach(path)
        try FileSystemCall.removeDirectory(at: mnt.descriptor, id.name)
      }
    }
  }

  private static func detach(_ path: FilePath) throws(Errno) {
    if Invocation.effectiveUser == 0 { return try Mounts.unmount(path, lazy: true) }
    _ = try Daemon.run(["fusermount3", "-u", "-z", "--", path], errorOutput: .standardError)
  }

  /// Deletes the files of what has no name any more. Takes as long as it takes; needs no lock.
  func removeContent(of ids: [LayerID]) throws(Failure) {
    let diff = try place("aufs/diff")
    for id in ids {
      let name = Self.removingName(id)
      try about(diff.path(name)) { () throws(Errno) in try diff.remove(name) }
    }
  }
}
