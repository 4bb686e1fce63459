internal import SystemCalls
internal import SystemPackage

/// A place in a branch's tree: one descriptor, moved down by name and up by `..`. No path is built and
/// no symbolic link followed. A directory that was moved away meanwhile is told by its identity; the
/// way is then walked again from the root.
final class BranchCursor {
  private struct Step {
    var name: [CChar]
    var above: Identity
  }

  private struct Identity: Equatable {
    var device: UInt64
    var inode: UInt64
  }

  private let root: CInt
  /// The root's own is the branch's to close.
  private(set) var descriptor: CInt
  private var identity: Identity
  private var steps: [Step] = []
  private let rootDevice: UInt64
  /// Whether a directory on another file system than the root's was met.
  private(set) var sawOtherDevice = false

  init(_ branch: Branch) {
    root = branch.root
    descriptor = branch.root
    rootDevice = branch.rootAttributes.device
    identity = Identity(
      device: branch.rootAttributes.device, inode: branch.rootAttributes.inode)
  }

  deinit { if descriptor != root { FileSystemCall.close(descriptor) } }

  func enter(_ name: [UInt8]) throws(Errno) {
    let name = name.map { CChar(bitPattern: $0) } + [0]
    let (next, found) = try Self.open(name, in: descriptor)
    if found.device != rootDevice { sawOtherDevice = true }
    steps.append(Step(name: name, above: identity))
    move(to: next, found)
  }

  func leave() throws(Errno) {
    guard let step = steps.popLast() else { return }
    if steps.isEmpty { return move(to: root, step.above) }
    if let (above, found) = try? Self.open([0x2E, 0x2E, 0], in: descriptor) {
      if found == step.above { return move(to: above, found) }
      FileSystemCall.close(above)
    }
    try walkAgain(to: step.above)
  }

  private func walkAgain(to wanted: Identity) throws(Errno) {
    move(to: root, wanted)
    var found = wanted
    for step in steps {
      let next = try Self.open(step.name, in: descriptor)
      found = next.1
      move(to: next.0, found)
    }
    if found != wanted { throw Errno.staleNFSFileHandle }
  }

  private func move(to next: CInt, _ identity: Identity) {
    if descriptor != root { FileSystemCall.close(descriptor) }
    descriptor = next
    self.identity = identity
  }

  /// EACCES where names in it cannot be looked at.
  private static func open(_ name: [CChar], in directory: CInt) throws(Errno) -> (CInt, Identity) {
    let next = try FileSystemCall.open(
      at: directory, name, OpenFlag.path | OpenFlag.directory | OpenFlag.noFollow)
    do throws(Errno) {
      let attributes = try FileSystemCall.status(at: next, ReservedName.here)
      return (next, Identity(device: attributes.device, inode: attributes.inode))
    } catch {
      FileSystemCall.close(next)
      throw error
    }
  }
}

extension DirectoryListing {
  /// Reads a directory of a branch.
  init(of directory: CInt, _ branch: Branch) throws(Errno) {
    self.init()
    marks = try branch.marks(of: directory)
    let marks = marks
    let honours = branch.honoursWhiteouts
    var longNames: [[UInt8]] = []
    try UnionCore.forEachEntry(of: directory) { bytes, kind, inode throws(Errno) in
      var kind = kind
      if kind.mayBeWhiteout(honours, marks), let base = bytes.baseAddress {
        guard
          let told = try entryType(at: directory, base, honoursWhiteouts: honours, marks: marks)
        else { return true }
        kind = told
      }
      let name = bytes.lazy.map { UInt8(bitPattern: $0) }
      switch DiskName(bytes) {
      case .ordinary where kind == .whiteout: addWhiteout(inPlace: Array(name))
      case .ordinary: add(name, kind: kind, inode: inode)
      case .whiteout: addWhiteout(Array(name), kind: kind)
      case .longWhiteout:
        if kind == .regular {
          longNames.append(Array(name))
        } else {
          addLongWhiteout(Array(name), content: nil)
        }
      case .opaque: addOpaque(kind: kind)
      case .reserved: addReserved(Array(name), kind: kind)
      }
      return true
    }
    for name in longNames {
      addLongWhiteout(name, content: try Self.content(of: name, in: directory))
    }
  }

  /// The first 256 bytes.
  static func content(of name: [UInt8], in directory: CInt) throws(Errno) -> [UInt8] {
    let file = try FileSystemCall.open(
      at: directory, name.map { CChar(bitPattern: $0) } + [0],
      OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
    defer { FileSystemCall.close(file) }
    var content = [UInt8](repeating: 0, count: nameLimit + 1)
    let count = try content.withMutableBytes { room throws(Errno) in
      try FileSystemCall.read(file, into: room, at: 0)
    }
    return Array(content.prefix(count))
  }
}
