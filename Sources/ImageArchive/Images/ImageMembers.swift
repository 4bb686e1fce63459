internal import UnionCore

/// A layer of an archive that was unpacked.
struct MemberLayer {
  var place: String
  var layer: ExtractedLayer
  /// Of the bytes as they lie in the archive; nil where nobody asked.
  var blob: Digest?
}

/// An image archive's members by their names.
protocol ImageMembers: AnyObject {
  /// Whether layers are unpacked only when they are asked for.
  var isLazy: Bool { get }
  /// The names there are, sorted.
  var names: [String] { get }
  /// The bytes of a JSON member; nil where there is none.
  func json(_ name: String) throws(Failure) -> [UInt8]?
  /// A layer, unpacked; nil where there is none. The same one for each call of a name.
  func layer(_ name: String) throws(Failure) -> MemberLayer?
  /// Every layer that was unpacked.
  var unpacked: [MemberLayer] { get }
}

/// Unpacks layers of members into the caller's places, and checks the blobs of an OCI layout against their
/// names.
final class MemberUnpacker {
  let name: String
  let places: any LayerPlaces
  let options: ImageReadingOptions
  let watch: Watch
  private(set) var unpacked: [MemberLayer] = []

  init(
    name: String, _ places: any LayerPlaces, _ options: ImageReadingOptions, _ watch: Watch
  ) {
    self.name = name
    self.places = places
    self.options = options
    self.watch = watch
  }

  /// A failure that is answered, not thrown: the member is whole, so that it may be no layer at all.
  func unpack(
    _ source: any ByteSource, member: String
  ) throws(Failure) -> Result<MemberLayer, Failure> {
    let expected = MemberName.blobDigest(member)
    let hashed = HashedSource(source, isWanted: expected != nil)
    var extraction = options.layers
    extraction.needsEnd = false
    let place = try places.begin()
    let layer: ExtractedLayer
    do throws(Failure) {
      layer = try Layer.extract(
        hashed, name: "\(name): \(member)", into: place.directory, tarData: place.tarData,
        options: extraction, watch: watch)
    } catch {
      guard error.code == .malformedInput, let expected else { throw error }
      try hashed.drain()
      try check(hashed.digest, expected, member)
      return .failure(error)
    }
    // What follows compressed data belongs to the blob too.
    try hashed.drain()
    if let expected { try check(hashed.digest, expected, member) }
    try places.end(place, layer)
    let result = MemberLayer(place: place.id, layer: layer, blob: expected)
    unpacked.append(result)
    return .success(result)
  }

  func read(_ source: any ByteSource, member: String, size: Int64) throws(Failure) -> [UInt8] {
    guard size <= Int64(options.jsonLimit) else {
      throw .malformed("\(name): \(member) is longer than \(options.jsonLimit) bytes")
    }
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(size), alignment: 16)
    defer { room.deallocate() }
    let bytes = Array(UnsafeRawBufferPointer(rebasing: room[..<(try source.fill(room))]))
    if let expected = MemberName.blobDigest(member) {
      try check(Digest(of: bytes), expected, member)
    }
    return bytes
  }

  /// What nobody knows is read for its digest alone.
  func skip(_ source: any ByteSource, member: String) throws(Failure) {
    guard let expected = MemberName.blobDigest(member) else { return }
    let hashed = HashedSource(source, isWanted: true)
    try hashed.drain()
    try check(hashed.digest, expected, member)
  }

  private func check(_ found: Digest, _ expected: Digest, _ member: String) throws(Failure) {
    if found != expected {
      throw .malformed("\(name): \(member) is damaged: its digest is \(found)")
    }
  }
}

/// Hashes what is read of a source.
final class HashedSource: ByteSource, @unchecked Sendable {
  private let source: any ByteSource
  private let isWanted: Bool
  private var hasher = Digest.Hasher()

  init(_ source: any ByteSource, isWanted: Bool) {
    self.source = source
    self.isWanted = isWanted
  }

  var digest: Digest { hasher.finish() }

  func read(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    let count = try source.read(into: room)
    if isWanted { hasher.update(UnsafeRawBufferPointer(rebasing: room[..<count])) }
    return count
  }

  func interrupt() { source.interrupt() }

  func drain() throws(Failure) {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { room.deallocate() }
    while try read(into: room) > 0 {}
  }
}
