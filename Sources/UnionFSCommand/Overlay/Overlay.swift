internal import ArgumentParser
internal import Logging
internal import SystemCalls
internal import UnionCore

/// `unionfs-swift overlay`, and this program called as `fuse-overlayfs`: the command line by which podman,
/// buildah, dockerd and containerd have a container's root mounted.
struct Overlay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "overlay",
    abstract: "Mount as fuse-overlayfs is asked to; also by that name.",
    usage: """
      unionfs-swift overlay [-f] [-d] -o lowerdir=<dir>:<dir>…[,upperdir=<dir>,workdir=<dir>][,<opt>…] \
      [<source>] <mnt>
      fuse-overlayfs (the same)
      """,
    discussion: """
      The first lower directory is the topmost. Without upperdir the mount is read-only. Lower \
      directories honour whiteouts. What the mount keeps for itself lies in workdir. An option that is \
      not known is told of and ignored. The status is 0 once the mount is live, else 1.

      EXAMPLES
        unionfs-swift overlay -o lowerdir=/l2:/l1,upperdir=/u,workdir=/w /mnt
        ln -s /usr/bin/unionfs-swift /usr/local/bin/fuse-overlayfs
      """)

  @Argument(parsing: .captureForPassthrough, help: .hidden)
  var words: [CommandArgument] = []

  /// What the program is called where clients look for it.
  static let programName = "fuse-overlayfs"

  func run() throws {
    do {
      try mount()
    } catch let failure as Failure {
      // What the numbers of other verbs tell, no client asks for.
      throw Failure(.failed, failure.message, advice: failure.advice)
    } catch let exit as SilentExit {
      throw SilentExit(status: exit.status == 0 ? 0 : Failure.Code.failed.rawValue)
    }
  }

  private func mount() throws {
    let arguments = try OverlayArguments(words)
    if arguments.wantsHelp || arguments.wantsVersion {
      return Text.writeOutput(Array((arguments.wantsHelp ? Self.help : Self.version).utf8))
    }
    let logger = Log.start(level: LogLevel(arguments.isDebugging ? .debug : .warning))
    for warning in arguments.warnings { logger.warning("\(warning)") }
    let plan = try OverlayRequest(arguments, user: Invocation.effectiveUser).plan()
    for note in plan.notes { logger.notice("\(note)") }
    for warning in plan.warnings { logger.warning("\(warning)") }
    if arguments.isInForeground {
      try Server.run(plan.configuration, logger) {}
    } else {
      try Server.detach(plan.configuration, logger)
    }
  }

  private static var help: String { UnionFSSwift.helpMessage(for: Overlay.self) + "\n" }

  /// Clients show it; some look for the name.
  private static var version: String {
    "\(programName): version 1.10 (unionfs-swift \(UnionFSSwift.configuration.version))\n"
  }
}
