internal import SystemCalls
internal import SystemPackage

/// What one layer's directory holds, with what its figures need of each entry.
struct LayerListing {
  struct Entry {
    /// Where the name ends in `names`; it begins where the one before ends.
    var nameEnd = 0
    /// A whiteout of the name, not an entry.
    var isWhiteout = false
    var kind = FileKind.unknown
    var mode: UInt32 = 0
    var owner: UInt32 = 0
    var group: UInt32 = 0
    var linkCount: UInt64 = 0
    var device: UInt64 = 0
    var inode: UInt64 = 0
    var size: Int64 = 0
    var modified = Timestamp(seconds: 0, nanoseconds: 0)

    init() {}

    init(_ attributes: Attributes) {
      kind = attributes.type
      mode = attributes.permissions
      owner = attributes.owner
      group = attributes.group
      linkCount = attributes.linkCount
      device = attributes.device
      inode = attributes.inode
      size = kind == .regular ? max(0, attributes.size) : 0
      modified = attributes.modified
    }

    func hasOwnerAndMode(of other: Entry) -> Bool {
      mode == other.mode && owner == other.owner && group == other.group
    }
  }

  private(set) var names: [UInt8] = []
  private(set) var entries: [Entry] = []
  private(set) var isOpaque = false
  private(set) var whiteouts = 0

  init() {}

  mutating func add(_ name: some Sequence<UInt8>, _ entry: Entry) {
    names.append(contentsOf: name)
    var entry = entry
    entry.nameEnd = names.count
    entries.append(entry)
  }

  mutating func addWhiteout(of name: some Sequence<UInt8>) {
    var entry = Entry()
    entry.isWhiteout = true
    add(name, entry)
    whiteouts += 1
  }

  mutating func addOpaque() { isOpaque = true }
}

extension LayerListing {
  /// Reads a directory. Whiteouts are nothing at all where the branch does not honour them.
  init(of directory: CInt, _ branch: Branch) throws(Errno) {
    self.init()
    let marks = try branch.marks(of: directory)
    let honoursWhiteouts = branch.honoursWhiteouts
    if marks.isOpaque { addOpaque() }
    var longNames: [[UInt8]] = []
    try forEachEntry(of: directory) { bytes, _, _ throws(Errno) in
      guard let base = bytes.baseAddress else { return true }
      let name = bytes.lazy.map { UInt8(bitPattern: $0) }
      switch DiskName(bytes) {
      case .ordinary:
        guard let found = try FileSystemCall.statusIfThere(at: directory, base) else {
          return true
        }
        let isWhiteout = try found.isWhiteout(
          at: directory, base, honoursWhiteouts: honoursWhiteouts, marks: marks)
        if isWhiteout { addWhiteout(of: name) } else { add(name, Entry(found)) }
      // What is no regular file is an error of that name; `check` tells of it.
      case .whiteout(let offset):
        if honoursWhiteouts, try FileSystemCall.type(at: directory, base) == .regular {
          addWhiteout(of: name.dropFirst(offset))
        }
      case .longWhiteout:
        if honoursWhiteouts, try FileSystemCall.type(at: directory, base) == .regular {
          longNames.append(Array(name))
        }
      case .opaque: if honoursWhiteouts { addOpaque() }
      case .reserved: break
      }
      return true
    }
    for name in longNames {
      let hidden = try DirectoryListing.content(of: name, in: directory)
      if LongWhiteoutFlaw(name: name, content: hidden) == nil { addWhiteout(of: hidden) }
    }
  }
}
