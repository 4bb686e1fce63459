internal import SystemPackage
internal import UnionCore

/// What stands after `-o` on a fuse-overlayfs command line: overlayfs's directories and
/// fuse-overlayfs's options, told in this program's own words where it has them.
struct OverlayOptions: Equatable {
  /// Topmost first.
  var lower: [FilePath] = []
  var upper: FilePath?
  var work: FilePath?
  var owners = OwnerMapping()
  /// What tells the owners of the upper directory in the place of its files.
  var upperOwners = OwnerSource.disk
  /// For `MountOptions`, escaped.
  var words: [[UInt8]] = []
  private var squashesToRoot = false
  /// For the log: what was accepted without a meaning.
  var notes: [String] = []
  /// For the log: what looks like a mistake.
  var warnings: [String] = []

  init(_ lists: [[UInt8]]) throws(Failure) {
    for list in lists {
      for word in Self.split(list) where !word.isEmpty { try add(word) }
    }
    if squashesToRoot {
      owners.squashedUser = owners.squashedUser ?? 0
      owners.squashedGroup = owners.squashedGroup ?? 0
    }
  }

  /// Cuts at commas. A backslash keeps the next byte from meaning anything, and a value that begins with
  /// a quotation mark goes on to the next one.
  static func split(_ list: [UInt8]) -> [[UInt8]] {
    let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
    var words: [[UInt8]] = [[]]
    var index = 0
    while index < list.count {
      let byte = list[index]
      if byte == backslash, index + 1 < list.count {
        words[words.count - 1] += list[index...(index + 1)]
        index += 2
      } else if byte == quote, words.last?.last == UInt8(ascii: "="),
        let end = list[(index + 1)...].firstIndex(of: quote)
      {
        words[words.count - 1] += list[index...end]
        index = end + 1
      } else {
        if byte == UInt8(ascii: ",") {
          words.append([])
        } else {
          words[words.count - 1].append(byte)
        }
        index += 1
      }
    }
    return words
  }

  private mutating func add(_ word: [UInt8]) throws(Failure) {
    guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else {
      return try addFlag(word)
    }
    let key = String(decoding: word[..<equals], as: UTF8.self)
    let value = Self.withoutQuotes(Array(word[(equals + 1)...]))
    switch key {
    case "lowerdir": lower = Self.paths(value)
    case "lowerdir+": lower += Self.paths(value)
    case "upperdir": upper = try Self.path(value, key)
    case "workdir": work = try Self.path(value, key)
    default: try addValue(key, String(decoding: value, as: UTF8.self), word)
    }
  }

  private mutating func addFlag(_ word: [UInt8]) throws(Failure) {
    let text = String(decoding: word, as: UTF8.self)
    if text == "squash_to_root" {
      squashesToRoot = true
    } else if text == "volatile" {
      words.append(Array("sync=volatile".utf8))
    } else if Self.meaninglessFlags.contains(text) {
      notes.append("the option '\(text)' has no effect here")
    } else {
      words.append(word)
    }
  }

  private mutating func addValue(
    _ key: String, _ value: String, _ word: [UInt8]
  ) throws(Failure) {
    switch key {
    case "fsync", "sync":
      guard let number = Int(value) else { return words.append(word) }
      words.append(Array("sync=\(number == 0 ? "volatile" : "auto")".utf8))
    case "writeback":
      guard let number = Int(value) else { return words.append(word) }
      words.append(Array("writeback=\(number == 0 ? "off" : "auto")".utf8))
    case "redirect_dir" where !["off", "nofollow"].contains(value):
      throw Failure(
        .usage, "'redirect_dir=\(Text.printable(Array(value.utf8)))' is not to be had",
        advice: "leave it out: a directory with lower content is renamed without a redirect")
    case "uidmapping": owners.users = try Self.mapping(value, key)
    case "gidmapping": owners.groups = try Self.mapping(value, key)
    case "squash_to_uid": owners.squashedUser = try Self.id(value, key)
    case "squash_to_gid": owners.squashedGroup = try Self.id(value, key)
    case "xattr_permissions": upperOwners = try Self.upperOwners(value)
    case _ where Self.meaninglessKeys.contains(key):
      notes.append("the option '\(key)=' has no effect here")
    default: words.append(word)
    }
  }

  private static func mapping(_ value: String, _ key: String) throws(Failure) -> IDMapping {
    if let mapping = IDMapping(value) { return mapping }
    throw Failure(
      .usage, "'\(key)=\(Text.printable(Array(value.utf8)))' is no mapping",
      advice:
        "write DISK:SHOWN:COUNT, as often as need be, with colons between; no id may come twice")
  }

  private static func id(_ value: String, _ key: String) throws(Failure) -> UInt32 {
    if let id = UInt32(value), id != UInt32.max { return id }
    throw Failure(
      .usage, "'\(key)=\(Text.printable(Array(value.utf8)))' is no id",
      advice: "write a number below 4294967295")
  }

  private static func upperOwners(_ value: String) throws(Failure) -> OwnerSource {
    switch value {
    case "0": return .disk
    case "1": return .attribute(.privileged)
    case "2": return .detected(else: .containers)
    default:
      throw Failure(
        .usage, "'xattr_permissions=\(Text.printable(Array(value.utf8)))' is unknown",
        advice: "0, 1 and 2 are; see 'man unionfs-swift-overlay'")
    }
  }

  /// Where a path is a colon, comma or backslash, it is escaped by a backslash. Empty parts are left out.
  private static func paths(_ value: [UInt8]) -> [FilePath] {
    EscapedText.split(value, at: UInt8(ascii: ":")).filter { !$0.isEmpty }
      .map { FilePath(bytes: EscapedText.unescape($0)) }
  }

  private static func path(_ value: [UInt8], _ key: String) throws(Failure) -> FilePath {
    if value.isEmpty { throw Failure(.usage, "'\(key)=' names no directory") }
    return FilePath(bytes: EscapedText.unescape(value))
  }

  private static func withoutQuotes(_ value: [UInt8]) -> [UInt8] {
    let quote = UInt8(ascii: "\"")
    guard value.count >= 2, value.first == quote, value.last == quote else { return value }
    return Array(value.dropFirst().dropLast())
  }

  /// Of fuse-overlayfs, of overlayfs, of mount(8) for the tree that the mount is put into, and of older
  /// versions of libfuse.
  private static let meaninglessFlags: Set<String> = [
    "ino32_t", "userxattr", "kernel_cache", "splice_read", "splice_write", "splice_move",
    "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable",
    "bind", "rbind",
  ]

  /// `context` and its kin are fuse-overlayfs's: the label is whatever the policy gives to FUSE.
  private static let meaninglessKeys: Set<String> = [
    "timeout", "threaded", "fast_ino", "fast_ino_check", "noxattrs", "plugins", "redirect_dir",
    "metacopy", "index", "nfs_export", "xino", "uuid", "verity", "max_write", "noatime",
    "context", "fscontext", "defcontext", "rootcontext",
  ]
}
