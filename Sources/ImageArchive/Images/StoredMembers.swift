internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What gives an archive's members in any order.
protocol MemberStore: AnyObject {
  var names: [String] { get }
  func find(_ name: String) throws(Failure) -> FoundMember?
}

enum FoundMember {
  case file(any ByteSource, size: Int64)
  /// Another member's name.
  case link(String)
}

/// The members of an archive that can be read in any order: what is not asked for is not read.
final class StoredMembers: ImageMembers {
  private let unpacker: MemberUnpacker
  private let store: any MemberStore
  private var layers: [String: MemberLayer] = [:]

  init(_ unpacker: MemberUnpacker, _ store: any MemberStore) {
    self.unpacker = unpacker
    self.store = store
  }

  var isLazy: Bool { true }
  var names: [String] { store.names }
  var unpacked: [MemberLayer] { unpacker.unpacked }

  func json(_ name: String) throws(Failure) -> [UInt8]? {
    guard let (name, source, size) = try open(name) else { return nil }
    return try unpacker.read(source, member: name, size: size)
  }

  func layer(_ name: String) throws(Failure) -> MemberLayer? {
    guard let (name, source, _) = try open(name) else { return nil }
    if let layer = layers[name] { return layer }
    let layer = try unpacker.unpack(source, member: name).get()
    layers[name] = layer
    return layer
  }

  private func open(_ name: String) throws(Failure) -> (String, any ByteSource, Int64)? {
    var name = name
    for _ in 0..<8 {
      switch try store.find(name) {
      case .file(let source, let size): return (name, source, size)
      case .link(let target): name = target
      case nil: return nil
      }
    }
    throw .malformed("\(unpacker.name): \(shown(name.utf8)) is a link to itself")
  }
}

/// A tar that is not compressed, in a file.
final class TarStore: MemberStore {
  private let descriptor: CInt
  private let name: String
  private let watch: Watch
  private var members: [String: Member] = [:]

  private enum Member {
    case file(Range<Int64>)
    case link(String)
  }

  /// Reads the headers and goes over the data.
  init(_ descriptor: CInt, size: Int64, name: String, watch: Watch) throws(Failure) {
    self.descriptor = descriptor
    self.name = name
    self.watch = watch
    let reader = try TarReader(SeekingFeed(descriptor, size, name, watch), name: name)
    try reader.open()
    while try reader.next() {
      guard let name = MemberName.normal(String(cString: reader.entry.path)) else { continue }
      try add(reader.entry, name, at: reader.position, size)
    }
  }

  private func add(
    _ entry: TarEntry, _ name: String, at position: Int64, _ size: Int64
  ) throws(Failure) {
    if let link = entry.hardLink {
      members[name] = MemberName.normal(String(cString: link)).map { .link($0) }
    } else if entry.kind == .symbolicLink {
      let link = MemberName.target(of: name, link: String(cString: entry.symbolicLink))
      members[name] = link.map { .link($0) }
    } else if entry.kind == .regular {
      if entry.isSparse { throw .malformed("\(self.name): \(shown(name.utf8)) is sparse") }
      if members[name] != nil {
        throw .malformed("\(self.name): there are two members \(shown(name.utf8))")
      }
      guard entry.size >= 0, entry.size <= size - position else {
        throw .malformed("\(self.name): \(shown(name.utf8)) is cut off")
      }
      members[name] = .file(position..<(position + entry.size))
    }
  }

  var names: [String] { members.keys.sorted() }

  func find(_ name: String) -> FoundMember? {
    switch members[name] {
    case .file(let range):
      .file(
        SectionSource(descriptor, range, name: "\(self.name): \(name)", watch: watch),
        size: Int64(range.count))
    case .link(let target): .link(target)
    case nil: nil
    }
  }
}

/// A file's bytes, of which some are gone over unread.
final class SeekingFeed: BlockFeed {
  private let descriptor: CInt
  private let name: String
  private let watch: Watch
  private let size: Int64
  private var offset: Int64 = 0
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 4096)

  init(_ descriptor: CInt, _ size: Int64, _ name: String, _ watch: Watch) {
    self.descriptor = descriptor
    self.size = size
    self.name = name
    self.watch = watch
  }

  deinit { room.deallocate() }

  func next() throws(Failure) -> UnsafeRawBufferPointer {
    try watch.pause()
    let count = try system("\(name) cannot be read") { () throws(Errno) in
      try FileSystemCall.read(descriptor, into: room, at: offset)
    }
    offset += Int64(count)
    return UnsafeRawBufferPointer(rebasing: room[..<count])
  }

  func skip(_ count: Int64) -> Int64 {
    let skipped = max(0, min(count, size - offset))
    offset += skipped
    return skipped
  }
}

/// An image's layout as a directory.
final class DirectoryStore: MemberStore {
  private let directory: CInt
  private let name: String
  private let watch: Watch

  init(_ directory: CInt, name: String, watch: Watch) {
    self.directory = directory
    self.name = name
    self.watch = watch
  }

  /// Those at the root, and those of directories at the root: enough to find images of Docker up to 1.9.
  var names: [String] {
    var found: [String] = []
    try? forEachEntry(of: directory) { (name, _, _) throws(Errno) in
      found.append(String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self))
      return true
    }
    return (found + found.filter(MemberName.isID).map { "\($0)/json" }).sorted()
  }

  func find(_ member: String) throws(Failure) -> FoundMember? {
    var text = Array(member.utf8).map { CChar(bitPattern: $0) }
    text.append(0)
    let path = text.withUnsafeBufferPointer { try? EntryPath($0.baseAddress.unsafelyUnwrapped) }
    guard let path, !path.isRoot else { return nil }
    let trail = DirectoryTrail(root: directory)
    do throws(Errno) {
      let parent = try trail.open(path, count: path.count - 1)
      return try path.withPart(path.count - 1) { (last) throws(Errno) in
        try find(member, in: parent, last)
      }
    } catch {
      if error == .noSuchFileOrDirectory { return nil }
      throw .system("\(name): \(shown(member.utf8)) cannot be read", error)
    }
  }

  private func find(
    _ member: String, in parent: CInt, _ last: CName
  ) throws(Errno) -> FoundMember? {
    guard let status = try FileSystemCall.statusIfThere(at: parent, last) else { return nil }
    if status.isSymbolicLink {
      var room = [CChar](repeating: 0, count: 4096)
      let count = try room.withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
        try FileSystemCall.readLink(at: parent, last, into: buffer)
      }
      let link = String(decoding: room[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return MemberName.target(of: member, link: link).map { .link($0) }
    }
    guard status.isRegular else { return nil }
    let file = try FileSystemCall.open(
      at: parent, last, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
    let source = OwnedSource(file, size: status.size, name: "\(name): \(member)", watch: watch)
    return .file(source, size: status.size)
  }
}

/// A file that is closed with its last reader.
private final class OwnedSource: ByteSource, @unchecked Sendable {
  private let descriptor: CInt
  private let section: SectionSource

  init(_ descriptor: CInt, size: Int64, name: String, watch: Watch) {
    self.descriptor = descriptor
    section = SectionSource(descriptor, 0..<size, name: name, watch: watch)
  }

  deinit { FileSystemCall.close(descriptor) }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    try section.read(into: room)
  }
}
