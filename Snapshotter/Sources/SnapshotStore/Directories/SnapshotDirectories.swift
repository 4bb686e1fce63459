internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The folder of the snapshots' directories:
///
///     17/fs/      the layer: what an active snapshot's union has on top, or a committed one's content
///     17/work     for an active snapshot: what its union keeps besides the layer
///     new-18/     being made; renamed to 18 when it is complete
///     gone-16/    removed; being deleted
///
/// Every name is made of a number here. A directory whose number is not in the database is nobody's.
final class SnapshotDirectories: Sendable {
  /// What a name in the folder is.
  enum Entry: Equatable {
    case snapshot(SnapshotID)
    /// Staged, or put aside.
    case leftover
    /// Not ours: a file system's lost+found, say.
    case foreign
  }

  let descriptor: CInt

  /// Takes the descriptor over.
  init(descriptor: CInt) { self.descriptor = descriptor }

  deinit { FileSystemCall.close(descriptor) }

  static func name(_ id: SnapshotID) -> String { String(id.number) }

  static func entry(_ name: String) -> Entry {
    if let number = number(name) { return .snapshot(SnapshotID(number)) }
    for prefix in ["new-", "gone-"] where name.hasPrefix(prefix) {
      let rest = name.dropFirst(prefix.count).split(
        separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
      if rest.allSatisfy({ number($0) != nil }) { return .leftover }
    }
    return .foreign
  }

  /// A number as `name` writes it.
  private static func number(_ text: some StringProtocol) -> Int64? {
    guard let number = Int64(text), number > 0, String(number) == text else { return nil }
    return number
  }

  /// The names in the folder; those that are not UTF-8, which ours are, are left out.
  func names() throws(Errno) -> [String] {
    var names: [String] = []
    try forEachEntry(of: descriptor) { bytes, _, _ in
      if let name = String(validating: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self) {
        names.append(name)
      }
      return true
    }
    return names
  }

  /// A snapshot's layer, to read. The descriptor is the caller's to close.
  func openContent(of id: SnapshotID) throws(Errno) -> CInt {
    let outer = try open(Self.name(id), in: descriptor)
    defer { FileSystemCall.close(outer) }
    return try open("fs", in: outer)
  }

  func open(_ name: String, in directory: CInt) throws(Errno) -> CInt {
    try FileSystemCall.open(
      at: directory, name, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
  }
}
