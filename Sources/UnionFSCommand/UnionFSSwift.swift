internal import ArgumentParser
internal import SystemCalls
internal import UnionCore

/// `unionfs-swift`: one verb a file.
struct UnionFSSwift: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unionfs-swift",
    abstract: "Show several directories as one writable tree, with aufs's layers and whiteouts.",
    usage: "unionfs-swift <verb> …",
    discussion: """
      EXAMPLES
        unionfs-swift mount /var/lib/docker/aufs/layers/ID /mnt
        unionfs-swift mount --branch /top=rw --branch /base=ro+wh /mnt
        unionfs-swift which /mnt/etc/hosts
        unionfs-swift umount /mnt
        unionfs-swift check /var/lib/docker/aufs/layers/ID
        unionfs-swift images --root /var/lib/docker
        unionfs-swift build -t web:1 . && unionfs-swift run --rm web:1
        unionfs-swift layers web:1
        unionfs-swift overlay -o lowerdir=/l2:/l1,upperdir=/u,workdir=/w /mnt
      """,
    version: "0.1.0",
    subcommands: [
      Mount.self, Umount.self, Which.self, Check.self, Convert.self, Images.self, TagImage.self,
      Rmi.self,
      Inspect.self, History.self, Tree.self, Create.self, Ps.self, Rm.self, Df.self, Du.self,
      Prune.self, Load.self, Save.self, Import.self, Export.self, Diff.self, Commit.self, Run.self,
      Build.self, Squash.self,
      Layers.self, Overlay.self, Manual.self, MountHelper.self,
    ])

  func run() throws {
    throw Failure(.usage, "no verb is given", advice: "'unionfs-swift --help' names them")
  }
}

/// Ends the process with a status after everything was said.
struct SilentExit: Error {
  let status: Int32
}

/// Parses the process's arguments, runs the verb that they or its name ask for and exits with its status.
public func runUnionFSSwift() -> Never {
  Daemon.openStandardDescriptors()
  Faults.armFromEnvironment()
  let arguments = ProgramName.arguments(
    calledAs: CommandArgument.programName, CommandArgument.all)
  Daemon.exit(ProgramName.status(UnionFSSwift.status(of: arguments), of: arguments))
}

extension UnionFSSwift {
  /// The one place where an error becomes a line and a status.
  static func status(of arguments: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      try command.run()
      return 0
    } catch let failure as Failure {
      Text.writeError(failure.description)
      return failure.code.rawValue
    } catch let exit as SilentExit {
      return exit.status
    } catch {
      return status(ofParserError: error, arguments)
    }
  }

  /// Help and version go to standard output; a wrong command line is one line and status 64.
  private static func status(ofParserError error: any Error, _ arguments: [String]) -> Int32 {
    if exitCode(for: error) == .success {
      Text.writeOutput(Array((fullMessage(for: error) + "\n").utf8))
      return 0
    }
    let verbs = configuration.subcommands.compactMap { $0.configuration.commandName }
    let verb = verbs.first { $0 == arguments.first }
    var message = message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
    if verb == nil, let word = arguments.first, !word.hasPrefix("-") {
      message = "unknown verb '\(word)'"
    }
    let help = (["unionfs-swift"] + (verb.map { [$0] } ?? []) + ["--help"]).joined(separator: " ")
    let failure = Failure(.usage, message, advice: "see '\(help)'")
    Text.writeError(failure.description)
    return failure.code.rawValue
  }
}
