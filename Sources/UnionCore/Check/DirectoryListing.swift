public import SystemCalls

/// What one branch's directory holds, sorted out by what the names mean. Values only: no descriptor.
public struct DirectoryListing: Sendable {
  /// `.wh.NAME`, a long whiteout whose content is its name, or one of overlayfs.
  public struct Whiteout: Sendable, Equatable {
    public var name: [UInt8]
    public var hides: [UInt8]
    public var kind: FileKind
    public var isLong = false

    /// Whether it has the name that it hides.
    public var isInPlace: Bool { kind == .whiteout }
  }

  /// `.wh..wh.long.HASH` and what is wrong with it.
  public struct BrokenLong: Sendable, Equatable {
    public var name: [UInt8]
    public var flaw: LongWhiteoutFlaw
  }

  struct Entry {
    var end: Int
    var kind: FileKind
    var inode: UInt64
  }

  /// The entries' names, one behind the other.
  private(set) var names: [UInt8] = []
  private(set) var entries: [Entry] = []
  public private(set) var whiteouts: [Whiteout] = []
  public private(set) var brokenLong: [BrokenLong] = []
  /// Names like `.wh..wh.NAME.XXXX`, which aufs gives what it is about to replace or delete.
  public private(set) var temporaries: [[UInt8]] = []
  /// The type of `.wh..wh..opq`, nil where there is none.
  public private(set) var opaque: FileKind?
  /// The type of `.wh..wh.aufs`, nil where there is none.
  public private(set) var whiteoutBase: FileKind?
  /// What was staged here by a mount, because this directory lies on another file system than the work
  /// area, or to replace a whiteout of overlayfs.
  public private(set) var staged: [[UInt8]] = []
  /// What overlayfs's attributes say of the directory, where they count.
  public var marks = OverlayMarks()

  public init() {}

  /// Whether nothing of the branches below shows here.
  public var hidesBelow: Bool { opaque != nil || marks.isOpaque }

  public mutating func add(_ name: some Collection<UInt8>, kind: FileKind, inode: UInt64 = 0) {
    names.append(contentsOf: name)
    entries.append(Entry(end: names.count, kind: kind, inode: inode))
  }

  public mutating func addWhiteout(_ name: [UInt8], kind: FileKind) {
    whiteouts.append(Whiteout(name: name, hides: Array(name.dropFirst(4)), kind: kind))
  }

  /// A whiteout of overlayfs.
  public mutating func addWhiteout(inPlace name: [UInt8]) {
    whiteouts.append(Whiteout(name: name, hides: name, kind: .whiteout))
  }

  /// - Parameter content: the file's first bytes, 256 at the most; nil where it is no regular file.
  public mutating func addLongWhiteout(_ name: [UInt8], content: [UInt8]?) {
    if let flaw = LongWhiteoutFlaw(name: name, content: content) {
      brokenLong.append(BrokenLong(name: name, flaw: flaw))
    } else {
      whiteouts.append(
        Whiteout(name: name, hides: content ?? [], kind: .regular, isLong: true))
    }
  }

  public mutating func addOpaque(kind: FileKind) { opaque = kind }

  /// Any other `.wh..wh.` name.
  public mutating func addReserved(_ name: [UInt8], kind: FileKind) {
    if name.elementsEqual(".wh..wh.aufs".utf8) {
      whiteoutBase = kind
    } else if Self.isStaged(name) {
      staged.append(name)
    } else if Self.isTemporary(name) {
      temporaries.append(name)
    }
  }

  /// `.wh..wh.unionfs.tNUMBER`.
  static func isStaged(_ name: [UInt8]) -> Bool {
    let prefix = Array(".wh..wh.unionfs.t".utf8)
    return name.count > prefix.count && name.starts(with: prefix)
      && name.dropFirst(prefix.count).allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
      }
  }

  /// aufs's `.wh..wh.NAME.XXXX`, XXXX four hexadecimal digits.
  static func isTemporary(_ name: [UInt8]) -> Bool {
    let rest = name.dropFirst(8)
    return rest.count > 5 && rest[rest.endIndex - 5] == UInt8(ascii: ".")
      && rest.suffix(4).allSatisfy(\.isLowerHexadecimal)
  }

  /// Calls `body` with each entry's name.
  func forEachEntry(_ body: (ArraySlice<UInt8>, Entry) -> Void) {
    var start = 0
    for entry in entries {
      body(names[start..<entry.end], entry)
      start = entry.end
    }
  }
}

/// Why a long whiteout is none.
public enum LongWhiteoutFlaw: Sendable, Equatable {
  case notRegular
  case empty
  /// Not a name of 252 to 255 bytes.
  case noLongName
  case otherHash

  /// nil where it is as it should be.
  init?(name: [UInt8], content: [UInt8]?) {
    guard let content else {
      self = .notRegular
      return
    }
    if content.isEmpty {
      self = .empty
    } else if content.count <= nameLimit - 4 || content.count > nameLimit
      || content.contains(0) || content.contains(UInt8(ascii: "/"))
    {
      self = .noLongName
    } else if name != longWhiteoutName(of: content) {
      self = .otherHash
    } else {
      return nil
    }
  }

  var explanation: String {
    switch self {
    case .notRegular: "this long whiteout is no regular file"
    case .empty: "this long whiteout does not hold the name that it hides"
    case .noLongName: "this long whiteout holds no name of 252 to 255 bytes"
    case .otherHash: "this long whiteout holds a name of another hash"
    }
  }
}

/// The name of a name's long whiteout. The name has 252 to 255 bytes and no NUL.
func longWhiteoutName(of name: [UInt8]) -> [UInt8] {
  let terminated = name.map { CChar(bitPattern: $0) } + [0]
  return terminated.withUnsafeBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return [] }
    return Name(unchecked: base, count: name.count).withWhiteoutName { bytes(of: $0) }
  }
}

extension UInt8 {
  var isLowerHexadecimal: Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
  }
}
