/// What the program is when it is called by another name: a link's, or that of an `exec`.
enum ProgramName {
  /// Verbs by the last name of `argv[0]`.
  static let verbs: [String: String] = [
    // mount(8) looks for these in /sbin, by the type of a file system.
    "mount.unionfs-swift": MountHelper.verb,
    "mount.fuse.unionfs-swift": MountHelper.verb,
    // podman, buildah and dockerd look for this one.
    Overlay.programName: "overlay",
  ]

  /// The arguments with the verb that the program's name stands for before them.
  static func arguments(calledAs name: String, _ arguments: [String]) -> [String] {
    if let verb = verbs[name] { return [verb] + arguments }
    return MountHelper.isAskedFor(by: arguments) ? [MountHelper.verb] + arguments : arguments
  }

  /// The status to end with: mount(8) has numbers of its own.
  static func status(_ status: Int32, of arguments: [String]) -> Int32 {
    arguments.first == MountHelper.verb ? MountHelper.statusForMount(status) : status
  }
}
