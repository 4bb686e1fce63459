internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Walks a directory and writes its tar; see `Layer.pack`. One descriptor is open at a time besides the
/// file that is read, so depth has no limit.
final class LayerPacker {
  let writer: TarWriter
  private let name: String
  private let options: PackingOptions
  private let watch: Watch

  var size: Int64 = 0
  private(set) var entries: Int64 = 0
  private(set) var notes: [String] = []

  /// First names of files that have several.
  private var links: [FileIdentity: [UInt8]] = [:]
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
  let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
  private let keys = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 1 << 16)

  private struct FileIdentity: Hashable {
    var device: UInt64
    var inode: UInt64
    init(_ attributes: Attributes) {
      device = attributes.device
      inode = attributes.inode
    }
  }

  /// A name on disk, and what the tar has for it.
  private struct Item {
    var disk: [CChar]
    var name: [UInt8]
    var isWhiteout: Bool
    /// The whiteout is one of overlayfs, which is no file of that name; or a directory's attribute.
    var isOverlays = false
  }

  /// A directory whose names are gone through.
  private struct Frame {
    var items: [Item]
    var next = 0
    var identity: FileIdentity
    /// Of the path, with the slash.
    var pathCount: Int
  }

  init(_ writer: TarWriter, name: String, _ options: PackingOptions, _ watch: Watch) {
    self.writer = writer
    self.name = name
    self.options = options
    self.watch = watch
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit {
    buffer.deallocate()
    zeros.deallocate()
    keys.deallocate()
  }

  func pause() throws(Failure) { try watch.pause() }

  func note(_ what: String) {
    if notes.count < 16 && !notes.contains(what) { notes.append(what) }
  }

  func failure(_ path: [UInt8], _ error: Errno) -> Failure {
    if error == .noSuchFileOrDirectory { return changed(path) }
    return .system("\(name): \(path.isEmpty ? "its root" : shown(path)) cannot be read", error)
  }

  func changed(_ path: [UInt8]) -> Failure {
    Failure(
      .failed, "\(name): \(shown(path)) changed while it was read",
      advice: "stop what changes it and try again")
  }

  func read<Result>(
    _ path: [UInt8], _ body: () throws(Errno) -> Result
  ) throws(Failure) -> Result {
    do throws(Errno) { return try body() } catch { throw failure(path, error) }
  }

  // MARK: The walk

  func run(_ directory: CInt) throws(Failure) {
    var path: [UInt8] = []
    var current = try openDirectory(directory, ReservedName.here, path)
    defer { FileSystemCall.close(current) }
    var frames = [try frame(current, path)]
    while let top = frames.last {
      path.removeSubrange(top.pathCount...)
      if top.next == top.items.count {
        frames.removeLast()
        guard let above = frames.last else { break }
        try replace(&current, with: ReservedName.above, path)
        guard try identity(current, path) == above.identity else { throw changed(path) }
        continue
      }
      frames[frames.count - 1].next += 1
      let item = top.items[top.next]
      path += item.name
      if try pack(item, in: current, path) {
        try item.disk.withUnsafeBufferPointer { (name) throws(Failure) in
          try replace(&current, with: name.baseAddress.unsafelyUnwrapped, path)
        }
        path.append(0x2F)
        frames.append(try frame(current, path))
      }
    }
    try writer.close()
  }

  private func openDirectory(
    _ directory: CInt, _ name: CName, _ path: [UInt8]
  ) throws(Failure) -> CInt {
    try read(path) { () throws(Errno) in
      let flags = OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow
      do throws(Errno) {
        return try FileSystemCall.open(at: directory, name, flags | OpenFlag.noAccessTime)
      } catch {
        guard error == .notPermitted else { throw error }
        return try FileSystemCall.open(at: directory, name, flags)
      }
    }
  }

  private func replace(
    _ current: inout CInt, with name: CName, _ path: [UInt8]
  ) throws(Failure) {
    let next = try openDirectory(current, name, path)
    FileSystemCall.close(current)
    current = next
  }

  private func identity(_ directory: CInt, _ path: [UInt8]) throws(Failure) -> FileIdentity {
    try read(path) { () throws(Errno) in FileIdentity(try FileSystemCall.status(of: directory)) }
  }

  private func frame(_ directory: CInt, _ path: [UInt8]) throws(Failure) -> Frame {
    var items: [Item] = []
    var names: [(name: [CChar], kind: FileKind)] = []
    var marks = OverlayMarks()
    try read(path) { () throws(Errno) in
      try forEachEntry(of: directory) { (name, kind, _) throws(Errno) in
        names.append((Array(name) + [0], kind))
        return true
      }
      if options.view == .layer { marks = try OverlayMarks(at: directory, ReservedName.here) }
    }
    for (name, kind) in names {
      if let item = try item(name, kind, marks, in: directory, path) { items.append(item) }
    }
    if marks.isOpaque {
      items.append(
        Item(
          disk: [CChar](cString: ReservedName.here), name: Array(".wh..wh..opq".utf8),
          isWhiteout: true, isOverlays: true))
    }
    items.sort {
      if $0.name == $1.name { return !$0.isOverlays && $1.isOverlays }
      return $0.name.lexicographicallyPrecedes($1.name)
    }
    // A layer may hold both forms of one whiteout.
    for index in items.indices.dropFirst().reversed()
    where items[index].isOverlays && items[index].name == items[index - 1].name {
      items.remove(at: index)
    }
    return Frame(items: items, identity: try identity(directory, path), pathCount: path.count)
  }

  /// nil for what a layer's tar does not have.
  private func item(
    _ disk: [CChar], _ kind: FileKind, _ marks: OverlayMarks, in directory: CInt, _ path: [UInt8]
  ) throws(Failure) -> Item? {
    let bytes = disk.dropLast().map { UInt8(bitPattern: $0) }
    guard options.view == .layer else { return Item(disk: disk, name: bytes, isWhiteout: false) }
    switch disk.dropLast().withUnsafeBufferPointer({ DiskName($0) }) {
    case .ordinary:
      guard kind.mayBeWhiteout(true, marks),
        try read(
          path,
          { () throws(Errno) in
            try entryType(at: directory, disk, honoursWhiteouts: true, marks: marks) == .whiteout
          })
      else { return Item(disk: disk, name: bytes, isWhiteout: false) }
      return Item(
        disk: disk, name: Array(".wh.".utf8) + bytes, isWhiteout: true, isOverlays: true)
    case .whiteout, .opaque: return Item(disk: disk, name: bytes, isWhiteout: true)
    case .reserved: return nil
    case .longWhiteout:
      let hidden = try hiddenName(disk, in: directory, path)
      if hidden.isEmpty { return nil }
      return Item(disk: disk, name: Array(".wh.".utf8) + hidden, isWhiteout: true)
    }
  }

  /// The name that a long whiteout holds; empty where it is none.
  private func hiddenName(
    _ disk: [CChar], in directory: CInt, _ path: [UInt8]
  ) throws(Failure) -> [UInt8] {
    try read(path) { () throws(Errno) in
      try disk.withUnsafeBufferPointer { (name) throws(Errno) in
        let name = name.baseAddress.unsafelyUnwrapped
        guard try FileSystemCall.type(at: directory, name) == .regular else { return [] }
        let file = try FileSystemCall.open(
          at: directory, name, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
        defer { FileSystemCall.close(file) }
        let count = try FileSystemCall.read(file, into: buffer, at: 0)
        let content = buffer[..<count]
        let isName = count > 0 && count <= nameLimit && !content.contains { $0 == 0 || $0 == 0x2F }
        return isName ? Array(content) : []
      }
    }
  }

  // MARK: One entry

  /// Whether it is a directory to go into.
  private func pack(_ item: Item, in directory: CInt, _ path: [UInt8]) throws(Failure) -> Bool {
    try watch.pause()
    return try item.disk.withUnsafeBufferPointer { (name) throws(Failure) in
      let name = name.baseAddress.unsafelyUnwrapped
      let attributes = try read(path) { () throws(Errno) in
        var attributes = try FileSystemCall.status(at: directory, name)
        if attributes.isSymbolicLink {
          try OwnerAttribute.containers.tell(&attributes, at: directory, name)
        }
        return attributes
      }
      var header = TarHeader(
        path: path, kind: attributes.type, permissions: attributes.permissions,
        owner: attributes.owner, group: attributes.group, modified: attributes.modified,
        device: DeviceNumber(combined: attributes.specialDevice))
      try addAttributes(of: name, in: directory, &header)
      if item.isWhiteout {
        if item.isOverlays {
          header.permissions = 0o444
        } else if !attributes.isRegular {
          note("\(shown(path)) is a whiteout but no regular file, and was left out")
          return false
        }
        header.kind = .regular
        header.attributes = []
        try write(header)
      } else {
        try pack(name, in: directory, attributes, header)
      }
      return attributes.isDirectory && !item.isWhiteout
    }
  }

  private func pack(
    _ name: CName, in directory: CInt, _ attributes: Attributes, _ header: TarHeader
  ) throws(Failure) {
    var header = header
    if !attributes.isDirectory && attributes.linkCount > 1 {
      let identity = FileIdentity(attributes)
      if let first = links[identity] {
        header.link = .hard(first)
        header.attributes = []
        return try write(header)
      }
      links[identity] = header.path
    }
    switch header.kind {
    case .regular: try packFile(name, in: directory, attributes, header)
    case .symbolicLink:
      header.link = .symbolic(try target(of: name, in: directory, header.path))
      try write(header)
    case .socket, .unknown: note("\(shown(header.path)) is a socket and was left out")
    default: try write(header)
    }
  }

  /// An entry without data.
  private func write(_ header: TarHeader) throws(Failure) {
    try begin(header)
    try writer.endEntry()
  }

  func begin(_ header: TarHeader) throws(Failure) {
    entries += 1
    watch.countEntry()
    try writer.begin(header)
  }

  private func target(of name: CName, in directory: CInt, _ path: [UInt8]) throws(Failure)
    -> [UInt8]
  {
    try read(path) { () throws(Errno) in
      let room = UnsafeMutableBufferPointer(
        start: buffer.baseAddress?.assumingMemoryBound(to: CChar.self), count: buffer.count)
      let count = try FileSystemCall.readLink(at: directory, name, into: room)
      return room[..<count].map { UInt8(bitPattern: $0) }
    }
  }

  // MARK: Extended attributes

  private func addAttributes(
    of name: CName, in directory: CInt, _ header: inout TarHeader
  ) throws(Failure) {
    let path = header.path
    let kind = header.kind
    var found: [(name: [CChar], value: [UInt8])] = []
    var override: OverrideStat?
    try read(path) { () throws(Errno) in
      var at = 0
      let end = try listAttributes(of: name, in: directory)
      while at < end, let base = keys.baseAddress {
        let key = UnsafePointer(base + at)
        let length = bytes(of: key).count
        at += length + 1
        let isOverride = OwnerAttribute(key) == .containers
        guard isOverride || Self.isKept(key) else { continue }
        let count = try FileSystemCall.extendedAttribute(
          at: directory, name, key: key, into: buffer)
        let value = Array(buffer[..<count])
        if isOverride {
          override = OverrideStat(value, actual: kind)
        } else {
          found.append((Array(UnsafeBufferPointer(start: key, count: length + 1)), value))
        }
      }
    }
    found.sort { $0.name.lexicographicallyPrecedes($1.name) }
    header.attributes = found
    if let override { apply(override, to: &header) }
  }

  private func listAttributes(of name: CName, in directory: CInt) throws(Errno) -> Int {
    do throws(Errno) {
      return try FileSystemCall.listExtendedAttributes(at: directory, name, into: keys)
    } catch {
      if error == .notSupported || error == .notSupportedOnSocket || error == .noFunction {
        return 0
      }
      throw error
    }
  }

  /// Not overlayfs's own, nor the label that the machine gives a file.
  private static func isKept(_ key: CName) -> Bool {
    OverlayAttribute(key) == nil && !isEqual(key, "security.selinux")
  }

  private func apply(_ override: OverrideStat, to header: inout TarHeader) {
    header.owner = override.owner
    header.group = override.group
    header.permissions = override.permissions
    // Only an empty file stands for something else.
    guard header.kind == .regular else { return }
    switch override.kind {
    case .characterDevice, .blockDevice, .fifo:
      header.kind = override.kind
      header.device = override.device
    default: break
    }
  }
}
