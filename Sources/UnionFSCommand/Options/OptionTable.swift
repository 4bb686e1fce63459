/// What becomes of each word that may stand after `-o`. docs/cli.md lists the same.
enum OptionTable {
  enum Treatment: Equatable {
    /// Handed to libfuse and the kernel; takes the place of its opposite.
    case flag(opposite: String?)
    /// `KEY=VALUE`, handed to libfuse and the kernel.
    case value
    /// For mount(8) and fstab(5) only.
    case ignored
    /// An option of aufs, or of others, that has no meaning in user space: a line in the log.
    case noted
    /// Known, but not to be had here; the text says what instead.
    case refused(String)
  }

  /// Words without a value.
  static let words: [String: Treatment] = {
    var table: [String: Treatment] = [
      "allow_other": .flag(opposite: nil), "allow_root": .flag(opposite: nil),
      "default_permissions": .flag(opposite: nil), "auto_unmount": .flag(opposite: nil),
      "dirsync": .flag(opposite: nil), "debug": .flag(opposite: nil),
    ]
    for (first, second) in [
      ("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"), ("sync", "async"),
      ("atime", "noatime"),
    ] {
      table[first] = .flag(opposite: second)
      table[second] = .flag(opposite: first)
    }
    for word in fstab { table[word] = .ignored }
    for word in meaningless { table[word] = .noted }
    for (word, instead) in unavailable { table[word] = .refused(instead) }
    return table
  }()

  /// Words with a value, without their `=`.
  static let keys: [String: Treatment] = {
    var table: [String: Treatment] = [
      "fsname": .value, "subtype": .value, "max_read": .value, "context": .value,
      "fscontext": .value, "defcontext": .value, "rootcontext": .value,
    ]
    for key in ["rdblk", "rdcache", "rdhash", "xino", "trunc_xino_path", "itrunc_xino", "dirwh"] {
      table[key] = .noted
    }
    for key in ["create", "create_policy", "cpup", "copyup", "copyup_policy"] {
      table[key] = .noted
    }
    for (key, instead) in unavailable { table[key] = .refused(instead) }
    for key in ["uid", "gid", "umask", "entry_timeout", "attr_timeout", "negative_timeout"] {
      table[key] = .refused("the branches and this file system decide it")
    }
    table["user"] = .ignored
    table["comment"] = .ignored
    return table
  }()

  /// `KEY=VALUE` of aufs where only some values are to be had.
  static let valued: [String: [String: Treatment]] = [
    "udba": ["none": .noted, "reval": .refused(udba), "notify": .refused(udba)],
    "diropq": [
      "w": .noted, "whiteouted": .noted, "a": .refused(diropq), "always": .refused(diropq),
    ],
  ]

  private static let udba = "only udba=none is: change the branches through the mount alone"
  private static let diropq = "only diropq=w is: a directory is opaque where it replaces a whiteout"

  private static let fstab = [
    "defaults", "_netdev", "_rnetdev", "nofail", "auto", "noauto", "user", "nouser", "users",
    "nousers", "owner", "noowner", "group", "nogroup",
  ]

  private static let meaningless = [
    "dio", "nodio", "dirperm1", "noxino", "notrunc_xib", "trunc_xib", "trunc_xino",
    "notrunc_xino", "plink", "warn_perm", "nowarn_perm", "verbose", "v",
    "noverbose", "quiet", "q", "silent", "loud", "rdcache", "nonempty", "relatime", "norelatime",
    "nodiratime", "diratime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
  ]

  private static let live = "branches are given when the union is mounted; mount it anew"

  private static let unavailable: [(String, String)] = [
    ("noplink", "hard links are always kept together"),
    ("nodirperm1", "permissions are those of the topmost entry"),
    ("fhsm_sec", "nothing moves files between branches"),
    ("remount", "unmount, then mount with the new options"),
    ("bind", "mount --bind does it"),
    ("add", live), ("ins", live), ("append", live), ("prepend", live), ("del", live),
    ("mod", live), ("imod", live), ("idel", live), ("iadd", live), ("reorder", live),
  ]

  /// Every word by what becomes of it, for the manual.
  static var listing: [(lead: String, words: [String])] {
    var given: [String] = []
    var ignored: [String] = []
    var noted: [String] = []
    var refused: Set<String> = []
    var treatments = words
    for (key, treatment) in keys { treatments["\(key)="] = treatment }
    for (key, values) in valued {
      for (value, treatment) in values { treatments["\(key)=\(value)"] = treatment }
    }
    for (word, treatment) in treatments {
      switch treatment {
      case .flag, .value: given.append(word)
      case .ignored: ignored.append(word)
      case .noted: noted.append(word)
      // Some are refused with a value and without one.
      case .refused: refused.insert(word.hasSuffix("=") ? String(word.dropLast()) : word)
      }
    }
    return [
      ("For the kernel, as with any FUSE mount:", given),
      ("For fstab(5) and mount(8), passed over, as is what begins with 'x-':", ignored),
      ("Of aufs, without a meaning here; a line of the log at 'notice' says so:", noted),
      ("Not to be had, and refused by name:", Array(refused)),
    ]
  }

  /// The known word nearest to a misspelt one, nil where none is near.
  static func nearest(to word: String) -> String? {
    let own = [
      "ro", "rw", "br", "dirs", "rename", "sync", "shwh", "sum", "passthrough", "writeback",
      "readers", "serve", "whiteout", "acl", "noacl", "static_nlink",
    ]
    let known = own + Array(words.keys) + Array(keys.keys) + Array(valued.keys)
    let ranked = known.map { (distance: editDistance($0, word), name: $0) }
      .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    guard let ranked, ranked.distance <= max(1, word.count / 3) else { return nil }
    return ranked.name
  }

  /// How many insertions, deletions and replacements turn one word into the other.
  static func editDistance(_ first: String, _ second: String) -> Int {
    let (first, second) = (Array(first.utf8), Array(second.utf8.prefix(64)))
    var row = Array(0...second.count)
    for (index, byte) in first.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for column in second.indices {
        let replaced = diagonal + (byte == second[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
      }
    }
    return row[second.count]
  }
}
