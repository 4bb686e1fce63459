internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// A name beside an output for what is not to be seen yet: `.NAME.unionfs-swift.NUMBER`. What lies there is
/// locked (flock(2)) while somebody fills it; what a kill has left goes when the same output is written the
/// next time.
struct StagedName {
  /// A C string that nobody else uses.
  let bytes: [CChar]

  private static let count = Atomic<UInt64>(0)

  init(for name: [CChar]) {
    let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
    let own = "\(Invocation.process).\(ProcessCall.nanoseconds).\(number)"
    bytes = Self.head(of: name) + own.utf8.map { CChar(bitPattern: $0) } + [0]
  }

  /// What the names for one output begin with. Long ones are cut, so that they stay names.
  private static func head(of name: [CChar]) -> [CChar] {
    let mark = ".unionfs-swift.".utf8.map { CChar(bitPattern: $0) }
    return [CChar(bitPattern: UInt8(ascii: "."))] + name.prefix { $0 != 0 }.prefix(150) + mark
  }

  /// Removes what commands that were killed have left of an output.
  static func clear(_ name: [CChar], in directory: CInt) {
    let head = head(of: name)
    var left: [[CChar]] = []
    try? forEachEntry(of: directory) { (name, _, _) throws(Errno) in
      if name.starts(with: head) { left.append(Array(name) + [0]) }
      return true
    }
    for name in left {
      let flags = OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking
      guard let file = try? FileSystemCall.open(at: directory, name, flags) else { continue }
      defer { FileSystemCall.close(file) }
      guard (try? FileSystemCall.lockExclusively(file)) != nil else { continue }
      try? TreeRemoval.remove(name, in: directory)
    }
  }

  /// Locks what was just made under a name; false where somebody has taken it for a leftover meanwhile.
  static func take(_ descriptor: CInt) throws(Errno) -> Bool {
    do throws(Errno) { try FileSystemCall.lockExclusively(descriptor) } catch {
      if error == .wouldBlock { return false }
      // A file system without locks: nobody takes anything away there either.
      return true
    }
    return try FileSystemCall.status(of: descriptor).linkCount > 0
  }
}
