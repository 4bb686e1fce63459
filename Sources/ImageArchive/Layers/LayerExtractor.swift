internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Makes the files of a layer's tar; see `Layer.extract`.
final class LayerExtractor {
  let reader: TarReader
  let name: String
  let options: ExtractionOptions
  let trail: DirectoryTrail
  let root: CInt
  private let watch: Watch

  /// Set at the end, since everything that is made in a directory changes its times. By path.
  var directories: [[UInt8]: DirectoryAttributes] = [:]
  /// Directories that an attribute of overlayfs makes opaque, and when they were changed last.
  var opaque: [[UInt8]: EntryPath] = [:]
  /// Of default ACLs that wait for the end.
  var deferredBytes = 0

  private(set) var size: Int64 = 0
  private var entries: Int64 = 0
  private var notes: [String] = []

  init(
    _ reader: TarReader, name: String, _ directory: CInt, _ options: ExtractionOptions,
    _ watch: Watch
  ) {
    self.reader = reader
    self.name = name
    self.options = options
    self.watch = watch
    root = directory
    trail = DirectoryTrail(root: directory)
  }

  func run() throws(Failure) {
    while try reader.next() {
      entries += 1
      watch.countEntry()
      if entries > options.limits.entries {
        throw Failure(
          .malformedInput, "\(name) has more than \(options.limits.entries) entries",
          advice: "raise the limit if that is meant")
      }
      try extract(reader.entry)
      try reader.recorder?.endEntry(reader.entry.path)
    }
    try makeOpaqueMarkers()
    try finishDirectories()
  }

  /// After the last header there is a block of zeros, or the tar is cut off between two entries.
  func checkEnd(of count: Int64) throws(Failure) {
    if options.needsEnd && count - reader.headerPosition < 512 {
      throw .malformed("\(name) is cut off: the mark of its end is missing")
    }
  }

  func result(_ summary: DecodedSummary) -> ExtractedLayer {
    ExtractedLayer(
      diffID: summary.digest, size: size, entries: entries, compression: summary.compression,
      tarBytes: summary.count, compressedBytes: summary.compressedCount, notes: notes)
  }

  // MARK: What is refused, and what is told

  func refuse(_ what: String) -> Failure {
    .malformed("\(name): \(shown(reader.entry.path)): \(what)")
  }

  func note(_ what: String) {
    if notes.count < 16 && !notes.contains(what) { notes.append(what) }
  }

  /// What a system call's error means for the entry that it was made for.
  func failure(_ error: Errno) -> Failure {
    switch error {
    case .fileExists: refuse("there is another entry of that name")
    case .notDirectory, .tooManySymbolicLinkLevels:
      refuse("its name leads through something that is no directory")
    case .fileNameTooLong: refuse("its name, or what it links to, is too long")
    case .noSuchFileOrDirectory: refuse("a directory of its name was removed meanwhile")
    default: .system("\(name): \(shown(reader.entry.path)) cannot be made", error)
    }
  }

  /// Runs system calls for the entry.
  func make<Result>(_ body: () throws(Errno) -> Result) throws(Failure) -> Result {
    do throws(Errno) { return try body() } catch { throw failure(error) }
  }

  func addSize(_ count: Int64) throws(Failure) {
    let (sum, overflow) = size.addingReportingOverflow(count)
    if overflow || sum > options.limits.bytes {
      throw refuse("the layer's files have more than \(options.limits.bytes) bytes")
    }
    size = sum
  }

  // MARK: One entry

  private func extract(_ entry: TarEntry) throws(Failure) {
    let path = try parse(entry.path)
    // A name that is not ASCII was not converted, and so has lost nothing.
    if reader.recorder?.hasTagCharacters == true, path.bytes.allSatisfy({ $0 < 0x80 }) {
      throw refuse("its headers have tag characters of Unicode")
    }
    if path.isRoot {
      guard entry.kind == .directory else { throw refuse("the layer's root is no directory") }
      return try noteDirectory(path, descriptor: root)
    }
    for index in 0..<(path.count - 1) {
      switch path.disk(index) {
      case .ordinary: continue
      case .whiteout: throw refuse("its name leads through a whiteout")
      case .opaque, .longWhiteout, .reserved: return try skip(path, index)
      }
    }
    switch path.disk(path.count - 1) {
    case .ordinary: try extractOrdinary(entry, path)
    case .opaque: try makeWhiteout(path)
    case .whiteout(let offset): try extractWhiteout(path, offset)
    case .longWhiteout, .reserved: try skip(path, path.count - 1)
    }
  }

  private func parse(_ text: CName) throws(Failure) -> EntryPath {
    do throws(PathFlaw) { return try EntryPath(text) } catch { throw refuse(error.description) }
  }

  /// aufs's own bookkeeping (`.wh..wh.plnk`) is left out, as Docker leaves it.
  private func skip(_ path: EntryPath, _ index: Int) throws(Failure) {
    if path.part(index).count == 4 { throw refuse("it is the whiteout of an empty name") }
    note("\(shown(path.prefix(index + 1).bytes)) is aufs's own and was left out")
  }

  private func extractOrdinary(_ entry: TarEntry, _ path: EntryPath) throws(Failure) {
    if path.part(path.count - 1).count > nameLimit { throw refuse(PathFlaw.longName.description) }
    if let target = entry.hardLink { return try makeHardLink(path, to: target) }
    switch entry.kind {
    case .regular:
      // Old tars tell a directory by its name alone.
      guard path.endsInSlash else { return try makeFile(path) }
      guard entry.size == 0 else { throw refuse("it is a directory with data") }
      try makeDirectory(path)
    case .directory: try makeDirectory(path)
    case .symbolicLink: try makeSymbolicLink(path, to: entry.symbolicLink)
    case .characterDevice where entry.device == DeviceNumber(major: 0, minor: 0):
      try makeWhiteout(ofOverlay: path)
    case .characterDevice, .blockDevice, .fifo: try makeSpecial(path)
    case .socket: note("\(shown(path.bytes)) is a socket and was left out")
    case .unknown, .whiteout, nil: throw refuse("it is of an unknown kind")
    }
  }

  // MARK: Whiteouts

  private func extractWhiteout(_ path: EntryPath, _ offset: Int) throws(Failure) {
    let name = path.part(path.count - 1)
    let hidden = name.dropFirst(offset)
    if hidden.elementsEqual([0x2E]) || hidden.elementsEqual([0x2E, 0x2E]) {
      throw refuse("it is the whiteout of no name")
    }
    if name.count > nameLimit { return try makeLongWhiteout(path, of: Array(hidden)) }
    try makeWhiteout(path)
  }

  /// A whiteout or a mark of an opaque directory that the tar names: an empty file.
  private func makeWhiteout(_ path: EntryPath) throws(Failure) {
    let entry = reader.entry
    guard entry.hardLink == nil || entry.size == 0, entry.hardLink != nil || entry.kind == .regular,
      entry.size == 0
    else { throw refuse("it is a whiteout but no empty file") }
    // The tar of a branch of aufs may have them as links of one that was left out.
    try makeEmptyFile(path, content: [], FileAttributes(entry))
  }

  /// One whose name does not fit a directory's entry.
  private func makeLongWhiteout(_ path: EntryPath, of hidden: [CChar]) throws(Failure) {
    let entry = reader.entry
    guard entry.size == 0, entry.hardLink != nil || entry.kind == .regular else {
      throw refuse("it is a whiteout but no empty file")
    }
    try makeHiding(path, hidden, FileAttributes(entry))
  }

  /// overlayfs's whiteout, a character device 0/0.
  private func makeWhiteout(ofOverlay path: EntryPath) throws(Failure) {
    var attributes = FileAttributes(reader.entry)
    attributes.permissions = 0o444
    try makeHiding(path, Array(path.part(path.count - 1)), attributes)
  }

  /// Makes a whiteout of that name beside where a path is.
  private func makeHiding(
    _ path: EntryPath, _ hidden: [CChar], _ attributes: FileAttributes
  ) throws(Failure) {
    try (hidden + [0]).withUnsafeBufferPointer { (buffer) throws(Failure) in
      let name = Name(unchecked: buffer.baseAddress.unsafelyUnwrapped, count: hidden.count)
      try name.withWhiteoutName { (onDisk) throws(Failure) in
        var place = path
        place.removeLast()
        place.append([CChar](cString: onDisk).dropLast())
        let content = name.needsLongWhiteout ? hidden.map { UInt8(bitPattern: $0) } : []
        try makeEmptyFile(place, content: content, attributes)
      }
    }
  }

  /// `.wh..wh..opq` where an attribute said so and no entry did.
  private func makeOpaqueMarkers() throws(Failure) {
    for (key, directory) in opaque.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      var path = directory
      path.append([CChar](cString: ReservedName.opaque).dropLast())
      let parent = try make { () throws(Errno) in try trail.open(path, count: path.count - 1) }
      let exists = try make { () throws(Errno) in
        try FileSystemCall.type(at: parent, ReservedName.opaque) != nil
      }
      if exists { continue }
      let time = directories[key]?.modified ?? Timestamp(seconds: 0, nanoseconds: 0)
      try makeEmptyFile(path, content: [], FileAttributes(marker: time))
    }
  }
}
