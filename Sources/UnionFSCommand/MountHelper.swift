internal import ArgumentParser
internal import Logging
internal import SystemCalls
internal import SystemPackage
internal import UnionCore
internal import UnionFS

/// `mount.unionfs-swift SOURCE TARGET [-fnsv] [-o OPT,…]`: how mount(8) and mount.fuse(8) call a file
/// system's program, for fstab(5), `mount -t` and systemd's mount units.
struct MountHelper: ParsableCommand {
  static let verb = "mount.unionfs-swift"

  static let configuration = CommandConfiguration(
    commandName: verb,
    abstract: "Mount a union as mount(8) and fstab(5) ask for it.",
    usage: """
      mount.unionfs-swift <source> <target> [-f] [-n] [-s] [-v] [-o <opt>,…]
      unionfs-swift <source> <target> -o <opt>,…
      """,
    discussion: """
      SOURCE is a layers file, ROOT/layers/ID; or any word, where the options name the branches \
      (br:TOP=rw:LOWER=ro+wh). It is shown as the mount's source. The options are those of \
      'unionfs-swift mount', and what mount(8) and fstab(5) have of their own.

      EXAMPLES
        mount -t unionfs-swift -o br:/top=rw:/base=ro+wh none /mnt
        mount -t fuse.unionfs-swift /store/layers/ID /mnt
        mount -t unionfs-swift -o ro,nosuid /store/layers/ID /mnt
      """,
    // A name of the program, and no verb for people.
    shouldDisplay: false)

  @Flag(name: .customShort("f"), help: "Only check what would be mounted.")
  var isFake = false

  @Flag(name: .customShort("n"), help: "Accepted for mount(8): there is no table to write.")
  var leavesTable = false

  @Flag(name: .customShort("s"), help: "Pass over options that are not known.")
  var isSloppy = false

  @Flag(name: .customShort("v"), help: "Say what was mounted.")
  var isVerbose = false

  @Option(
    name: .customShort("o", allowingJoined: true),
    help: ArgumentHelp("Mount options, joined by commas; may be repeated.", valueName: "opt,…"))
  var options: [CommandArgument] = []

  @Option(
    name: .customShort("t"),
    help: ArgumentHelp("Accepted for mount(8): the type that it was asked for.", valueName: "type"))
  var type: String?

  @Argument(
    help: ArgumentHelp("A layers file, or a word beside 'br:'.", valueName: "source"),
    completion: .file())
  var source: CommandArgument

  @Argument(help: ArgumentHelp("The mount point.", valueName: "target"), completion: .directory)
  var target: CommandArgument

  func run() throws {
    let logger = Log.start(level: LogLevel(.warning))
    let plan = try request().plan()
    for note in plan.notes { logger.notice("\(note)") }
    for warning in plan.warnings { logger.warning("\(warning)") }
    if !isFake { try Server.detach(plan.configuration, logger) }
    if isVerbose {
      let line = "\(Text.printable(source.bytes)) mounted on \(plan.configuration.mountPoint).\n"
      Text.writeOutput(Array(line.utf8))
    }
  }

  private func request() throws(Failure) -> MountRequest {
    var options = try MountOptions(options.map(\.bytes), sloppy: isSloppy)
    if options.branches == nil, !source.bytes.contains(UInt8(ascii: "/")) {
      throw Failure(
        .usage, "'\(Text.printable(source.bytes))' is no layers file, and no branches are given",
        advice: "write '-o br:TOP=rw:LOWER=ro+wh', or name ROOT/layers/ID as the source")
    }
    // mount(8) finds by it what of fstab is mounted already.
    options.setDefaultSource(String(decoding: source.bytes, as: UTF8.self))
    return MountRequest(
      options: options, operands: options.branches == nil ? [source, target] : [target],
      user: Invocation.effectiveUser)
  }
}

extension MountHelper {
  /// What mount(8) makes of a helper's status: 1 is a wrong call or a missing permission, 32 a mount that
  /// failed. Ours would be read as sums of them: 64 is "some of several were mounted".
  static func statusForMount(_ status: Int32) -> Int32 {
    if status == 0 { return 0 }
    switch Failure.Code(rawValue: status) {
    case .usage, .permission: return 1
    default: return 32
    }
  }

  /// Whether arguments of `unionfs-swift` itself are those of a helper: mount.fuse(8) runs
  /// `TYPE SOURCE TARGET -o OPT,…`. A verb is never taken for a source.
  static func isAskedFor(by arguments: [String]) -> Bool {
    guard arguments.count >= 3, let source = arguments.first, !source.hasPrefix("-"),
      !arguments[1].hasPrefix("-"),
      let option = arguments.firstIndex(where: { $0.hasPrefix("-o") }), option >= 2
    else { return false }
    let verbs = UnionFSSwift.configuration.subcommands.compactMap { $0.configuration.commandName }
    if (verbs + ["help"]).contains(source) { return false }
    if source.contains("/") { return true }
    let words = arguments[option...].joined(separator: ",").split(separator: ",")
    return ["br:", "br=", "dirs=", "dirs:"].contains { prefix in
      words.contains { $0.hasPrefix(prefix) || $0.hasPrefix("-o" + prefix) }
    }
  }
}
