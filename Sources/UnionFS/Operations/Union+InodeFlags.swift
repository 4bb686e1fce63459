internal import FUSE
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// chattr(1) and lsattr(1): the flags are those of the file on disk. The kernel has checked the caller,
// and CAP_LINUX_IMMUTABLE for the flags that protect a file; it does not know what they forbid, so
// that is checked here where the file system of the top branch would not.

/// The ioctls that the kernel sends for them.
enum FlagRequest: UInt32 {
  /// FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, four bytes.
  case getFlags = 0x8008_6601
  case setFlags = 0x4008_6602
  /// FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR, a struct fsxattr of 28 bytes.
  case getExtended = 0x801C_581F
  case setExtended = 0x401C_5820

  var size: Int { self == .getFlags || self == .setFlags ? 4 : 28 }
  var changes: Bool { self == .setFlags || self == .setExtended }
}

extension Union {
  /// The answer's length in `output`.
  func controlFlags(
    _ request: FlagRequest, of node: UInt64, input: UnsafeRawBufferPointer,
    output: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let slot = try slot(node)
    let isDirectory = kind(slot) == .directory
    guard isDirectory || kind(slot) == .regular else { throw Errno.inappropriateIOCTLForDevice }
    var argument = [UInt8](repeating: 0, count: 32)
    if request.changes {
      guard input.count >= request.size else { throw Errno.invalidArgument }
      for index in 0..<request.size { argument[index] = input[index] }
      try copyUp(slot, allowsProtected: true)
    } else if output.count < request.size {
      throw Errno.invalidArgument
    }
    let descriptor = try withPlace(slot) { place throws(Errno) in
      isDirectory
        ? try FileSystemCall.open(
          at: place.directory, place.isUnnamed ? ReservedName.here : place.name,
          OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
        : try openContent(place, write: false).descriptor
    }
    defer { FileSystemCall.close(descriptor) }
    try FileSystemCall.control(descriptor, UInt(request.rawValue), &argument)
    if request.changes {
      didProtect(slot, try FileSystemCall.status(of: descriptor))
      // The kernel does not know that the change time has moved.
      Session.forgetAttributes(of: node)
      return 0
    }
    output.copyBytes(from: argument[..<request.size])
    return request.size
  }

  private func didProtect(_ slot: UInt32, _ attributes: Attributes) {
    if let directory = nodes.lock.whileLocked({ try? nodes.directory(at: slot) }) {
      directory.protection = Protection(attributes)
    } else {
      let file = openFile(slot)
      file.mayBeProtected.store(true, ordering: .relaxed)
      letGo(file, slot)
    }
  }

  /// EPERM where an open for writing, or a truncation, is what the flags forbid.
  func checkProtection(_ attributes: Attributes, flags: CInt) throws(Errno) {
    let onlyAppends = flags & OpenFlag.append != 0 && flags & OpenFlag.truncate == 0
    if attributes.isImmutable || (attributes.isAppendOnly && !onlyAppends) {
      throw Errno.notPermitted
    }
  }
}

/// What chattr(1) forbids in a directory.
struct Protection: OptionSet {
  let rawValue: UInt8
  static let immutable = Protection(rawValue: 1)
  static let appendOnly = Protection(rawValue: 2)

  init(rawValue: UInt8) { self.rawValue = rawValue }
  init(_ attributes: Attributes) {
    self.init()
    if attributes.isImmutable { insert(.immutable) }
    if attributes.isAppendOnly { insert(.appendOnly) }
  }
}

extension Directory {
  /// EPERM where no name may come.
  func checkMayAdd() throws(Errno) {
    if protection.contains(.immutable) { throw Errno.notPermitted }
  }

  /// EPERM where no name may go.
  func checkMayRemove() throws(Errno) {
    if !protection.isEmpty { throw Errno.notPermitted }
  }
}
