internal import SystemPackage

/// aufs's spelling of branches: `DIR=rw`, and `br:DIR=rw:DIR=ro+wh` for all of them, top first.
///
/// The permission stands after the last `=`, unless a `/` follows that one: `/a=b/c` is all path,
/// and `/a/x=1` needs its permission spelled out (`/a/x=1=ro`), so that a misspelt permission is
/// never taken for a path. Without a permission the first branch is `rw` and every other `ro`.
public struct BranchString: Sendable, Equatable {
  /// Top branch first.
  public var branches: [BranchSpecification]
  /// What was accepted and means nothing here; for the log.
  public var notes: [String]

  public init(branches: [BranchSpecification] = [], notes: [String] = []) {
    self.branches = branches
    self.notes = notes
  }

  /// Reads what follows `br:`, `br=` or `dirs=`: branches joined by `:`. In a path `\:` stands for a
  /// colon, `\,` for a comma and `\\` for a backslash; any other backslash stands for itself.
  public init(aufs string: [UInt8]) throws(Failure) {
    self.init()
    for part in EscapedText.split(string, at: UInt8(ascii: ":")) {
      try append(EscapedText.unescape(part))
    }
  }

  /// Adds one branch below the others, `DIR` or `DIR=PERMISSION`, which has no escapes.
  public mutating func append(_ branch: [UInt8]) throws(Failure) {
    let (path, permission) = Self.splitPermission(branch)
    if path.isEmpty {
      throw Failure(
        .usage, "branch \(branches.count + 1) has no directory", advice: "write DIR=rw or DIR=ro+wh"
      )
    }
    if path.contains(0) { throw Failure(.usage, "a branch's directory contains a NUL byte") }
    var specification = BranchSpecification(
      path: FilePath(bytes: path), permission: branches.isEmpty ? .readWrite : .readOnly)
    if let permission {
      let spelling = String(decoding: permission, as: UTF8.self)
      notes += try specification.apply(spelling).map { "\($0) of branch \(printable(path))" }
    }
    branches.append(specification)
  }

  static func splitPermission(_ branch: [UInt8]) -> (path: [UInt8], permission: [UInt8]?) {
    guard let equals = branch.lastIndex(of: UInt8(ascii: "=")) else { return (branch, nil) }
    let permission = branch[(equals + 1)...]
    if permission.contains(UInt8(ascii: "/")) { return (branch, nil) }
    return (Array(branch[..<equals]), Array(permission))
  }

  /// Refuses a stack that this union cannot have: none at all, or a writable branch below the top.
  public func checkOrder() throws(Failure) {
    if branches.isEmpty {
      throw Failure(.usage, "no branch is given", advice: "name a LAYERSFILE or --branch DIR=rw")
    }
    for (index, branch) in branches.enumerated().dropFirst()
    where branch.permission == .readWrite {
      throw Failure(
        .unusableBranches,
        "branch \(index + 1), \(branch.path), is rw, but only the top branch can be written",
        advice: "make it ro, or ro+wh where its whiteouts hide lower names")
    }
  }
}

extension BranchSpecification {
  /// aufs's spelling of what may be done with the branch: `rw`, `rw+nolwh`, `ro`, `ro+wh`, `rr`…
  public var permissionSpelling: String {
    let hides = permission != .readWrite && honoursWhiteouts
    return permission.rawValue + (hides ? "+wh" : "") + (linksWhiteouts ? "" : "+nolwh")
  }

  /// Attributes that steer what only aufs does: when a file is copied up or moved, and which xattrs
  /// it may fail to copy.
  static let meaninglessAttributes: Set<String> = [
    "moo", "coo_reg", "coo_all", "unpin", "icex", "icexsec", "icexsys", "icextr", "icexusr",
    "icexoth",
  ]

  /// Takes over `PERMISSION[+ATTRIBUTE…]`. Returns what was accepted without a meaning.
  mutating func apply(_ spelling: String) throws(Failure) -> [String] {
    var words = spelling.split(separator: "+", omittingEmptySubsequences: false).map(String.init)
    let name = words.removeFirst()
    guard let permission = Permission(rawValue: name) else {
      throw Failure(
        .usage, "'\(printable(Array(name.utf8)))' is no permission of branch \(path)",
        advice: "rw, ro and rr are, with +wh, +nolwh and so on")
    }
    self.permission = permission
    honoursWhiteouts = permission == .readWrite
    var notes: [String] = []
    for word in words {
      switch word {
      case "wh": honoursWhiteouts = true
      case "nolwh": linksWhiteouts = false
      case _ where Self.meaninglessAttributes.contains(word):
        notes.append("the attribute '\(word)' has no effect here")
      default:
        throw Failure(
          .usage, "'+\(printable(Array(word.utf8)))' is no attribute that branch \(path) can have",
          advice: "+wh and +nolwh are")
      }
    }
    return notes
  }
}
