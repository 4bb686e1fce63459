internal import UnionCore
internal import UnionFS

/// What stands after `-o`, over all its occurrences; later words win over earlier ones.
///
/// Words are joined by `,`; `\,` is a comma inside one.
struct MountOptions: Equatable {
  var readOnly = false
  var durability = UnionConfiguration.Durability.auto
  var directoryRename = UnionConfiguration.DirectoryRename.materialise
  var whiteouts = WhiteoutFormat.aufs
  var passthrough = UnionConfiguration.Passthrough.auto
  var writeback = UnionConfiguration.Writeback.auto
  var readers = UnionConfiguration.Readers.coherent
  var serving = UnionConfiguration.Serving.near
  var owners = Owners.disk
  /// What tells a file's owner, mode and type.
  enum Owners: String, CaseIterable {
    case disk, xattr
  }

  /// Whiteouts are shown, as aufs's `shwh` does; for read-only mounts.
  var showsWhiteouts = false
  /// statfs(2) adds the branches' file systems up, as aufs's `sum` does.
  var sumsFileSystems = false
  /// Without, POSIX ACLs neither hold nor are seen.
  var hasACLs = true
  /// fuse-overlayfs's `static_nlink`.
  var directoriesHaveOneLink = false
  /// What follows `br:`, escapes and all; nil where branches are named another way.
  var branches: [UInt8]?
  /// Words for libfuse and the kernel, in order, without `ro` and `rw`.
  private(set) var flags: [String] = []
  private(set) var values: [String: String] = [:]
  /// What was accepted and means nothing here; for the log.
  private(set) var notes: [String] = []
  /// What is not known, or not to be had, and was left out; for the log.
  private(set) var warnings: [String] = []
  private var isTolerant = false

  init() {}

  /// Single words, of which those that are not known are left out with a warning: clients pass what was
  /// meant for others. A known one with a wrong value is an error.
  init(tolerant words: [[UInt8]]) throws(Failure) {
    isTolerant = true
    for word in words { try add(word) }
    // The second of the two was asked for, the first is a client's default.
    if let last = flags.last(where: { $0 == "allow_root" || $0 == "allow_other" }) {
      flags.removeAll { ($0 == "allow_root" || $0 == "allow_other") && $0 != last }
    }
  }

  /// Reads the lists one after the other. A sloppy reader (`mount -s`) is tolerant too.
  init(_ lists: [[UInt8]], sloppy: Bool = false) throws(Failure) {
    isTolerant = sloppy
    for list in lists {
      for word in EscapedText.split(list, at: UInt8(ascii: ",")) where !word.isEmpty {
        try add(word)
      }
    }
    if flags.contains("allow_root"), flags.contains("allow_other") {
      throw Failure(.usage, "allow_root and allow_other exclude each other")
    }
  }

  private mutating func add(_ word: [UInt8]) throws(Failure) {
    for prefix in ["br:", "br=", "dirs=", "dirs:"] where word.starts(with: prefix.utf8) {
      return try setBranches(Array(word.dropFirst(prefix.utf8.count)))
    }
    let text = String(decoding: EscapedText.unescape(word), as: UTF8.self)
    if text.hasPrefix("x-") || text.hasPrefix("X-") { return }
    // aufs's live changes are spelt `add:1:DIR`.
    if let colon = text.firstIndex(of: ":"), text.firstIndex(of: "=").map({ colon < $0 }) ?? true {
      let key = String(text[..<colon])
      guard case .refused(let instead) = OptionTable.words[key] else {
        return try leaveOut(text, Self.unknown(text, key: key))
      }
      return try apply(.refused(instead), to: text, key: nil)
    }
    guard let equals = text.firstIndex(of: "=") else { return try addWord(text) }
    try addValue(String(text[..<equals]), String(text[text.index(after: equals)...]), in: text)
  }

  private mutating func setBranches(_ string: [UInt8]) throws(Failure) {
    if branches != nil {
      throw Failure(.usage, "the branches are given twice", advice: "give one 'br:' option")
    }
    branches = string
  }

  private mutating func addWord(_ word: String) throws(Failure) {
    switch word {
    case "ro": readOnly = true
    case "rw": readOnly = false
    case "shwh": showsWhiteouts = true
    case "noshwh": showsWhiteouts = false
    case "sum": sumsFileSystems = true
    case "nosum": sumsFileSystems = false
    case "acl": hasACLs = true
    case "noacl": hasACLs = false
    case "static_nlink": directoriesHaveOneLink = true
    default: try apply(OptionTable.words[word], to: word, key: nil)
    }
  }

  private mutating func addValue(
    _ key: String, _ value: String, in word: String
  ) throws(Failure) {
    switch key {
    case "passthrough": passthrough = try Self.choice(value, of: key)
    case "writeback": writeback = try Self.choice(value, of: key)
    case "readers": readers = try Self.choice(value, of: key)
    case "owners": owners = try Self.choice(value, of: key)
    case "serve": serving = try Self.choice(value, of: key)
    case "whiteout": whiteouts = try Self.choice(value, of: key)
    case "rename": directoryRename = try Self.choice(value, of: key)
    case "sync": durability = try Self.choice(value, of: key)
    case "max_read" where UInt32(value) == nil:
      throw Failure(.usage, "'\(word)' is not a number of bytes")
    default:
      let treatment = OptionTable.valued[key].map { $0[value] } ?? OptionTable.keys[key]
      try apply(treatment, to: word, key: key, value: value)
    }
  }

  private mutating func apply(
    _ treatment: OptionTable.Treatment?, to word: String, key: String?, value: String = ""
  ) throws(Failure) {
    switch treatment {
    case .flag(let opposite):
      flags.removeAll { $0 == word || $0 == opposite }
      flags.append(word)
    case .value:
      if value.isEmpty { throw Failure(.usage, "mount option '\(word)' has no value") }
      values[key ?? word] = value
    case .ignored: break
    case .noted: notes.append("the mount option '\(word)' has no effect here")
    case .refused(let instead):
      try leaveOut(
        word, Failure(.usage, "there is no mount option '\(word)' here", advice: instead))
    case nil: try leaveOut(word, Self.unknown(word, key: key))
    }
  }

  private mutating func leaveOut(_ word: String, _ failure: Failure) throws(Failure) {
    guard isTolerant else { throw failure }
    warnings.append("the option '\(Text.printable(Array(word.utf8)))' is unknown and ignored")
  }

  private static func unknown(_ word: String, key: String?) -> Failure {
    let nearest = OptionTable.nearest(to: key ?? word).map { "did you mean '\($0)'?" }
    return Failure(
      .usage, "unknown mount option '\(word)'",
      advice: nearest ?? "'unionfs-swift mount --help' names them")
  }

  private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ value: String, of key: String
  ) throws(Failure) -> Choice {
    if let choice = Choice(rawValue: value) { return choice }
    let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    throw Failure(.usage, "'\(key)=\(value)' is unknown", advice: "'\(key)=' takes \(choices)")
  }
}

extension MountOptions {
  /// What the mount's source reads, unless `fsname=` says it.
  mutating func setDefaultSource(_ name: String) {
    if values["fsname"] == nil { values["fsname"] = name }
  }

  /// Whether the kernel shall check permissions: always, but on a mount that is open to one user alone and
  /// shows owners that he could not be. There he may do what he may on the branches.
  func checksPermissions(forUser user: UInt32) -> Bool {
    user == 0 || owners == .disk || flags.contains("default_permissions")
      || flags.contains("allow_other") || flags.contains("allow_root")
  }

  /// The words for libfuse and the kernel, defaults included, unescaped, one option each.
  ///
  /// For root the mount is open to other users and device nodes and set-user-ID bits work, as on a
  /// local disk; but not where attributes that a file's owner may write could make either.
  func words(forUser user: UInt32, readOnly: Bool) -> [String] {
    var words = flags.filter { $0 != "default_permissions" }
    if checksPermissions(forUser: user) { words.insert("default_permissions", at: 0) }
    if user == 0 {
      if !words.contains("allow_root"), !words.contains("allow_other") {
        words.append("allow_other")
      }
      for (word, opposite) in [("suid", "nosuid"), ("dev", "nodev")]
      where !words.contains(word) && !words.contains(opposite) {
        words.append(owners == .xattr ? opposite : word)
      }
    }
    words.append(readOnly ? "ro" : "rw")
    var values = values
    for key in ["fsname", "subtype"] where values[key] == nil { values[key] = "unionfs-swift" }
    return words + values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
  }
}
