internal import ArgumentParser
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift check`: reads the branches without mounting them, and mends what is safe to mend.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Tell what is wrong in the branches of a union, and repair it.",
    usage: """
      unionfs-swift check [<option> …] [--diff-dir <dir>] <layersfile>
      unionfs-swift check [<option> …] --branch <dir>=<perm> …
      unionfs-swift check [--json] [--deep] --root <dir>
      """,
    discussion: """
      Writes a line for each finding: its kind, where it lies, what is wrong, what to do. Without \
      findings it writes nothing. The exit status is 0 where nothing is left to do, 1 where findings \
      remain.

      EXAMPLES
        unionfs-swift check /var/lib/docker/aufs/layers/ID
        unionfs-swift check --repair --dry-run /store/layers/ID
        unionfs-swift check --repair --branch /top=rw --branch /base=ro+wh
        unionfs-swift check --deep --root /var/lib/docker
      """)

  @Flag(help: "Write a JSON array with an object for each finding.")
  var json = false

  @Flag(help: "Mend what can be mended without a loss, on the writable branch. Not while mounted.")
  var repair = false

  @Flag(help: "With --repair: say what would be mended, and change nothing.")
  var dryRun = false

  @Flag(help: "With --repair: mend every branch. No mount may use any of them.")
  var allBranches = false

  @Flag(help: "Tell of long whiteouts that are as they should be, too.")
  var verbose = false

  @Option(
    help: ArgumentHelp("Where the layers lie, instead of ROOT/diff.", valueName: "dir"),
    completion: .directory)
  var diffDir: CommandArgument?

  @Option(
    help: ArgumentHelp(
      "A branch, top first: rw, ro or rr, with +wh or +nolwh.", valueName: "dir=perm"))
  var branch: [CommandArgument] = []

  @Option(
    help: ArgumentHelp(
      "Check a layer store: that its images, layers, tags and containers agree.", valueName: "dir"),
    completion: .directory)
  var root: CommandArgument?

  @Flag(help: "With --root: compare each layer's size with its files, too.")
  var deep = false

  @Argument(help: ArgumentHelp("The layers file.", valueName: "layersfile"))
  var operands: [CommandArgument] = []

  func run() throws {
    do {
      if let root { try checkStore(root) } else { try check() }
    } catch let failure as Failure where failure.code == .failed {
      // 1 says that findings remain.
      throw Failure(.inputOutput, failure.message, advice: failure.advice)
    }
  }

  private func checkStore(_ root: CommandArgument) throws {
    if repair || !branch.isEmpty || !operands.isEmpty || diffDir != nil {
      throw Failure(
        .usage, "--root goes with --json and --deep alone",
        advice: "the next command that changes a store ends what was left of others")
    }
    var options = StoreOptions()
    options.given = root
    let store = try options.reading()
    let findings = try store.check(measures: deep)
    StoreCheckReport.write(findings, root: store.layout.root, json: json)
    if !findings.isEmpty { throw SilentExit(status: Failure.Code.failed.rawValue) }
  }

  private func check() throws {
    if deep { throw Failure(.usage, "--deep goes with --root") }
    if !repair, dryRun || allBranches {
      throw Failure(
        .usage, "\(dryRun ? "--dry-run" : "--all-branches") goes with --repair",
        advice: "without --repair nothing is changed anyway")
    }
    let request = MountRequest(
      options: MountOptions(), branches: branch, diffDirectory: diffDir, operands: operands,
      user: Invocation.effectiveUser)
    let specifications = try request.unmountedBranches()
    let chosen = try chosenBranches(specifications)
    let mode: RepairMode = repair ? (dryRun ? .dry : .on) : .off
    let branches = try BranchSet(
      unmounted: specifications, locked: mode == .on ? chosen : [])
    // A reader that goes away must not end a repair halfway.
    if mode == .on { Daemon.ignoreBrokenPipes() }
    let report = CheckReport(specifications, json: json, mode: mode, verbose: verbose)
    BranchCheck(branches, mode: mode) { chosen.contains($0) }.run { report.add($0) }
    report.finish()
    if report.remaining > 0 { throw SilentExit(status: Failure.Code.failed.rawValue) }
  }

  /// The branches that a repair may change.
  private func chosenBranches(_ branches: [BranchSpecification]) throws(Failure) -> Set<Int> {
    if !repair { return [] }
    if allBranches { return Set(branches.indices) }
    guard branches.first?.permission == .readWrite else {
      throw Failure(
        .usage, "no branch is rw, so there is none to repair",
        advice: "make the top one rw, or add --all-branches")
    }
    return [0]
  }
}
