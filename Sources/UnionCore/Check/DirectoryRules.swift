internal import SystemCalls

/// A branch's part of a directory of the union.
public struct DirectoryPart: Sendable, Equatable {
  /// What lies below this part in the directory.
  public enum Below: Sendable, Equatable {
    case nothing
    /// The next part merges with it.
    case merges
    /// Something that could not be read.
    case unknown
  }

  public var branch: Int
  public var honoursWhiteouts: Bool
  /// Whether the union shows it (an upper branch may hide it).
  public var isVisible: Bool
  public var below: Below
  /// Whether a lower branch would show the directory's name but for this part.
  public var needsMarker: Bool
  public var isInsideOpaque = false

  /// The roots of the branches, which always merge.
  public static func roots(honouringWhiteouts flags: [Bool]) -> [DirectoryPart] {
    flags.enumerated().map { branch, honours in
      DirectoryPart(
        branch: branch, honoursWhiteouts: honours, isVisible: true, below: .merges,
        needsMarker: branch + 1 < flags.count)
    }
  }
}

/// What is wrong in one directory, and the directories in it. The rule, without I/O.
///
/// Whether a whiteout is needed is asked of its own branch and those below it alone: a layer is as
/// good or bad under another top.
struct DirectoryRules {
  private(set) var parts: [DirectoryPart]
  /// What each part holds, nil where it could not be read.
  let listings: [DirectoryListing?]
  private(set) var findings: [LocalFinding] = []
  /// The directories in this one, in the order of their names' bytes.
  private(set) var children: [(name: [UInt8], parts: [DirectoryPart])] = []
  /// Those of the numbers asked for that lower branches show here.
  private(set) var shownNumbers: [UInt64] = []

  /// A name that a rule looks at: what each part has of it.
  private struct Row {
    var kinds: [FileKind?]
    /// The part's, mostly one at the most: a branch may hold both forms.
    var whiteouts: [[DirectoryListing.Whiteout]]
    var watched: UInt64?
  }

  private enum Shown: Equatable {
    case nothing, unknown
    case entry(FileKind)
  }

  /// - Parameter watched: the union's number of an entry (of a branch's index and an inode) where it is
  ///   one that is asked for.
  init(
    _ parts: [DirectoryPart], _ listings: [DirectoryListing?],
    watched: (Int, UInt64) -> UInt64? = { _, _ in nil }
  ) {
    self.parts = parts
    self.listings = listings
    examineMarkers()
    let rows = rows(watched)
    for (name, row) in rows.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      examine(name, row)
    }
    for (part, listing) in zip(self.parts, listings) {
      if let listing { examineOthers(part, listing) }
    }
  }

  // MARK: The names that matter

  private func rows(_ watched: (Int, UInt64) -> UInt64?) -> [[UInt8]: Row] {
    var rows: [[UInt8]: Row] = [:]
    let empty = Row(
      kinds: Array(repeating: nil, count: parts.count),
      whiteouts: Array(repeating: [], count: parts.count))
    for (position, listing) in listings.enumerated() {
      guard let listing else { continue }
      for whiteout in listing.whiteouts {
        rows[whiteout.hides, default: empty].whiteouts[position].append(whiteout)
      }
      let branch = parts[position].branch
      listing.forEachEntry { name, entry in
        if entry.kind == .directory {
          rows[Array(name), default: empty].kinds[position] = .directory
        } else if branch > 0, let number = watched(branch, entry.inode) {
          rows[Array(name), default: empty].watched = number
        }
      }
    }
    if rows.isEmpty { return rows }
    // Other entries count only beside those.
    for (position, listing) in listings.enumerated() {
      listing?.forEachEntry { name, entry in
        guard entry.kind != .directory, let at = rows.index(forKey: Array(name)) else { return }
        rows.values[at].kinds[position] = entry.kind
      }
    }
    return rows
  }

  private mutating func examine(_ name: [UInt8], _ row: Row) {
    let below = below(row)
    let visible = visible(row)
    var children: [DirectoryPart] = []
    for (position, part) in parts.enumerated() {
      let whiteouts = row.whiteouts[position]
      for whiteout in whiteouts {
        examine(whiteout, beside: row.kinds[position], below: below[position], part)
      }
      if visible[position], part.branch > 0, row.kinds[position] != .directory,
        let number = row.watched
      {
        shownNumbers.append(number)
      }
      guard row.kinds[position] == .directory else { continue }
      let hides = !whiteouts.isEmpty && part.honoursWhiteouts
      children.append(
        DirectoryPart(
          branch: part.branch, honoursWhiteouts: part.honoursWhiteouts,
          isVisible: visible[position], below: hides ? .nothing : Self.merging(below[position]),
          needsMarker: below[position] != .nothing, isInsideOpaque: part.isInsideOpaque))
    }
    if !children.isEmpty { self.children.append((name, children)) }
  }

  private static func merging(_ below: Shown) -> DirectoryPart.Below {
    switch below {
    case .entry(.directory): .merges
    case .nothing, .entry: .nothing
    case .unknown: .unknown
    }
  }

  /// What the branches below each part show of a name, from the bottom up.
  private func below(_ row: Row) -> [Shown] {
    var result = [Shown](repeating: .nothing, count: parts.count)
    var shown = Shown.nothing
    for position in parts.indices.reversed() {
      switch parts[position].below {
      case .nothing: result[position] = .nothing
      case .unknown: result[position] = .unknown
      case .merges: result[position] = shown
      }
      if listings[position] == nil {
        shown = .unknown
      } else if let kind = row.kinds[position] {
        shown = .entry(kind)
      } else if !row.whiteouts[position].isEmpty, parts[position].honoursWhiteouts {
        shown = .nothing
      } else {
        shown = result[position]
      }
    }
    return result
  }

  /// Which parts' entries the union shows, from the top down.
  private func visible(_ row: Row) -> [Bool] {
    var result = [Bool](repeating: false, count: parts.count)
    var isFirst = true
    for (position, part) in parts.enumerated() where part.isVisible {
      if let kind = row.kinds[position] {
        result[position] = isFirst || kind == .directory
        isFirst = false
        if kind != .directory { break }
      }
      if !row.whiteouts[position].isEmpty, part.honoursWhiteouts { break }
      if part.below == .nothing { break }
    }
    return result
  }
}

// MARK: What is wrong

extension DirectoryRules {
  private static let wrongType = "look at what it is, then remove it"
  private static let removal = "it can be removed"

  private mutating func examineMarkers() {
    for (position, listing) in listings.enumerated() {
      guard let listing, listing.hidesBelow else { continue }
      let part = parts[position]
      let kind = listing.opaque
      if let kind, kind != .regular {
        findings.append(
          LocalFinding(
            .whiteoutNotRegular, branch: part.branch, name: Array(".wh..wh..opq".utf8),
            "the opaque marker is no regular file", advice: Self.wrongType))
      }
      guard part.honoursWhiteouts else { continue }
      if kind == .regular, !part.needsMarker {
        findings.append(
          LocalFinding(
            .needlessOpaque, branch: part.branch, name: Array(".wh..wh..opq".utf8),
            "no lower branch has anything that this could hide", advice: Self.removal,
            remedy: .removeMarker))
      }
      if listing.marks.isOpaque, !part.needsMarker {
        findings.append(
          LocalFinding(
            .needlessOpaque, branch: part.branch, name: [],
            "an attribute makes it opaque, but no lower branch has anything that this could hide",
            advice: Self.removal, remedy: .removeOpaqueAttribute))
      }
      parts[position].below = .nothing
      parts[position].isInsideOpaque = true
    }
  }

  private mutating func examine(
    _ whiteout: DirectoryListing.Whiteout, beside kind: FileKind?, below: Shown,
    _ part: DirectoryPart
  ) {
    var remedy = Finding.Remedy.removeMarker
    if whiteout.isLong { remedy = .removeLongWhiteout(hides: whiteout.hides) }
    func found(_ kind: Finding.Kind, _ message: String, _ advice: String) {
      findings.append(
        LocalFinding(
          kind, branch: part.branch, name: whiteout.name, message, advice: advice, remedy: remedy))
    }
    if whiteout.kind != .regular, !whiteout.isInPlace {
      remedy = .none
      found(.whiteoutNotRegular, "the whiteout is no regular file", Self.wrongType)
    } else if let kind {
      if kind == .directory, below != .nothing, part.honoursWhiteouts {
        remedy = .makeOpaque(directory: whiteout.hides)
        found(
          .whiteoutBesideEntry, "the directory is there too, and hides what is below it",
          "make the directory opaque, then remove the whiteout")
      } else {
        found(.whiteoutBesideEntry, "the entry is there too, and is shown", Self.removal)
      }
    } else if !part.honoursWhiteouts {
      return
    } else if below == .nothing, part.isInsideOpaque {
      found(.whiteoutInOpaque, "an opaque directory hides the name already", Self.removal)
    } else if below == .nothing {
      found(.needlessWhiteout, "no lower branch shows the name", Self.removal)
    } else if whiteout.isLong {
      remedy = .none
      found(.longWhiteout, "hides \(printable(whiteout.hides))", "nothing is wrong with it")
    }
  }

  private mutating func examineOthers(_ part: DirectoryPart, _ listing: DirectoryListing) {
    if listing.marks.isRedirected {
      findings.append(
        LocalFinding(
          .overlayRedirect, branch: part.branch, name: [],
          "overlayfs shows what lies below under another path in it, which nothing else does",
          advice: "copy the tree from a mount of overlayfs, with redirect_dir=off"))
    }
    for name in listing.staged.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      findings.append(
        LocalFinding(
          .stagedLeftover, branch: part.branch, name: name, "a mount left it behind in a crash",
          advice: "the next mount that follows a crash removes it", remedy: .removeTree))
    }
    for name in listing.temporaries.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      findings.append(
        LocalFinding(
          .leftover, branch: part.branch, name: name, "aufs left it behind in a crash",
          advice: "it can be removed where no aufs uses the branch", remedy: .removeTree))
    }
    for broken in listing.brokenLong.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
      let isSafe = broken.flaw == .empty && !isHashOfAName(broken.name)
      findings.append(
        LocalFinding(
          .brokenLongWhiteout, branch: part.branch, name: broken.name, broken.flaw.explanation,
          advice: isSafe ? Self.removal : "remove it; delete the name that it should hide again",
          remedy: isSafe ? .removeMarker : .none))
    }
  }

  /// Whether a long whiteout's name is that of some name here, which a lookup then does not find. Where
  /// a part could not be read, it may be.
  private func isHashOfAName(_ whiteout: [UInt8]) -> Bool {
    var isOne = false
    for listing in listings {
      guard let listing else { return true }
      listing.forEachEntry { name, _ in
        if name.count > nameLimit - 4, longWhiteoutName(of: Array(name)) == whiteout {
          isOne = true
        }
      }
    }
    return isOne
  }
}
