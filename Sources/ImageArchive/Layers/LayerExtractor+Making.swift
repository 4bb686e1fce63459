internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Making one object each. What is filled comes first, then owner, attributes, mode and times, in this
// order: each takes away something that was set before.

extension LayerExtractor {
  /// A descriptor of the directory that an entry lies in. One that the tar did not name is made.
  func parent(of path: EntryPath) throws(Failure) -> CInt {
    try make { () throws(Errno) in
      try trail.open(path, count: path.count - 1) { count in
        self.directories[path.prefix(count).bytes] = DirectoryAttributes(
          implied: self.reader.entry.modified)
      }
    }
  }

  private func withPlace<Result>(
    _ path: EntryPath, _ body: (CInt, CName) throws(Errno) -> Result
  ) throws(Failure) -> Result {
    let directory = try parent(of: path)
    return try make { () throws(Errno) in
      try path.withPart(path.count - 1) { (name) throws(Errno) in try body(directory, name) }
    }
  }

  private func createFile(_ path: EntryPath) throws(Failure) -> CInt {
    try withPlace(path) { (directory, name) throws(Errno) in
      try FileSystemCall.open(
        at: directory, name,
        OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o600)
    }
  }

  // MARK: Regular files

  func makeFile(_ path: EntryPath) throws(Failure) {
    let entry = reader.entry
    guard entry.size >= 0 else { throw refuse("its size is negative") }
    try addSize(entry.size)
    let attributes = try checked(FileAttributes(entry))
    let descriptor = try createFile(path)
    defer { FileSystemCall.close(descriptor) }
    if entry.size > 0 && !entry.isSparse { reader.recorder?.beginFile(size: entry.size) }
    try writeData(of: entry, to: descriptor)
    try set(attributes, of: descriptor, nil, kind: .regular)
  }

  private func writeData(of entry: TarEntry, to descriptor: CInt) throws(Failure) {
    let size = entry.size
    let isSparse = entry.isSparse
    let promised = isSparse ? entry.sparseBytes : size
    var (received, end): (Int64, Int64) = (0, 0)
    while let (bytes, offset) = try reader.data() {
      guard offset >= 0, offset <= size, Int64(bytes.count) <= size - offset else {
        throw refuse("it has more data than its size")
      }
      reader.recorder?.update(bytes)
      try write(bytes, to: descriptor, at: offset)
      received += Int64(bytes.count)
      end = max(end, offset + Int64(bytes.count))
    }
    guard received == promised, isSparse || end == size else {
      throw refuse("it has less data than its size")
    }
    if end < size {
      try make { () throws(Errno) in try FileSystemCall.truncate(descriptor, to: size) }
    }
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: Int64
  ) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      done += try make { () throws(Errno) in
        try FileSystemCall.write(descriptor, from: rest, at: offset + Int64(done))
      }
    }
  }

  /// A small file whose content the tar does not have.
  func makeEmptyFile(
    _ path: EntryPath, content: [UInt8], _ attributes: FileAttributes
  ) throws(Failure) {
    let attributes = try checked(attributes)
    let descriptor = try createFile(path)
    defer { FileSystemCall.close(descriptor) }
    try content.withBytesForFailure { (bytes) throws(Failure) in
      try write(bytes, to: descriptor, at: 0)
    }
    try set(attributes, of: descriptor, nil, kind: .regular)
  }

  // MARK: Links

  /// Another name of a file that an earlier entry has made; what the entry says of owner, mode and times is
  /// that file's already.
  func makeHardLink(_ path: EntryPath, to text: CName) throws(Failure) {
    let goal = "'\(shown(text))'"
    if reader.entry.size > 0 { throw refuse("it is a hard link that has data") }
    let target: EntryPath
    do throws(PathFlaw) { target = try EntryPath(text, anchored: true) } catch {
      throw refuse("it is a hard link to \(goal): \(error)")
    }
    guard !target.isRoot, isPlain(target) else {
      throw refuse("it is a hard link to \(goal), which is no file of the layer")
    }
    let from = try openParent(ofTarget: target, goal)
    defer { FileSystemCall.close(from) }
    let to = try parent(of: path)
    let result = link(target, from, path, to)
    switch result {
    case nil: return
    case .noSuchFileOrDirectory:
      throw refuse("it is a hard link to \(goal), which does not exist")
    case .notPermitted: throw refuse("it is a hard link to \(goal), which is a directory")
    case .some(let error): throw failure(error)
    }
  }

  /// Whether no part of a path is a whiteout's: whiteouts have one name each.
  private func isPlain(_ path: EntryPath) -> Bool {
    (0..<path.count).allSatisfy {
      if case .ordinary = path.disk($0) { true } else { false }
    }
  }

  private func link(_ target: EntryPath, _ from: CInt, _ path: EntryPath, _ to: CInt) -> Errno? {
    do throws(Errno) {
      try target.withPart(target.count - 1) { (old) throws(Errno) in
        try path.withPart(path.count - 1) { (new) throws(Errno) in
          try FileSystemCall.link(at: from, old, to: to, new)
        }
      }
      return nil
    } catch { return error }
  }

  /// A descriptor of its own, since the trail goes elsewhere next.
  private func openParent(ofTarget target: EntryPath, _ goal: String) throws(Failure) -> CInt {
    let walk = DirectoryTrail(root: root)
    do throws(Errno) {
      let last = try walk.open(target, count: target.count - 1)
      return try FileSystemCall.open(
        at: last, ReservedName.here, OpenFlag.readOnly | OpenFlag.directory)
    } catch {
      switch error {
      case .noSuchFileOrDirectory:
        throw refuse("it is a hard link to \(goal), which does not exist")
      case .notDirectory, .tooManySymbolicLinkLevels:
        throw refuse(
          "it is a hard link to \(goal), which leads through something that is no directory")
      default: throw failure(error)
      }
    }
  }

  func makeSymbolicLink(_ path: EntryPath, to target: CName) throws(Failure) {
    if target[0] == 0 { throw refuse("it is a symbolic link to nothing") }
    let attributes = try checked(FileAttributes(reader.entry))
    try withPlace(path) { (directory, name) throws(Errno) in
      try FileSystemCall.makeSymbolicLink(at: directory, name, to: target)
    }
    try setByName(attributes, path, kind: .symbolicLink)
  }

  // MARK: Devices and FIFOs

  func makeSpecial(_ path: EntryPath) throws(Failure) {
    let entry = reader.entry
    let kind = entry.kind ?? .fifo
    guard kind == .fifo || options.devices == .keep else {
      throw Failure(
        .malformedInput, "\(name): \(shown(entry.path)): it is a device",
        advice: "allow devices if the image is to be trusted")
    }
    var attributes = try checked(FileAttributes(entry))
    if kind != .fifo { attributes.device = entry.device }
    guard options.ownership == .set else {
      let descriptor = try createFile(path)
      defer { FileSystemCall.close(descriptor) }
      return try set(attributes, of: descriptor, nil, kind: kind)
    }
    guard let device = attributes.device.combined else { throw refuse("there is no such device") }
    try withPlace(path) { (directory, name) throws(Errno) in
      try FileSystemCall.makeNode(
        at: directory, name, mode: kind.modeBits | 0o600, device: device)
    }
    try setByName(attributes, path, kind: kind)
  }

  private func setByName(
    _ attributes: FileAttributes, _ path: EntryPath, kind: FileKind
  ) throws(Failure) {
    let directory = try parent(of: path)
    try path.withPart(path.count - 1) { (name) throws(Failure) in
      try set(attributes, of: directory, name, kind: kind)
    }
  }

  // MARK: Directories

  func makeDirectory(_ path: EntryPath) throws(Failure) {
    let parent = try parent(of: path)
    let isNew = try path.withPart(path.count - 1) { (name) throws(Failure) -> Bool in
      do throws(Errno) {
        try FileSystemCall.makeDirectory(at: parent, name, mode: 0o700)
        return true
      } catch {
        guard error == .fileExists else { throw failure(error) }
        return false
      }
    }
    let descriptor: CInt
    do throws(Errno) { descriptor = try trail.open(path, count: path.count) } catch {
      // Something else is there: an entry of that name.
      throw isNew ? failure(error) : failure(.fileExists)
    }
    try noteDirectory(path, descriptor: descriptor)
  }
}
