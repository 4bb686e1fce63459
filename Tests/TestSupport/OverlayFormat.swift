internal import Glibc

// overlayfs's whiteouts and opaque directories, as they are on disk.

/// The attributes by which kernel overlayfs (as root and in a user namespace) and fuse-overlayfs make a
/// directory opaque.
public let opaqueAttributes = [
  "trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque",
]

extension Status {
  /// A character device 0/0.
  public var isOverlayWhiteout: Bool { kind == .character && rdev == 0 }
}

extension Path {
  /// Whether an attribute makes the directory opaque.
  public var isMarkedOpaque: Bool {
    get throws(Errno) {
      let names: [String]
      do throws(Errno) { names = try attributes() } catch {
        if error == .notSupported { return false }
        throw error
      }
      for name in names where opaqueAttributes.contains(name) {
        if try attribute(name) == Array("y".utf8) { return true }
      }
      return false
    }
  }
}

extension Node {
  /// As a mount shows it.
  var withoutOverlayAttributes: Node {
    let prefixes = ["trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."]
    return Node(
      path: path, status: status, listed: listed, content: content,
      attributes: attributes.filter { entry in !prefixes.contains { entry.key.hasPrefix($0) } })
  }

  /// The line of the whiteout of aufs that says the same; the node's own for anything else.
  var lineOfAufs: String {
    guard status.isOverlayWhiteout else { return line }
    let folder = path.parent.bytes.isEmpty ? "" : "\(path.parent)/"
    let name = "\(Path(bytes: path.name))"
    return path.name.count > 251 ? "\(folder).wh..wh.long.=\(name)" : "\(folder).wh.\(name)"
  }
}

extension Item {
  /// A whiteout of overlayfs, whatever the run writes.
  public static func device(_ path: Path) -> Item { .special(path, .character, mode: 0) }

  /// A directory that an attribute makes opaque.
  public static func marked(_ path: Path, by attribute: String = opaqueAttributes[0]) -> Item {
    Item.directory(path).attribute(attribute, "y")
  }
}
