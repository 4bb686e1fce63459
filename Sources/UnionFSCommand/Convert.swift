internal import ArgumentParser
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift convert`: writes the whiteouts of branches in the other format, in place.
struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Turn the whiteouts of a branch into overlayfs's, or into aufs's.",
    usage: "unionfs-swift convert --to overlay|aufs [--dry-run] [--json] <dir> …",
    discussion: """
      Every branch may hold both formats, so the view stays the same at each step; a run that was \
      killed is made good by another one. A branch that a mount writes to is refused; no mount may \
      use one as a lower branch. What cannot be converted is told before anything is changed.

      EXAMPLES
        unionfs-swift convert --to overlay --dry-run /store/diff/app
        unionfs-swift convert --to aufs /var/lib/containers/layer/diff
      """)

  @Option(help: ArgumentHelp("The format: overlay or aufs.", valueName: "format"))
  var to: CommandArgument

  @Flag(help: "Say what would be converted, and change nothing.")
  var dryRun = false

  @Flag(help: "Write a JSON array with an object for each branch.")
  var json = false

  @Argument(help: ArgumentHelp("A branch's directory.", valueName: "dir"))
  var branches: [CommandArgument]

  func run() throws {
    guard let format = WhiteoutFormat(rawValue: String(decoding: to.bytes, as: UTF8.self)) else {
      throw Failure(
        .usage, "--to \(to.path) is no format of whiteouts", advice: "it is overlay or aufs")
    }
    // A reader that goes away must not end a conversion halfway.
    if !dryRun { Daemon.ignoreBrokenPipes() }
    var first: Failure?
    var objects: [[UInt8]] = []
    for branch in branches {
      do throws(Failure) {
        let report = try convert(branch.path, to: format)
        if json {
          objects.append(Self.object(report, branch.path, format))
        } else {
          Text.writeOutput(Self.text(report, branch.path, format, isDry: dryRun))
        }
      } catch {
        Text.writeError(error.description)
        first = first ?? error
      }
    }
    if json { Text.writeOutput(WhichReport.array(objects)) }
    if let first { throw SilentExit(status: first.code.rawValue) }
  }

  private func convert(
    _ path: FilePath, to format: WhiteoutFormat
  ) throws(Failure) -> BranchConversion.Report {
    let specification = BranchSpecification(path: path, permission: .readWrite)
    let branches = try BranchSet(unmounted: [specification], locked: dryRun ? [] : [0])
    let conversion = BranchConversion(branches, to: format)
    do throws(BranchConversion.Refusal) {
      return dryRun ? try conversion.survey() : try conversion.run()
    } catch { throw Self.failure(error, path) }
  }

  /// One line a place; the first ones of many.
  private static func failure(_ refusal: BranchConversion.Refusal, _ path: FilePath) -> Failure {
    let shown = refusal.places.prefix(20).map {
      "\(printed($0.path, in: path)): \($0.message)"
    }
    var text = shown.joined(separator: "; ")
    if refusal.places.count > shown.count {
      text += "; and \(refusal.places.count - shown.count) more"
    }
    return Failure(
      .failed, "the branch \(path) is not converted: \(text)",
      advice: "mend that, then convert it again")
  }

  private static func printed(_ place: [UInt8], in branch: FilePath) -> String {
    let slash: [UInt8] = place.isEmpty ? [] : [UInt8(ascii: "/")]
    return String(decoding: Text.terminal(branch.pathBytes + slash + place), as: UTF8.self)
  }

  // MARK: What is said

  private static func text(
    _ report: BranchConversion.Report, _ path: FilePath, _ format: WhiteoutFormat, isDry: Bool
  ) -> [UInt8] {
    let verb = isDry ? "would be converted" : "converted"
    var line =
      "\(printed([], in: path))  \(report.whiteouts) whiteouts and \(report.opaqueDirectories) "
      + "opaque directories \(verb) to \(format.rawValue)"
    if report.dropped > 0 { line += ", \(report.dropped) whiteouts beside entries dropped" }
    for name in report.removed { line += "\n  removed  \(printed(name, in: path))" }
    for place in report.kept {
      line += "\n  kept     \(printed(place.path, in: path))  \(place.message)"
    }
    return Array((line + "\n").utf8)
  }

  private static func object(
    _ report: BranchConversion.Report, _ path: FilePath, _ format: WhiteoutFormat
  ) -> [UInt8] {
    let removed = report.removed.map {
      "{" + WhichReport.member("path", path.pathBytes + [UInt8(ascii: "/")] + $0) + "}"
    }
    let kept = report.kept.map {
      let slash: [UInt8] = $0.path.isEmpty ? [] : [UInt8(ascii: "/")]
      return "{" + WhichReport.member("path", path.pathBytes + slash + $0.path) + ", "
        + WhichReport.member("message", Array($0.message.utf8)) + "}"
    }
    return Array(
      ("  {" + WhichReport.member("branch", path.pathBytes) + ", "
        + WhichReport.member("format", Array(format.rawValue.utf8))
        + ", \"directories\": \(report.directories), \"whiteouts\": \(report.whiteouts), "
        + "\"opaque_directories\": \(report.opaqueDirectories), \"dropped\": \(report.dropped), "
        + "\"removed\": [\(removed.joined(separator: ", "))], "
        + "\"kept\": [\(kept.joined(separator: ", "))]}").utf8)
  }
}
