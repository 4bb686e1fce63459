internal import SystemCalls
internal import SystemPackage

/// `unionfs-swift convert`: writes the whiteouts and opaque marks of a branch in the other format, in
/// place. Whatever ends it, the branch shows the same, and converting it again goes on where it ended.
public struct BranchConversion {
  /// What was done, or would be.
  public struct Report: Sendable, Equatable {
    public var directories = 0
    /// Written in the other format.
    public var whiteouts = 0
    public var opaqueDirectories = 0
    /// Whiteouts beside what hides the same, which have gone.
    public var dropped = 0
    /// Of aufs's own names at the branch's root those that have gone.
    public var removed: [[UInt8]] = []
    /// What only one format has and stays, with why.
    public var kept: [Place] = []

    public init() {}
  }

  /// A path below the branch, empty for its root, and something about it.
  public struct Place: Sendable, Equatable {
    public var path: [UInt8]
    public var message: String
  }

  /// Why a branch cannot be converted. Nothing was changed where there is more than one.
  public struct Refusal: Error, Sendable {
    public var places: [Place]
  }

  private let branch: Branch
  private let format: WhiteoutFormat

  /// - Parameter branches: one branch, locked where it is to be changed.
  public init(_ branches: BranchSet, to format: WhiteoutFormat) {
    branch = branches[0]
    self.format = format
  }

  /// Tells what there is to do, and changes nothing.
  public func survey() throws(Refusal) -> Report {
    var report = Report()
    var problems: [Place] = []
    walk { path, directory, listing throws(Errno) in
      let plan = ConversionPlan(listing, to: format)
      report.count(plan, at: path)
      problems += plan.problems.map { Self.place(path, $0) }
      if path.isEmpty, plan.steps.contains(.markOpaque) {
        report.kept.append(
          Place(path: [], message: "it is opaque, which overlayfs does not look at in a root"))
      }
      for name in try foreign(plan, listing, in: directory) {
        problems.append(Self.place(path, name))
      }
    } failed: { path, error in
      problems.append(Place(path: path, message: "it cannot be read: \(error)"))
    }
    if !problems.isEmpty { throw Refusal(places: problems) }
    return report
  }

  /// Converts the branch.
  public func run() throws(Refusal) -> Report {
    var report = try survey()
    let steps = ConversionSteps(branch)
    do throws(Errno) { try steps.tryOut(trials(report)) } catch {
      throw Refusal(places: [Place(path: [], message: Self.explanation(of: error, format))])
    }
    var failure: Place?
    walk { path, directory, listing throws(Errno) in
      if failure != nil { return }
      let plan = ConversionPlan(listing, to: format)
      if plan.steps.isEmpty { return }
      try Remedies.keepingTimes(of: directory) { () throws(Errno) in
        for step in plan.steps { try steps.carryOut(step, in: directory) }
      }
    } failed: { path, error in
      failure = failure ?? Place(path: path, message: "it cannot be converted: \(error)")
    }
    if let failure { throw Refusal(places: [failure]) }
    if format == .overlay { removeBookkeeping(&report) }
    try? FileSystemCall.syncFileSystem(of: branch.root)
    return report
  }

  private func trials(_ report: Report) -> Set<ConversionSteps.Trial> {
    guard format == .overlay else { return [] }
    var trials: Set<ConversionSteps.Trial> = []
    if report.whiteouts > 0 { trials.insert(.device) }
    if report.opaqueDirectories > 0 { trials.insert(.attribute) }
    return trials
  }

  private static func explanation(of error: Errno, _ format: WhiteoutFormat) -> String {
    switch error {
    case .notSupported, .notSupportedOnSocket:
      "its file system has no attributes for opaque directories"
    case .notPermitted, .permissionDenied: "this user may not make what overlayfs needs there"
    default: "nothing can be made in it: \(error)"
    }
  }

  private static func place(_ path: [UInt8], _ found: (name: [UInt8], message: String)) -> Place {
    let slash: [UInt8] = path.isEmpty || found.name.isEmpty ? [] : [UInt8(ascii: "/")]
    return Place(path: path + slash + found.name, message: found.message)
  }

  /// What has the name of a whiteout and holds something; what only overlayfs understands.
  private func foreign(
    _ plan: ConversionPlan, _ listing: DirectoryListing, in directory: CInt
  ) throws(Errno) -> [(name: [UInt8], message: String)] {
    var found: [(name: [UInt8], message: String)] = []
    for step in plan.steps {
      guard let file = step.removedFile else { continue }
      let attributes = try FileSystemCall.status(at: directory, ConversionSteps.cName(file))
      if attributes.isRegular, attributes.size > 0, !step.removesLong {
        found.append((file, "the whiteout holds \(attributes.size) bytes"))
      }
    }
    guard format == .aufs else { return found }
    var files: [[UInt8]] = []
    listing.forEachEntry { name, entry in if entry.kind == .regular { files.append(Array(name)) } }
    for file in files {
      do throws(Errno) {
        let name = ConversionSteps.cName(file)
        let attributes = try FileSystemCall.status(at: directory, name)
        try branch.checkContent(attributes, at: directory, name)
      } catch {
        if error == .noSuchFileOrDirectory { continue }
        guard error == .ioError else { throw error }
        found.append((file, "overlayfs takes its content from a layer below, which aufs cannot"))
      }
    }
    return found
  }
}

extension ConversionStep {
  /// A whiteout of aufs that goes.
  fileprivate var removedFile: [UInt8]? {
    switch self {
    case .makeDevice(_, let file), .mark(_, let file), .drop(let file): file
    case .markOpaque: ConversionPlan.marker
    case .makeWhiteout, .makeMarker, .removeStaged, .unmark: nil
    }
  }

  /// A long one, whose content was looked at.
  fileprivate var removesLong: Bool {
    removedFile?.starts(with: ".wh..wh.long.".utf8) ?? false
  }
}

extension BranchConversion.Report {
  fileprivate mutating func count(_ plan: ConversionPlan, at path: [UInt8]) {
    directories += 1
    for step in plan.steps {
      switch step {
      case .makeDevice, .makeWhiteout: whiteouts += 1
      case .mark:
        opaqueDirectories += 1
        dropped += 1
      case .drop: dropped += 1
      case .markOpaque, .makeMarker: opaqueDirectories += 1
      case .removeStaged, .unmark: break
      }
    }
    let slash: [UInt8] = path.isEmpty ? [] : [UInt8(ascii: "/")]
    kept += plan.kept.map { .init(path: path + slash + $0.name, message: $0.message) }
  }
}

// MARK: The walk

extension BranchConversion {
  private struct Frame {
    var path: [UInt8]
    var children: [[UInt8]]
  }

  /// Calls `body` with each directory of the branch: its path, a descriptor and what it holds. One
  /// descriptor, so depth has no limit.
  private func walk(
    _ body: ([UInt8], CInt, DirectoryListing) throws(Errno) -> Void,
    failed: ([UInt8], Errno) -> Void
  ) {
    let cursor = BranchCursor(branch)
    func visit(_ path: [UInt8]) -> Frame {
      do throws(Errno) {
        let listing = try DirectoryListing(of: cursor.descriptor, branch)
        try body(path, cursor.descriptor, listing)
        var children: [[UInt8]] = []
        listing.forEachEntry { name, entry in
          if entry.kind == .directory { children.append(Array(name)) }
        }
        return Frame(path: path, children: children.sorted { $1.lexicographicallyPrecedes($0) })
      } catch {
        failed(path, error)
        return Frame(path: path, children: [])
      }
    }
    var frames = [visit([])]
    while let top = frames.last {
      guard let name = frames[frames.count - 1].children.popLast() else {
        frames.removeLast()
        if frames.isEmpty { return }
        do throws(Errno) { try cursor.leave() } catch { return failed(top.path, error) }
        continue
      }
      let path = top.path + (top.path.isEmpty ? [] : [UInt8(ascii: "/")]) + name
      do throws(Errno) { try cursor.enter(name) } catch {
        failed(path, error)
        continue
      }
      frames.append(visit(path))
    }
  }

  // MARK: aufs's own names

  /// Takes away what nothing needs any more, so that overlayfs does not show it.
  private func removeBookkeeping(_ report: inout Report) {
    _ = try? Remedies.keepingTimes(of: branch.root) { () throws(Errno) in
      for (name, message) in [
        (Array(".wh..wh.aufs".utf8), "it is no empty file"),
        (Bookkeeping.orphans, "it is not empty"),
        (Bookkeeping.pseudoLinks, "it holds files that have other names below"),
        (Bookkeeping.workArea, "it tells the inode numbers of files"),
      ] {
        let raw = ConversionSteps.cName(name)
        guard let found = try FileSystemCall.statusIfThere(at: branch.root, raw) else { continue }
        if (try? remove(name, raw, found)) ?? false {
          report.removed.append(name)
        } else {
          report.kept.append(Place(path: name, message: "\(message); overlayfs shows it"))
        }
      }
    }
  }

  private func remove(
    _ name: [UInt8], _ raw: [CChar], _ found: Attributes
  ) throws(Errno) -> Bool {
    if found.isRegular && found.size == 0 {
      try FileSystemCall.unlink(at: branch.root, raw)
      return true
    }
    guard found.isDirectory else { return false }
    if name == Bookkeeping.workArea {
      var book = Bookkeeping(branch, numbers: nil)
      book.isInUse = false
      guard book.tellsNothing else { return false }
      let area = try Bookkeeping.open(name, in: branch.root)
      defer { FileSystemCall.close(area) }
      for name in [ReservedName.inodeTable, ReservedName.whiteoutDevice] {
        do throws(Errno) { try FileSystemCall.unlink(at: area, name) } catch {
          if error != .noSuchFileOrDirectory { throw error }
        }
      }
    }
    try FileSystemCall.removeDirectory(at: branch.root, raw)
    return true
  }
}

extension Bookkeeping {
  /// Whether the work area holds no more than a table without a number.
  fileprivate var tellsNothing: Bool {
    let own = [Self.table, Array("whiteout".utf8)]
    guard case .holds(let names) = workArea, names.allSatisfy(own.contains) else { return false }
    switch table {
    case .absent: return true
    case .read(let survey):
      return survey.condition == .sound && survey.origins.isEmpty && survey.links.isEmpty
    case .notRegular, .unreadable: return false
    }
  }
}
