internal import SystemCalls
internal import UnionCore

/// What makes a name of an archive one that must not be made.
enum PathFlaw: Error, CustomStringConvertible {
  case empty
  case absolute
  case leaves
  case longName
  case longPath

  var description: String {
    switch self {
    case .empty: "its name is empty"
    case .absolute: "its name is absolute"
    case .leaves: "its name leaves the layer by '..'"
    case .longName: "a part of its name is longer than 255 bytes"
    case .longPath: "its name is longer than 4095 bytes"
    }
  }
}

/// A path of an archive: parts without `/`, `.`, `..` and NUL, each of which is a C string. None is the
/// layer's root.
struct EntryPath {
  /// The parts, each with a NUL.
  private var storage: [CChar] = []
  private var starts: [Int] = []
  /// Whether it was written with a slash at its end.
  private(set) var endsInSlash = false

  var count: Int { starts.count }
  var isRoot: Bool { starts.isEmpty }

  /// - Parameter anchored: whether a leading slash stands for the layer's root, as hard links of some
  ///   archives have it.
  init(_ text: UnsafePointer<CChar>, anchored: Bool = false) throws(PathFlaw) {
    var length = 0
    while text[length] != 0 { length += 1 }
    if length == 0 { throw .empty }
    if length > 4095 { throw .longPath }
    if text[0] == 0x2F && !anchored { throw .absolute }
    endsInSlash = text[length - 1] == 0x2F
    storage.reserveCapacity(length + 1)
    var start = 0
    while start < length {
      var end = start
      while end < length && text[end] != 0x2F { end += 1 }
      try add(UnsafeBufferPointer(start: text + start, count: end - start))
      start = end + 1
    }
  }

  init() {}

  private mutating func add(_ part: UnsafeBufferPointer<CChar>) throws(PathFlaw) {
    if part.isEmpty || (part.count == 1 && part[0] == 0x2E) { return }
    if part.count == 2 && part[0] == 0x2E && part[1] == 0x2E { throw .leaves }
    // A whiteout of the longest name has four more.
    if part.count > nameLimit && !(part.hasWhiteoutPrefix && part.count <= nameLimit + 4) {
      throw .longName
    }
    starts.append(storage.count)
    storage.append(contentsOf: part)
    storage.append(0)
  }

  /// Calls `body` with a part as a C string.
  func withPart<Result, Failure: Error>(
    _ index: Int, _ body: (CName) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let start = starts[index]
    return try storage.withUnsafeBufferPointer { (buffer) throws(Failure) in
      // Not empty: a part has at least its NUL.
      try body(buffer.baseAddress.unsafelyUnwrapped + start)
    }
  }

  func part(_ index: Int) -> ArraySlice<CChar> {
    let end = index + 1 < starts.count ? starts[index + 1] : storage.count
    return storage[starts[index]..<(end - 1)]
  }

  func disk(_ index: Int) -> DiskName {
    part(index).withUnsafeBufferPointer { DiskName($0) }
  }

  mutating func removeLast() {
    guard let start = starts.popLast() else { return }
    storage.removeSubrange(start...)
  }

  mutating func append(_ part: some Collection<CChar>) {
    starts.append(storage.count)
    storage.append(contentsOf: part)
    storage.append(0)
  }

  func prefix(_ count: Int) -> EntryPath {
    guard count < starts.count else { return self }
    var path = EntryPath()
    path.storage = Array(storage[..<starts[count]])
    path.starts = Array(starts[..<count])
    return path
  }

  /// Its parts with slashes between; empty for the root.
  var bytes: [UInt8] {
    storage.dropLast().map { $0 == 0 ? 0x2F : UInt8(bitPattern: $0) }
  }
}
