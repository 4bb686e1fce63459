public import SystemCalls
public import SystemPackage

// How kernel overlayfs and fuse-overlayfs write on disk that a name is gone or a directory opaque, and
// how that is read back. docs/on-disk-format.md.

/// The ways to write a whiteout. A branch may hold both of one name.
public struct WhiteoutForms: OptionSet, Sendable, Equatable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// `.wh.NAME` beside the name.
  public static let aufs = WhiteoutForms(rawValue: 1)
  /// A character device 0/0 in the name's place.
  public static let overlay = WhiteoutForms(rawValue: 2)
}

/// What overlayfs's extended attributes say of a file or directory of a branch.
public struct OverlayMarks: Sendable, Equatable {
  /// Nothing below shows in the directory (`opaque` is `y`).
  public var isOpaque = false
  /// Empty files in the directory may be whiteouts (`opaque` is `x`).
  public var holdsMarkedWhiteouts = false
  /// An empty file that is a whiteout where its directory holds such (`whiteout`).
  public var isWhiteout = false
  /// What lies below the directory lies there under another path (`redirect`).
  public var isRedirected = false
  /// The file's content is that of a file below (`metacopy`).
  public var isMetacopy = false

  public init() {}

  /// Reads them by one listing, and by one call more for each that is there. Empty where the file system
  /// has no attributes or the file may not be looked into.
  public init(at directory: CInt, _ name: CName) throws(Errno) {
    self.init()
    try Self.forEachKey(at: directory, name) { key, mark throws(Errno) in
      switch mark {
      case .opaque:
        switch try Self.value(of: key, at: directory, name) {
        case UInt8(ascii: "y"): isOpaque = true
        case UInt8(ascii: "x"): holdsMarkedWhiteouts = true
        default: break
        }
      case .whiteout: isWhiteout = true
      case .redirect: isRedirected = true
      case .metacopy: isMetacopy = true
      case .other: break
      }
    }
  }
}

extension OverlayMarks {
  /// nil where the root's file system has no attributes.
  init?(ofRoot root: CInt) throws(Errno) {
    do throws(Errno) {
      let empty = UnsafeMutableBufferPointer<CChar>(start: nil, count: 0)
      _ = try FileSystemCall.listExtendedAttributes(at: root, ReservedName.here, into: empty)
    } catch {
      if error == .notSupported || error == .notSupportedOnSocket || error == .noFunction {
        return nil
      }
    }
    try self.init(at: root, ReservedName.here)
  }
}

extension OverlayMarks {
  /// Makes a directory opaque to overlayfs; to one with `userxattr` where this server may not write what
  /// others read.
  ///
  /// - Parameter directory: any descriptor of it.
  public static func makeOpaque(_ directory: CInt) throws(Errno) {
    do throws(Errno) { try setOpaque("trusted.overlay.opaque", of: directory) } catch {
      guard error == .notPermitted else { throw error }
      try setOpaque("user.overlay.opaque", of: directory)
    }
  }

  private static func setOpaque(_ key: StaticString, of directory: CInt) throws(Errno) {
    try [UInt8(ascii: "y")].withBytes { value throws(Errno) in
      try FileSystemCall.setExtendedAttribute(
        at: directory, ReservedName.here, key: borrowedName(key), to: value)
    }
  }

  /// Takes away what makes a directory opaque to overlayfs.
  ///
  /// - Parameter directory: any descriptor of it.
  public static func removeOpaque(from directory: CInt) throws(Errno) {
    var keys: [[CChar]] = []
    try forEachKey(at: directory, ReservedName.here) { key, mark in
      if case .opaque = mark { keys.append(Array(cString: key)) }
    }
    for key in keys {
      try FileSystemCall.removeExtendedAttribute(at: directory, ReservedName.here, key: key)
    }
  }
}

/// The extended attributes that overlayfs and fuse-overlayfs keep for themselves.
public enum OverlayAttribute: Sendable {
  case opaque, whiteout, redirect, metacopy, other

  static let prefixes: [StaticString] = [
    "trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.",
  ]

  /// nil for what is none.
  public init?(_ key: CName) {
    guard let prefix = Self.prefixes.first(where: { hasPrefix(key, $0) }) else {
      return nil
    }
    let rest = key + prefix.utf8CodeUnitCount
    if isEqual(rest, "opaque") {
      self = .opaque
    } else if isEqual(rest, "whiteout") {
      self = .whiteout
    } else if isEqual(rest, "redirect") {
      self = .redirect
    } else if isEqual(rest, "metacopy") {
      self = .metacopy
    } else {
      self = .other
    }
  }
}

extension OverlayMarks {
  /// Calls `body` with each of the attributes that a file has.
  static func forEachKey(
    at directory: CInt, _ name: CName,
    _ body: (CName, OverlayAttribute) throws(Errno) -> Void
  ) throws(Errno) {
    var room = 512
    while true {
      // Mostly there is none, and nothing is allocated.
      let outcome: Result<Bool, Errno> = withUnsafeTemporaryAllocation(
        of: CChar.self, capacity: room
      ) { buffer in
        do throws(Errno) {
          let count = try Self.list(at: directory, name, into: buffer)
          guard let count else { return .success(false) }
          try Self.visit(buffer, count, body)
          return .success(true)
        } catch { return .failure(error) }
      }
      if try outcome.get() { return }
      room = 1 << 16
    }
  }

  /// nil where the room is too small.
  private static func list(
    at directory: CInt, _ name: CName, into buffer: UnsafeMutableBufferPointer<CChar>
  ) throws(Errno) -> Int? {
    do throws(Errno) {
      return try FileSystemCall.listExtendedAttributes(at: directory, name, into: buffer)
    } catch {
      switch error {
      case .outOfRange where buffer.count < 1 << 16: return nil
      case .notSupported, .notSupportedOnSocket, .noFunction, .permissionDenied, .notPermitted,
        .noSuchFileOrDirectory, .notDirectory:
        return 0
      default: throw error
      }
    }
  }

  private static func visit(
    _ buffer: UnsafeMutableBufferPointer<CChar>, _ count: Int,
    _ body: (CName, OverlayAttribute) throws(Errno) -> Void
  ) throws(Errno) {
    guard let base = buffer.baseAddress else { return }
    var at = 0
    while at < count {
      let key = UnsafePointer(base + at)
      if let mark = OverlayAttribute(key) { try body(key, mark) }
      while at < count, base[at] != 0 { at += 1 }
      at += 1
    }
  }

  /// An attribute of one byte; 0 for any other, as overlayfs takes it.
  private static func value(
    of key: CName, at directory: CInt, _ name: CName
  ) throws(Errno) -> UInt8 {
    var value = [UInt8](repeating: 0, count: 1)
    do throws(Errno) {
      let count = try value.withMutableBytes { room throws(Errno) in
        try FileSystemCall.extendedAttribute(at: directory, name, key: key, into: room)
      }
      return count == 1 ? value[0] : 0
    } catch {
      switch error {
      case .noData, .outOfRange, .permissionDenied, .notPermitted, .noSuchFileOrDirectory: return 0
      default: throw error
      }
    }
  }
}

extension Attributes {
  /// overlayfs's whiteout: a character device 0/0.
  @inlinable public var isOverlayWhiteout: Bool { mode & 0xF000 == 0x2000 && specialDevice == 0 }

  /// Whether the file may be one of which overlayfs has copied all but the content: none of it is here,
  /// apart from a block of attributes.
  var mayBeMetacopy: Bool {
    isRegular && (blocks == 0 || blocks == 8) && size > blocks * 512
  }
}

extension FileKind {
  /// Whether what a listing tells may be a whiteout of overlayfs, which only a look at it can tell.
  public func mayBeWhiteout(_ honoursWhiteouts: Bool, _ marks: OverlayMarks) -> Bool {
    switch self {
    case .unknown: true
    case .characterDevice: honoursWhiteouts
    case .regular: honoursWhiteouts && marks.holdsMarkedWhiteouts
    default: false
    }
  }
}

/// The type of a branch's entry, `whiteout` for overlayfs's; nil where there is nothing.
///
/// - Parameter marks: of the directory, where they are known to matter.
public func entryType(
  at directory: CInt, _ name: CName, honoursWhiteouts: Bool, marks: OverlayMarks = OverlayMarks()
) throws(Errno) -> FileKind? {
  guard let found = try FileSystemCall.statusIfThere(at: directory, name) else { return nil }
  return try found.isWhiteout(at: directory, name, honoursWhiteouts: honoursWhiteouts, marks: marks)
    ? .whiteout : found.type
}

extension Attributes {
  /// Whether a branch's entry with these attributes is a whiteout of overlayfs.
  public func isWhiteout(
    at directory: CInt, _ name: CName, honoursWhiteouts: Bool, marks: OverlayMarks
  ) throws(Errno) -> Bool {
    guard honoursWhiteouts else { return false }
    if isOverlayWhiteout { return true }
    guard marks.holdsMarkedWhiteouts, isRegular, size == 0 else { return false }
    return try OverlayMarks(at: directory, name).isWhiteout
  }
}
