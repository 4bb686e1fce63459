internal import SystemCalls
internal import SystemPackage

/// What a branch keeps beside its files, at its root, and the rules about it. Values only.
struct Bookkeeping: Sendable {
  /// A directory that is reserved by its name.
  enum Part: Sendable, Equatable {
    case absent
    case notDirectory
    case holds([[UInt8]])
    case unreadable(CInt)
  }

  enum Table: Sendable, Equatable {
    case absent
    case notRegular
    case unreadable(CInt)
    case read(InodeTableSurvey)
  }

  struct PseudoLink: Sendable, Equatable {
    var name: [UInt8]
    var links: UInt64
    /// The number that the union shows for the file by the table, or by its inode.
    var number: UInt64
  }

  var branch: Int
  /// Whether a mount writes to the branch: its temporaries are no leftovers then.
  var isInUse = false
  var workArea = Part.absent
  var orphans = Part.absent
  var pseudoLinks = Part.absent
  var table = Table.absent
  var whiteoutBase: FileKind?
  /// The entries of `pseudoLinks`; empty but for the top branch.
  var files: [PseudoLink] = []

  static let workArea = Array(".wh..wh.unionfs".utf8)
  static let orphans = Array(".wh..wh.orph".utf8)
  static let pseudoLinks = Array(".wh..wh.plnk".utf8)
  static let table = Array("inodes".utf8)

  /// The number that a pseudo-link's name spells as this program writes it.
  static func number(of name: [UInt8]) -> UInt64? {
    let text = String(decoding: name, as: UTF8.self)
    guard let number = UInt64(text, radix: 16), String(number, radix: 16) == text else {
      return nil
    }
    return number
  }
}

/// A finding in a reserved directory; the remedy is for a name in it.
struct ReservedFinding: Sendable, Equatable {
  /// The reserved directory, empty for the branch's root.
  var directory: [UInt8]
  var finding: LocalFinding
}

extension Bookkeeping {
  /// Everything but pseudo-links, which the walk decides.
  func findings() -> [ReservedFinding] {
    var list: [ReservedFinding] = []
    for (name, part) in [
      (Self.workArea, workArea), (Self.orphans, orphans), (Self.pseudoLinks, pseudoLinks),
    ] {
      if part == .notDirectory {
        list.append(
          make(
            [], .reservedNotDirectory, name, "the name is reserved for a directory",
            "look at what it is, then remove it"))
      }
      if case .unreadable(let code) = part {
        list.append(unreadable(in: [], name, code))
      }
    }
    if let whiteoutBase, whiteoutBase != .regular {
      list.append(
        make(
          [], .whiteoutNotRegular, Array(".wh..wh.aufs".utf8),
          "what whiteouts are links to is no regular file", "look at what it is, then remove it"))
    }
    if !isInUse { list += leftovers() + tableFindings() }
    return list
  }

  private func leftovers() -> [ReservedFinding] {
    var list: [ReservedFinding] = []
    if case .holds(let names) = workArea {
      list += names.filter { $0.first == UInt8(ascii: "t") }.map {
        make(
          Self.workArea, .leftover, $0, "a mount left it behind in a crash",
          "the next mount removes it", .removeTree)
      }
    }
    if case .holds(let names) = orphans {
      list += names.map {
        make(
          Self.orphans, .orphan, $0, "the file was open in a directory that is gone",
          "it can be removed", .removeTree)
      }
    }
    return list
  }

  private func tableFindings() -> [ReservedFinding] {
    switch table {
    case .absent: return []
    case .unreadable(let code): return [unreadable(in: Self.workArea, Self.table, code)]
    case .notRegular:
      return [
        make(
          Self.workArea, .brokenInodeTable, Self.table, "the inode table is no regular file",
          "look at what it is, then remove it")
      ]
    case .read(let survey):
      switch survey.condition {
      case .sound: return []
      case .foreign:
        return [
          make(
            Self.workArea, .brokenInodeTable, Self.table,
            "the inode table is of another program or version",
            "the next mount begins it anew: files show their own inode numbers", .cutInodeTable)
        ]
      case .torn(let offset):
        return [
          make(
            Self.workArea, .brokenInodeTable, Self.table,
            "the inode table cannot be read from byte \(offset) on",
            "the next mount cuts it there: some files show their own inode numbers",
            .cutInodeTable)
        ]
      }
    }
  }

  /// - Parameter shown: the numbers that lower branches show; nil where not everything could be read.
  func pseudoLinkFindings(shown: Set<UInt64>?) -> [ReservedFinding] {
    guard case .holds(let names) = pseudoLinks, !isInUse else { return [] }
    var list = names.filter { Self.number(of: $0) == nil }.map {
      make(
        Self.pseudoLinks, .brokenPseudoLink, $0, "the name is no inode number",
        "aufs may have left it: 'auplink' makes its links real")
    }
    guard branch == 0 else { return list }
    for file in files {
      guard let number = Self.number(of: file.name) else { continue }
      if file.links == 1, let shown, !shown.contains(number) {
        list.append(lonely(file.name, number))
      } else if file.number != number {
        list.append(
          make(
            Self.pseudoLinks, .brokenPseudoLink, file.name,
            "the inode table does not tell its number, so one file shows two",
            "the number can be recorded", .recordNumber(number)))
      }
    }
    return list
  }

  /// It may hold the only copy of what somebody wrote, so only a table that is whole and counts no name
  /// of it lets it go.
  private func lonely(_ name: [UInt8], _ number: UInt64) -> ReservedFinding {
    var advice = "there is no inode table to tell whether it is needed: look at it"
    var remedy = Finding.Remedy.none
    if case .read(let survey) = table, survey.condition == .sound {
      if let count = survey.links[number] {
        advice = "the inode table counts \(count) names: look for a branch that is missing"
      } else {
        advice = "it can be removed"
        remedy = .removeTree
      }
    }
    return make(
      Self.pseudoLinks, .brokenPseudoLink, name, "no name shows this file any more", advice, remedy)
  }

  private func unreadable(in directory: [UInt8], _ name: [UInt8], _ code: CInt) -> ReservedFinding {
    make(
      directory, .unreadable, name, "it cannot be read: \(Errno(rawValue: code))",
      "run the check as a user who may")
  }

  private func make(
    _ directory: [UInt8], _ kind: Finding.Kind, _ name: [UInt8], _ message: String,
    _ advice: String, _ remedy: Finding.Remedy = .none
  ) -> ReservedFinding {
    ReservedFinding(
      directory: directory,
      finding: LocalFinding(
        kind, branch: branch, name: name, message, advice: advice, remedy: remedy))
  }
}
