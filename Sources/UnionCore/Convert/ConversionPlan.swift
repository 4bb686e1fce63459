internal import SystemCalls

/// How a branch says that a name is gone and that a directory is opaque.
public enum WhiteoutFormat: String, Sendable, CaseIterable {
  /// `.wh.NAME` and `.wh..wh..opq`.
  case aufs
  /// A character device 0/0 and an attribute.
  case overlay

  /// What a whiteout in it is.
  public var form: WhiteoutForms { self == .aufs ? .aufs : .overlay }
}

/// One change of a directory. Both formats count in every branch that honours any, so the new form comes
/// before the old one goes, and whatever lies between shows the same.
enum ConversionStep: Equatable {
  /// The name is hidden by a device, then `file` goes.
  case makeDevice(of: [UInt8], insteadOf: [UInt8])
  /// The directory of that name becomes opaque by an attribute, then the whiteout beside it goes.
  case mark(directory: [UInt8], insteadOf: [UInt8])
  /// A whiteout beside what hides the same goes: a file, or one of the other form.
  case drop([UInt8])
  /// This directory becomes opaque by an attribute, then the marker goes.
  case markOpaque
  /// The name is hidden by a whiteout of aufs, then what has the name itself goes.
  case makeWhiteout(of: [UInt8])
  /// This directory gets a marker, then the attribute goes.
  case makeMarker
  /// What a mount or a conversion left behind in a crash goes.
  case removeStaged([UInt8])
  /// No empty file of this directory is a whiteout any more: the attribute goes.
  case unmark
}

/// What is to be done with one directory, and what stands against it. The rule, without I/O.
struct ConversionPlan: Equatable {
  var steps: [ConversionStep] = []
  /// Names with what is wrong; an empty one is the directory's.
  var problems: [(name: [UInt8], message: String)] = []
  /// What stays though only one format has it.
  var kept: [(name: [UInt8], message: String)] = []

  static func == (a: ConversionPlan, b: ConversionPlan) -> Bool {
    a.steps == b.steps && a.problems.map(\.name) == b.problems.map(\.name)
      && a.kept.map(\.name) == b.kept.map(\.name)
  }

  init(_ listing: DirectoryListing, to format: WhiteoutFormat) {
    var kinds: [[UInt8]: FileKind] = [:]
    if !listing.whiteouts.isEmpty {
      listing.forEachEntry { name, entry in kinds[Array(name)] = entry.kind }
    }
    let whiteouts = listing.whiteouts.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    steps = listing.staged.sorted { $0.lexicographicallyPrecedes($1) }.map { .removeStaged($0) }
    switch format {
    case .overlay: planOverlay(listing, whiteouts, kinds)
    case .aufs: planAufs(listing, whiteouts)
    }
  }

  private mutating func planOverlay(
    _ listing: DirectoryListing, _ whiteouts: [DirectoryListing.Whiteout],
    _ kinds: [[UInt8]: FileKind]
  ) {
    let devices = Set(whiteouts.filter(\.isInPlace).map(\.name))
    for whiteout in whiteouts where !whiteout.isInPlace {
      if whiteout.kind != .regular {
        problems.append((whiteout.name, "the whiteout is no regular file"))
      } else if devices.contains(whiteout.hides) {
        steps.append(.drop(whiteout.name))
      } else if let kind = kinds[whiteout.hides] {
        steps.append(
          kind == .directory
            ? .mark(directory: whiteout.hides, insteadOf: whiteout.name) : .drop(whiteout.name))
      } else {
        steps.append(.makeDevice(of: whiteout.hides, insteadOf: whiteout.name))
      }
    }
    if let opaque = listing.opaque {
      if opaque == .regular {
        steps.append(.markOpaque)
      } else {
        problems.append((Self.marker, "the opaque marker is no regular file"))
      }
    }
    for broken in listing.brokenLong { kept.append((broken.name, broken.flaw.explanation)) }
    for name in listing.temporaries.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      kept.append((name, "aufs left it behind in a crash; 'check --repair' removes it"))
    }
  }

  private mutating func planAufs(
    _ listing: DirectoryListing, _ whiteouts: [DirectoryListing.Whiteout]
  ) {
    for whiteout in whiteouts where !whiteout.isInPlace && whiteout.kind != .regular {
      let isInTheWay = whiteouts.contains { $0.isInPlace && $0.hides == whiteout.hides }
      if isInTheWay { problems.append((whiteout.name, "the whiteout is no regular file")) }
    }
    for whiteout in whiteouts where whiteout.isInPlace {
      steps.append(.makeWhiteout(of: whiteout.name))
    }
    if listing.marks.isOpaque { steps.append(.makeMarker) }
    if listing.marks.holdsMarkedWhiteouts { steps.append(.unmark) }
    if listing.marks.isRedirected {
      problems.append(
        ([], "overlayfs shows what lies below under another path in it, which aufs cannot"))
    }
  }

  static let marker = Array(".wh..wh..opq".utf8)
}
