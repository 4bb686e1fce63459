internal import SystemPackage
internal import UnionCore
internal import UnionFS

/// A fuse-overlayfs command line, turned into the configuration of a union: the upper directory is the
/// `rw` top, each lower one a branch `ro+wh`.
struct OverlayRequest {
  var options: OverlayOptions
  var mountPoint: [UInt8]?
  var user: UInt32

  init(_ arguments: OverlayArguments, user: UInt32) throws(Failure) {
    options = try OverlayOptions(arguments.optionLists)
    mountPoint = arguments.mountPoint
    self.user = user
  }

  func plan() throws(Failure) -> MountRequest.Plan {
    guard let mountPoint, !mountPoint.isEmpty else {
      throw Failure(.usage, "no mount point is given", advice: "name it last")
    }
    if options.lower.isEmpty {
      throw Failure(.usage, "no lower directory is given", advice: "name one with -o lowerdir=DIR")
    }
    if options.upper != nil, options.work == nil {
      throw Failure(
        .usage, "upperdir is given without workdir",
        advice: "name an empty directory on the same file system with -o workdir=DIR")
    }
    let mountOptions = try MountOptions(tolerant: options.words)
    if mountOptions.branches != nil {
      throw Failure(
        .usage, "'br:' and lowerdir exclude each other", advice: "leave one of them out")
    }
    var warnings = options.warnings + mountOptions.warnings
    if options.upper == nil, options.work != nil {
      warnings.append("workdir means nothing without upperdir and is ignored")
    }
    let request = MountRequest(options: mountOptions, user: user)
    var configuration = try request.configuration(
      branches, mountPoint: FilePath(bytes: mountPoint), names: branchNames)
    configuration.owners = options.owners
    return MountRequest.Plan(
      configuration: configuration,
      notes: options.notes + mountOptions.notes, warnings: warnings)
  }

  private var branches: [BranchSpecification] {
    var branches: [BranchSpecification] = []
    if let upper = options.upper {
      var top = BranchSpecification(path: upper, permission: .readWrite)
      top.workDirectory = options.work
      top.owners = options.upperOwners
      branches.append(top)
    }
    return branches
      + options.lower.map {
        var branch = BranchSpecification(
          path: $0, permission: .readOnly, honoursWhiteouts: true)
        branch.owners = .detected(else: nil)
        return branch
      }
  }

  /// What errors call the branches.
  private var branchNames: [String] {
    (options.upper == nil ? [] : ["upper directory"])
      + options.lower.map { _ in "lower directory" }
  }
}
