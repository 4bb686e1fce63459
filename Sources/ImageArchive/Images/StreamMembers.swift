internal import SystemCalls
internal import UnionCore

/// The members of an archive that is read once from its begin to its end: layers are unpacked as they come,
/// JSON is kept, and only then does the manifest tell what is what.
final class StreamMembers: ImageMembers {
  private static let jsonTotal = 1 << 28

  private let unpacker: MemberUnpacker
  private var texts: [String: [UInt8]] = [:]
  private var layers: [String: MemberLayer] = [:]
  /// Why a member that may be no layer at all could not be unpacked.
  private var failures: [String: Failure] = [:]
  private var links: [String: String] = [:]
  private var textBytes = 0

  init(_ unpacker: MemberUnpacker) { self.unpacker = unpacker }

  // MARK: The members

  var isLazy: Bool { false }
  var names: [String] { (Array(texts.keys) + layers.keys + links.keys + failures.keys).sorted() }
  var unpacked: [MemberLayer] { unpacker.unpacked }

  func json(_ name: String) -> [UInt8]? { texts[resolved(name)] }

  func layer(_ name: String) throws(Failure) -> MemberLayer? {
    let name = resolved(name)
    if let failure = failures[name] { throw failure }
    return layers[name]
  }

  private func resolved(_ name: String) -> String {
    var name = name
    for _ in 0..<8 {
      guard let link = links[name] else { break }
      name = link
    }
    return name
  }

  // MARK: Reading

  func read(_ source: any ByteSource) throws(Failure) {
    let name = unpacker.name
    let peeked = try PeekedSource(source, count: Compression.prefixLength)
    guard Compression(prefix: peeked.prefix) != .none else {
      let feed = SourceFeed(peeked, unpacker.watch)
      try read(try TarReader(feed, name: name))
      while try !feed.next().isEmpty {}
      return
    }
    let stream = try DecodedStream(
      peeked, name: name, limits: unpacker.options.layers.limits, watch: unpacker.watch,
      isHashed: false)
    defer { stream.close() }
    try read(try TarReader(stream, name: name))
    _ = try stream.finish()
  }

  private func read(_ reader: TarReader) throws(Failure) {
    try reader.open()
    while try reader.next() {
      let entry = reader.entry
      guard let name = MemberName.normal(String(cString: entry.path)) else { continue }
      if let link = entry.hardLink {
        links[name] = MemberName.normal(String(cString: link))
      } else if entry.kind == .symbolicLink {
        links[name] = MemberName.target(of: name, link: String(cString: entry.symbolicLink))
      } else if entry.kind == .regular {
        try take(reader, name)
      }
    }
  }

  private func take(_ reader: TarReader, _ name: String) throws(Failure) {
    let size = reader.entry.size
    guard !reader.entry.isSparse else {
      throw .malformed("\(unpacker.name): \(shown(name.utf8)) is sparse")
    }
    guard texts[name] == nil, layers[name] == nil, failures[name] == nil else {
      throw .malformed("\(unpacker.name): there are two members \(shown(name.utf8))")
    }
    let source = try PeekedSource(MemberSource(reader), count: Compression.prefixLength)
    switch MemberKind(name: name, prefix: source.prefix, size: size) {
    case .layer: try takeLayer(source, name)
    case .json:
      // A blob that only looks like JSON.
      guard size <= Int64(unpacker.options.jsonLimit) || MemberName.blobDigest(name) == nil else {
        return try unpacker.skip(source, member: name)
      }
      textBytes += Int(clamping: size)
      guard textBytes <= Self.jsonTotal else {
        throw .malformed("\(unpacker.name) has more than \(Self.jsonTotal) bytes of JSON")
      }
      texts[name] = try unpacker.read(source, member: name, size: size)
    case .other: try unpacker.skip(source, member: name)
    }
  }

  private func takeLayer(_ source: any ByteSource, _ name: String) throws(Failure) {
    switch try unpacker.unpack(source, member: name) {
    case .success(let layer): layers[name] = layer
    case .failure(let failure): failures[name] = failure
    }
  }
}

/// The data of the entry that a reader stands at.
private final class MemberSource: ByteSource, @unchecked Sendable {
  private let reader: TarReader
  private var block = UnsafeRawBufferPointer(start: nil, count: 0)
  private var isAtEnd = false

  init(_ reader: TarReader) { self.reader = reader }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    while block.isEmpty && !isAtEnd {
      if let next = try reader.data() { block = next.bytes } else { isAtEnd = true }
    }
    let count = min(room.count, block.count)
    if count == 0 { return 0 }
    room.copyMemory(from: UnsafeRawBufferPointer(rebasing: block[..<count]))
    block = UnsafeRawBufferPointer(rebasing: block[count...])
    return count
  }
}

/// A source's bytes as they are, on the caller's thread.
final class SourceFeed: BlockFeed {
  private let source: any ByteSource
  private let watch: Watch
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)

  init(_ source: any ByteSource, _ watch: Watch) {
    self.source = source
    self.watch = watch
  }

  deinit { room.deallocate() }

  func next() throws(Failure) -> UnsafeRawBufferPointer {
    try watch.pause()
    return UnsafeRawBufferPointer(rebasing: room[..<(try source.read(into: room))])
  }
}
