internal import Dockerfile
internal import ImageArchive
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What the step cache knows of the files that COPY and ADD take: their names, types, modes, content and
/// links; not their times and owners, which a checkout does not keep.
struct TreeDigest {
  private var hasher = Digest.Hasher()
  private let ignored: IgnoreFile
  private let watch: Watch

  init(ignoring ignored: IgnoreFile, _ watch: Watch) {
    self.ignored = ignored
    self.watch = watch
  }

  /// Adds a text that is part of the step, such as a destination.
  mutating func add(_ text: String) { add(Array(text.utf8)) }

  mutating func add(_ bytes: [UInt8]) {
    // Its length first: "ab", "c" is not "a", "bc".
    withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { hasher.update($0) }
    bytes.withUnsafeBytes { hasher.update($0) }
  }

  func finish() -> Digest { hasher.finish() }

  /// Adds an entry and what is in it.
  mutating func add(_ path: [[UInt8]], in directory: CInt) throws(Failure) {
    guard let last = path.last else { return }
    try watch.pause()
    watch.countEntry()
    let name = TreeCopy.cName(last)
    let status = try TreeCopy.about(path) { () throws(Errno) in
      try FileSystemCall.status(at: directory, name)
    }
    if status.isDirectory {
      let inner = try TreeCopy.about(path) { () throws(Errno) in
        try TreeCopy.openDirectory(directory, name)
      }
      defer { FileSystemCall.close(inner) }
      if !ignored.leavesOut(path) { addHead(path, status) }
      return try addContents(of: path, inner)
    }
    addHead(path, status)
    if status.isSymbolicLink {
      add(
        try TreeCopy.about(path) { () throws(Errno) in
          try TreeCopy.linkTarget(directory, name)
        }.map { UInt8(bitPattern: $0) })
    } else if status.isRegular {
      try addContent(path, directory, name)
    }
  }

  /// Adds what is in a directory.
  mutating func addContents(of path: [[UInt8]], _ directory: CInt) throws(Failure) {
    for name in try TreeCopy.names(directory, path) {
      let inner = path + [name]
      if ignored.leavesOut(inner) {
        guard ignored.hasExceptions, TreeCopy.isDirectory(directory, TreeCopy.cName(name)) else {
          continue
        }
      }
      try add(inner, in: directory)
    }
  }

  private mutating func addHead(_ path: [[UInt8]], _ status: Attributes) {
    add(Array(path.joined(separator: [UInt8(ascii: "/")])))
    withUnsafeBytes(of: status.mode.littleEndian) { hasher.update($0) }
    withUnsafeBytes(of: status.specialDevice.littleEndian) { hasher.update($0) }
  }

  private mutating func addContent(
    _ path: [[UInt8]], _ directory: CInt, _ name: [CChar]
  ) throws(Failure) {
    let file = try TreeCopy.about(path) { () throws(Errno) in
      try FileSystemCall.open(
        at: directory, name, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
    }
    defer { FileSystemCall.close(file) }
    var content = Digest.Hasher()
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    var offset: Int64 = 0
    while true {
      let start = offset
      let count = try TreeCopy.about(path) { () throws(Errno) in
        try chunk.withMutableBytes { (room) throws(Errno) in
          try FileSystemCall.read(file, into: room, at: start)
        }
      }
      if count == 0 { break }
      watch.count(bytes: count)
      try watch.pause()
      chunk.withUnsafeBytes { content.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      offset += Int64(count)
    }
    add(content.finish().description)
  }
}
