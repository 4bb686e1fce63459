internal import SystemCalls
internal import SystemPackage

/// Carries the steps of a conversion out, relative to a directory's descriptor.
final class ConversionSteps {
  private let root: CInt
  private let linksWhiteouts: Bool
  /// O_PATH descriptors of a whiteout that others are links to, -1 before there is one.
  private var device: CInt = -1
  private var base: CInt = -1

  init(_ branch: Branch) {
    root = branch.root
    linksWhiteouts = branch.specification.linksWhiteouts
  }

  deinit {
    if device >= 0 { FileSystemCall.close(device) }
    if base >= 0 { FileSystemCall.close(base) }
  }

  func carryOut(_ step: ConversionStep, in directory: CInt) throws(Errno) {
    switch step {
    case .makeDevice(let name, let file):
      try makeDevice(Self.cName(name), in: directory)
      try FileSystemCall.unlink(at: directory, Self.cName(file))
    case .mark(let inner, let file):
      let inside = try FileSystemCall.open(
        at: directory, Self.cName(inner), OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
      defer { FileSystemCall.close(inside) }
      try OverlayMarks.makeOpaque(inside)
      try FileSystemCall.unlink(at: directory, Self.cName(file))
    case .drop(let file): try FileSystemCall.unlink(at: directory, Self.cName(file))
    case .markOpaque:
      try OverlayMarks.makeOpaque(directory)
      try FileSystemCall.unlink(at: directory, ReservedName.opaque)
    case .makeWhiteout(let name):
      let name = Self.cName(name)
      try name.withUnsafeBufferPointer { buffer throws(Errno) in
        guard let start = buffer.baseAddress else { return }
        try makeWhiteout(of: Name(unchecked: start, count: name.count - 1), in: directory)
      }
      try FileSystemCall.unlink(at: directory, name)
    case .makeMarker:
      try makeFile(ReservedName.opaque, in: directory)
      try OverlayMarks.removeOpaque(from: directory)
    case .removeStaged(let name):
      try TreeRemoval.remove(Self.cName(name), in: directory)
    case .unmark: try OverlayMarks.removeOpaque(from: directory)
    }
  }

  static func cName(_ name: [UInt8]) -> [CChar] { name.map { CChar(bitPattern: $0) } + [0] }

  // MARK: overlayfs's

  private func makeDevice(_ name: [CChar], in directory: CInt) throws(Errno) {
    if device >= 0 {
      do throws(Errno) {
        return try FileSystemCall.link(descriptor: device, to: directory, name)
      } catch {
        switch error {
        case .tooManyLinks, .improperLink, .notPermitted, .notSupported: break
        default: throw error
        }
      }
    }
    try FileSystemCall.makeNode(
      at: directory, name, mode: FileKind.characterDevice.modeBits, device: 0)
    if device >= 0 { FileSystemCall.close(device) }
    device = try FileSystemCall.open(at: directory, name, OpenFlag.path | OpenFlag.noFollow)
  }

  // MARK: aufs's

  private func makeWhiteout(of name: Name, in directory: CInt) throws(Errno) {
    if name.needsLongWhiteout {
      if try hasWhiteout(of: name, in: directory) { return }
      return try makeLong(name, in: directory)
    }
    try name.withWhiteoutName { whiteout throws(Errno) in try makeFile(whiteout, in: directory) }
  }

  private func makeFile(_ name: CName, in directory: CInt) throws(Errno) {
    do throws(Errno) {
      if linksWhiteouts {
        do throws(Errno) {
          return try FileSystemCall.link(descriptor: try theBase(), to: directory, name)
        } catch {
          switch error {
          case .tooManyLinks:
            // The next ones are links to a new one.
            FileSystemCall.close(base)
            base = -1
            try FileSystemCall.unlink(at: root, ReservedName.whiteoutBase)
          case .improperLink, .notPermitted, .notSupported: break
          default: throw error
          }
        }
      }
      try Whiteouts.makeEmptyFile(at: directory, name)
    } catch { if error != .fileExists { throw error } }
  }

  private func theBase() throws(Errno) -> CInt {
    if base >= 0 { return base }
    do throws(Errno) { try Whiteouts.makeEmptyFile(at: root, ReservedName.whiteoutBase) } catch {
      if error != .fileExists { throw error }
    }
    base = try FileSystemCall.open(
      at: root, ReservedName.whiteoutBase, OpenFlag.path | OpenFlag.noFollow)
    return base
  }

  /// The name is its content, so it is staged beside and renamed; over one that holds no name, too.
  private func makeLong(_ name: Name, in directory: CInt) throws(Errno) {
    try WorkArea.withName(ProcessCall.nanoseconds, isHere: false) { fresh throws(Errno) in
      let file = try FileSystemCall.open(
        at: directory, fresh,
        OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive | OpenFlag.noFollow, mode: 0o444)
      defer { FileSystemCall.close(file) }
      let count = try FileSystemCall.write(file, from: UnsafeRawBufferPointer(name.bytes), at: 0)
      if count != name.count { throw Errno.noSpace }
      try FileSystemCall.changeMode(of: file, 0o444)
      try FileSystemCall.syncData(file)
      try name.withWhiteoutName { whiteout throws(Errno) in
        try FileSystemCall.rename(at: directory, fresh, to: directory, whiteout)
      }
    }
  }

  // MARK: Trying

  /// Makes what a conversion needs in a directory of its own at the branch's root, and takes it away: what
  /// this user or file system cannot do is known before anything is changed.
  func tryOut(_ steps: Set<Trial>) throws(Errno) {
    if steps.isEmpty { return }
    try Remedies.keepingTimes(of: root) { () throws(Errno) in
      try WorkArea.withName(ProcessCall.nanoseconds, isHere: false) { fresh throws(Errno) in
        try FileSystemCall.makeDirectory(at: root, fresh, mode: 0o700)
        defer { try? TreeRemoval.remove([CChar](cString: fresh), in: root) }
        let place = try FileSystemCall.open(
          at: root, fresh, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
        defer { FileSystemCall.close(place) }
        if steps.contains(.attribute) { try OverlayMarks.makeOpaque(place) }
        if steps.contains(.device) {
          try FileSystemCall.makeNode(
            at: place, Self.cName([0x77]), mode: FileKind.characterDevice.modeBits, device: 0)
        }
      }
    }
  }

  enum Trial: Sendable {
    case attribute, device
  }
}
