internal import ArgumentParser

/// `unionfs-swift`: one subcommand a file.
struct UnionFSSwift: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unionfs-swift", abstract: "A union file system in user space.")
}

/// Parses the process's arguments, runs the verb they name and exits with its status.
public func runUnionFSSwift() -> Never {
  UnionFSSwift.main()
  UnionFSSwift.exit()
}
