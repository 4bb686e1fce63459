internal import Dockerfile
internal import ImageArchive
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Copies what COPY and ADD name into an image. Both sides are known by descriptors; no symbolic link is
/// followed.
struct TreeCopy {
  /// Who owns the copies; nil keeps the source's owners.
  var owner: (user: UInt32, group: UInt32)?
  /// The mode of all copies; nil keeps the sources'.
  var mode: UInt32?
  /// What of the source is not to be seen.
  var ignored = IgnoreFile()
  var watch = Watch()

  /// Where a copy of a file that has several names lies.
  private struct Original {
    let directory: CInt
    let name: [CChar]
  }
  private struct Identity: Hashable {
    let device: UInt64
    let inode: UInt64
  }
  private var originals: [Identity: Original] = [:]
  private var held: [CInt] = []

  init() {}

  /// Copies one entry and what is in it.
  ///
  /// - Parameter path: the entry's names from the source's root down.
  mutating func copy(
    _ path: [[UInt8]], in source: CInt, to target: CInt, _ newName: [UInt8]
  ) throws(Failure) {
    guard let last = path.last else { return }
    let name = Self.cName(last)
    defer {
      for descriptor in held { FileSystemCall.close(descriptor) }
      (held, originals) = ([], [:])
    }
    try copyOne(path, source, name, target, Self.cName(newName))
  }

  /// Copies what is in a directory into another one.
  mutating func copyContents(
    of path: [[UInt8]], _ source: CInt, to target: CInt
  ) throws(Failure) {
    defer {
      for descriptor in held { FileSystemCall.close(descriptor) }
      (held, originals) = ([], [:])
    }
    try copyEntries(path, source, target)
  }

  private mutating func copyEntries(
    _ path: [[UInt8]], _ source: CInt, _ target: CInt
  ) throws(Failure) {
    for name in try Self.names(source, path) {
      let inner = path + [name]
      if ignored.leavesOut(inner) {
        // Something in it may be shown all the same.
        guard ignored.hasExceptions, Self.isDirectory(source, Self.cName(name)) else { continue }
        if try !hasShown(inner, source) { continue }
      }
      try copyOne(inner, source, Self.cName(name), target, Self.cName(name))
    }
  }

  /// Whether a directory that is left out holds something that is not.
  private func hasShown(_ path: [[UInt8]], _ parent: CInt) throws(Failure) -> Bool {
    guard let name = path.last else { return false }
    let directory = try Self.about(path) { () throws(Errno) in
      try Self.openDirectory(parent, Self.cName(name))
    }
    defer { FileSystemCall.close(directory) }
    for name in try Self.names(directory, path) {
      let inner = path + [name]
      if !ignored.leavesOut(inner) { return true }
      if Self.isDirectory(directory, Self.cName(name)), try hasShown(inner, directory) {
        return true
      }
    }
    return false
  }

  private mutating func copyOne(
    _ path: [[UInt8]], _ source: CInt, _ name: [CChar], _ target: CInt, _ newName: [CChar]
  ) throws(Failure) {
    try watch.pause()
    watch.countEntry()
    let status = try Self.about(path) { () throws(Errno) in
      try FileSystemCall.status(at: source, name)
    }
    if status.isDirectory { return try copyDirectory(path, source, name, status, target, newName) }
    let identity = Identity(device: status.device, inode: status.inode)
    let original = status.linkCount > 1 ? originals[identity] : nil
    try Self.about(path) { () throws(Errno) in
      try Self.clear(target, newName)
      if let original {
        return try FileSystemCall.link(
          at: original.directory, original.name, to: target, newName)
      }
      if status.isRegular {
        try copyFile(source, name, status, target, newName)
      } else {
        try copySpecial(source, name, status, target, newName)
      }
    }
    if status.linkCount > 1 && original == nil {
      let kept = try Self.about(path) { () throws(Errno) in
        try FileSystemCall.open(at: target, [0x2E, 0], OpenFlag.path | OpenFlag.directory)
      }
      held.append(kept)
      originals[identity] = Original(directory: kept, name: newName)
    }
  }

  private mutating func copyDirectory(
    _ path: [[UInt8]], _ source: CInt, _ name: [CChar], _ status: Attributes, _ target: CInt,
    _ newName: [CChar]
  ) throws(Failure) {
    let inner = try Self.about(path) { () throws(Errno) in try Self.openDirectory(source, name) }
    defer { FileSystemCall.close(inner) }
    let made = try Self.about(path) { () throws(Errno) in
      do throws(Errno) {
        try FileSystemCall.makeDirectory(at: target, newName, mode: 0o700)
      } catch { if error != .fileExists { throw error } }
      return try Self.openDirectory(target, newName)
    }
    defer { FileSystemCall.close(made) }
    try copyEntries(path, inner, made)
    try Self.about(path) { () throws(Errno) in
      try setOwner(made, [0], status)
      try Self.copyAttributes(from: inner, to: made)
      try setModeAndTimes(made, [0], status)
    }
  }

  private func copyFile(
    _ source: CInt, _ name: [CChar], _ status: Attributes, _ target: CInt, _ newName: [CChar]
  ) throws(Errno) {
    let from = try FileSystemCall.open(
      at: source, name, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
    defer { FileSystemCall.close(from) }
    let to = try FileSystemCall.open(
      at: target, newName,
      OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o600)
    defer { FileSystemCall.close(to) }
    try FileContents.copy(
      from: from, to: to, size: status.size, isWhole: true, piece: 1 << 26
    ) { count throws(Errno) in
      watch.count(bytes: count)
      do throws(Failure) { try watch.pause() } catch { throw Errno.canceled }
    }
    try setOwner(to, [0], status)
    try Self.copyAttributes(from: from, to: to)
    try setModeAndTimes(to, [0], status)
  }

  private func copySpecial(
    _ source: CInt, _ name: [CChar], _ status: Attributes, _ target: CInt, _ newName: [CChar]
  ) throws(Errno) {
    if status.isSymbolicLink {
      try FileSystemCall.makeSymbolicLink(
        at: target, newName, to: try Self.linkTarget(source, name))
    } else {
      try FileSystemCall.makeNode(
        at: target, newName, mode: status.type.modeBits | 0o600, device: status.specialDevice)
    }
    try setOwner(target, newName, status)
    try setModeAndTimes(target, newName, status)
  }

  static func linkTarget(_ directory: CInt, _ name: [CChar]) throws(Errno) -> [CChar] {
    var target = [CChar](repeating: 0, count: 4097)
    let count = try target.withUnsafeMutableBufferPointer { buffer throws(Errno) in
      try FileSystemCall.readLink(
        at: directory, name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<4096]))
    }
    return Array(target.prefix(count)) + [0]
  }

  /// Before mode and capability, which chown(2) takes away.
  private func setOwner(
    _ directory: CInt, _ name: [CChar], _ status: Attributes
  ) throws(Errno) {
    try FileSystemCall.changeOwner(
      at: directory, name, owner: owner?.user ?? status.owner, group: owner?.group ?? status.group)
  }

  private func setModeAndTimes(
    _ directory: CInt, _ name: [CChar], _ status: Attributes
  ) throws(Errno) {
    if !status.isSymbolicLink {
      try FileSystemCall.changeMode(at: directory, name, mode ?? status.permissions)
    }
    try FileSystemCall.changeTimes(
      at: directory, name, accessed: .to(status.accessed), modified: .to(status.modified))
  }

  /// Attributes that the target has no place for are left behind.
  private static func copyAttributes(
    from source: CInt, to target: CInt
  ) throws(Errno) {
    try ExtendedAttributes.copy(
      list: { (buffer) throws(Errno) in
        try FileSystemCall.listExtendedAttributes(at: source, nil, into: buffer)
      },
      get: { (key, buffer) throws(Errno) in
        try FileSystemCall.extendedAttribute(at: source, nil, key: key, into: buffer)
      },
      set: { (key, value) throws(Errno) in
        try FileSystemCall.setExtendedAttribute(at: target, nil, key: key, to: value)
      })
  }

  /// Removes what a copy replaces; EISDIR for a directory.
  private static func clear(_ directory: CInt, _ name: [CChar]) throws(Errno) {
    guard let old = try FileSystemCall.statusIfThere(at: directory, name) else { return }
    if old.isDirectory { throw Errno.isDirectory }
    try FileSystemCall.unlink(at: directory, name)
  }

  // MARK: Names

  static func cName(_ bytes: [UInt8]) -> [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

  static func openDirectory(_ directory: CInt, _ name: [CChar]) throws(Errno) -> CInt {
    try FileSystemCall.open(
      at: directory, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
  }

  static func isDirectory(_ directory: CInt, _ name: [CChar]) -> Bool {
    (try? FileSystemCall.type(at: directory, name)) == .directory
  }

  /// The names in a directory, sorted.
  static func names(_ directory: CInt, _ path: [[UInt8]]) throws(Failure) -> [[UInt8]] {
    try about(path) { () throws(Errno) in
      var names: [[UInt8]] = []
      try forEachEntry(of: directory) { bytes, _, _ in
        names.append(bytes.map { UInt8(bitPattern: $0) })
        return true
      }
      return names.sorted { $0.lexicographicallyPrecedes($1) }
    }
  }

  static func text(_ path: [[UInt8]]) -> String {
    path.isEmpty ? "." : path.map { Text.printable($0) }.joined(separator: "/")
  }

  static func about<Result>(
    _ path: [[UInt8]], _ body: () throws(Errno) -> Result
  ) throws(Failure) -> Result {
    do throws(Errno) { return try body() } catch {
      if error == .canceled { throw Failure.cancelled }
      throw Failure(.failed, "\(text(path)) cannot be copied: \(error)")
    }
  }
}
