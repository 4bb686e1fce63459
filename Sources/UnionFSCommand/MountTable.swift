internal import SystemPackage
internal import UnionCore

/// The mounts of this process's namespace, as /proc/self/mountinfo lists them (proc(5)).
struct MountTable {
  struct Entry: Equatable {
    /// No two mounts have the same; a number comes again when its mount is gone.
    var id: String
    var mountPoint: FilePath
    /// `fuse.unionfs-swift`.
    var type: String
    var source: String
    /// `MAJOR:MINOR`, shared by all mounts of one file system.
    var device: String

    /// Whether this program serves it. `-o subtype=` changes the type, `-o fsname=` the source.
    var isOurs: Bool {
      type == "fuse.unionfs-swift" || (type.hasPrefix("fuse") && source == "unionfs-swift")
    }

    /// The device's minor number, by which the kernel knows a FUSE connection.
    var connection: String { String(device.drop { $0 != ":" }.dropFirst()) }
  }

  /// In the order of mounting.
  var entries: [Entry]

  init(_ mountinfo: [UInt8]) {
    entries = mountinfo.split(separator: UInt8(ascii: "\n")).compactMap { Self.entry($0) }
  }

  static func current() throws(Failure) -> MountTable {
    do {
      return MountTable(try Disk.read("/proc/self/mountinfo", limit: 64 << 20) ?? [])
    } catch {
      throw Disk.failure(error, "/proc/self/mountinfo")
    }
  }

  /// The mount that a path shows; several may be stacked there.
  func topmost(at path: FilePath) -> Entry? { entries.last { $0.mountPoint == path } }

  private static func entry(_ line: ArraySlice<UInt8>) -> Entry? {
    let fields = line.split(separator: UInt8(ascii: " "))
    // Any number of optional fields stands before the dash.
    guard let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }),
      dash >= 6, fields.count > dash + 2
    else { return nil }
    return Entry(
      id: text(fields[0]), mountPoint: FilePath(bytes: OctalEscape.unescape(fields[4])),
      type: text(fields[dash + 1]), source: text(fields[dash + 2]), device: text(fields[2]))
  }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: OctalEscape.unescape(field), as: UTF8.self)
  }
}
