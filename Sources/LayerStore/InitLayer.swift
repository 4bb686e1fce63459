internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The layer between an image and a container: places for what is mounted over them, so that what the
/// image has there is not changed. As Docker makes them through a mount of that layer, without one.
enum InitLayer {
  private enum Placeholder {
    case directory
    case file
    case link(to: String)
  }

  private struct Place {
    let name: String
    let inside: [(String, Placeholder)]
  }

  /// Docker's list. What lies in the root itself comes last.
  private static let places: [Place] = [
    Place(
      name: "dev", inside: [("pts", .directory), ("shm", .directory), ("console", .file)]),
    Place(
      name: "etc",
      inside: [
        ("hostname", .file), ("hosts", .file), ("mtab", .link(to: "/proc/mounts")),
        ("resolv.conf", .file),
      ]),
  ]
  private static let inRoot: [(String, Placeholder)] = [
    ("proc", .directory), ("sys", .directory), (".dockerenv", .file),
  ]

  /// Fills an empty layer.
  ///
  /// - Parameter below: the directories of the layers that it lies on, topmost first.
  static func fill(_ layer: StoreDirectory, below: [StoreDirectory]) throws(Errno) {
    let image = try MergedDirectory(root: below)
    for place in places { try fill(place, layer, image) }
    for (name, placeholder) in inRoot { try make(placeholder, name.name, in: layer, image) }
  }

  private static func fill(
    _ place: Place, _ layer: StoreDirectory, _ image: MergedDirectory
  ) throws(Errno) {
    let name = place.name.name
    let found = try image.find(name)
    let made = try layer.make(name, mode: 0o755)
    switch found {
    case .directory(let lower):
      for (inside, placeholder) in place.inside {
        try make(placeholder, inside.name, in: made, lower)
      }
      // Last: an unprivileged owner may have no right to write there.
      let (holder, attributes) = try image.attributes(of: name, in: lower)
      try DirectoryAttributes.copy(at: holder, name, attributes, to: made.descriptor)
    case .absent, .other:
      // Docker takes away what is no directory there, a link too, and aufs makes the new one opaque.
      if case .other = found { try made.write(".wh..wh..opq".name, [], mode: 0o444) }
      for (inside, placeholder) in place.inside {
        try make(placeholder, inside.name, in: made, MergedDirectory.empty)
      }
    }
  }

  /// Nothing where the image has a directory; a file or link of it is covered.
  private static func make(
    _ placeholder: Placeholder, _ name: [CChar], in directory: StoreDirectory,
    _ image: MergedDirectory
  ) throws(Errno) {
    let found = try image.find(name)
    if case .directory = found { return }
    switch placeholder {
    case .directory:
      let made = try directory.make(name, mode: 0o755)
      if case .other = found { try made.write(".wh..wh..opq".name, [], mode: 0o444) }
    case .file: try directory.write(name, [], mode: 0o755)
    case .link(let target):
      try FileSystemCall.makeSymbolicLink(at: directory.descriptor, name, to: target)
    }
  }
}

/// A directory as the layers together show it.
struct MergedDirectory {
  enum Found {
    case absent
    case directory(MergedDirectory)
    /// Something else; a link is not followed.
    case other
  }

  static let empty = MergedDirectory(parts: [])

  /// The topmost first, each opened with O_PATH.
  private let parts: [StoreDirectory]

  private init(parts: [StoreDirectory]) { self.parts = parts }

  /// The root of a union.
  init(root layers: [StoreDirectory]) throws(Errno) {
    var parts: [StoreDirectory] = []
    for layer in layers {
      parts.append(layer)
      if try isOpaque(layer.descriptor) { break }
    }
    self.parts = parts
  }

  func find(_ name: [CChar]) throws(Errno) -> Found {
    if parts.isEmpty { return .absent }
    let resolution = try name.withUnsafeBufferPointer { bytes throws(Errno) -> Resolution? in
      guard let base = bytes.baseAddress else { return nil }
      let directories = parts.map { (descriptor: $0.descriptor, honoursWhiteouts: true) }
      return try resolve(DirectoryProbe(try Name(base), in: directories))
    }
    guard let resolution else { return .absent }
    guard resolution.type == .directory else { return .other }
    var merged: [StoreDirectory] = []
    for position in resolution.merged {
      let part = parts[position]
      let flags = OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow
      let opened = StoreDirectory(
        descriptor: try FileSystemCall.open(at: part.descriptor, name, flags),
        path: part.path(name))
      merged.append(opened)
      if try isOpaque(opened.descriptor) { break }
    }
    return .directory(MergedDirectory(parts: merged))
  }

  /// The names that the union shows in it.
  func names() throws(Errno) -> [[CChar]] {
    var names: Set<[CChar]> = []
    for part in parts { names.formUnion(try part.names()) }
    var shown: [[CChar]] = []
    for name in names where !name.text.hasPrefix(".wh.") {
      if case .absent = try find(name) { continue }
      shown.append(name)
    }
    return shown
  }

  /// What the union shows of a directory in this one, and the descriptor that it lies under.
  func attributes(
    of name: [CChar], in found: MergedDirectory
  ) throws(Errno) -> (holder: CInt, Attributes) {
    guard let top = found.parts.first else { throw Errno.noSuchFileOrDirectory }
    let attributes = try FileSystemCall.status(of: top.descriptor)
    for part in parts {
      if let own = try FileSystemCall.statusIfThere(at: part.descriptor, name),
        own.inode == attributes.inode, own.device == attributes.device
      {
        return (part.descriptor, attributes)
      }
    }
    throw Errno.noSuchFileOrDirectory
  }
}
