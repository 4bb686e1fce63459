internal import SystemCalls
internal import SystemPackage
internal import UnionCore
internal import UnionFS

/// What a `mount` command line asks for, turned into the configuration of a union.
struct MountRequest {
  var options: MountOptions
  var branches: [CommandArgument] = []
  var upper: CommandArgument?
  var diffDirectory: CommandArgument?
  var operands: [CommandArgument] = []
  var user: UInt32

  struct Plan {
    var configuration: UnionConfiguration
    /// For the log: what was accepted without a meaning.
    var notes: [String] = []
    /// For the log: what contradicts itself.
    var warnings: [String] = []
  }

  func plan() throws(Failure) -> Plan {
    let named = try namedBranches()
    var stack = named ?? BranchString()
    var warnings: [String] = []
    var mountPoint = operands.last?.path
    if named == nil {
      let store = try layout()
      (stack.branches, warnings) = try layerBranches(store)
      if operands.count == 1 { mountPoint = try Self.defaultMountPoint(store) }
    }
    try stack.checkOrder()
    guard let mountPoint else { throw Failure(.usage, "no mount point is given") }
    return Plan(
      configuration: try configuration(stack.branches, mountPoint: mountPoint),
      notes: options.notes + stack.notes, warnings: options.warnings + warnings)
  }

  /// - Parameter names: what errors call the branches, where they are not counted.
  func configuration(
    _ branches: [BranchSpecification], mountPoint: FilePath, names: [String] = []
  ) throws(Failure) -> UnionConfiguration {
    var branches = branches
    for index in branches.indices {
      if options.owners == .xattr { branches[index].owners = .attribute(.containers) }
      branches[index].path = try Disk.realDirectory(
        branches[index].path,
        names.isEmpty ? "directory of branch \(index + 1)," : names[index])
      if options.readOnly, branches[index].permission == .readWrite {
        // Its whiteouts go on hiding what they hid.
        branches[index].permission = .readOnly
        branches[index].honoursWhiteouts = true
      }
      if let work = branches[index].workDirectory {
        branches[index].workDirectory = try Disk.realDirectory(work, "work directory")
      }
    }
    let real = try Disk.realDirectory(mountPoint, "mount point")
    let name = String(decoding: real.pathBytes, as: UTF8.self)
    guard Array(name.utf8) == real.pathBytes else {
      throw Failure(
        .usage, "mount point \(real) is not UTF-8", advice: "mount at another directory")
    }
    var configuration = UnionConfiguration(branches: branches, mountPoint: name)
    configuration.readOnly = branches.first?.permission != .readWrite
    if options.showsWhiteouts && !configuration.readOnly {
      throw Failure(
        .usage, "'shwh' needs a mount that nothing can be changed through",
        advice: "add 'ro' to the options, or make every branch ro+wh")
    }
    configuration.showsWhiteouts = options.showsWhiteouts
    configuration.sumsFileSystems = options.sumsFileSystems
    configuration.hasACLs = options.hasACLs
    configuration.directoriesHaveOneLink = options.directoriesHaveOneLink
    configuration.passthrough = options.passthrough
    configuration.writeback = options.writeback
    configuration.readers = options.readers
    configuration.serving = options.serving
    configuration.durability = options.durability
    configuration.directoryRename = options.directoryRename
    configuration.whiteouts = options.whiteouts
    configuration.checksPermissions = options.checksPermissions(forUser: user)
    configuration.mountOptions = options.words(
      forUser: user, readOnly: configuration.readOnly)
    return configuration
  }
}

/// The form `--branch DIR=PERM … MNT`, or `-o br:… MNT`.
extension MountRequest {
  /// nil where a layers file names the branches.
  private func namedBranches() throws(Failure) -> BranchString? {
    if branches.isEmpty, options.branches == nil { return nil }
    if !branches.isEmpty, options.branches != nil {
      throw Failure(
        .usage, "the branches are given twice", advice: "use --branch or -o br:, not both")
    }
    if upper != nil || diffDirectory != nil {
      let option = upper == nil ? "--diff-dir" : "--upper"
      throw Failure(
        .usage, "\(option) goes with a LAYERSFILE, not with branches",
        advice: "put DIR=rw first among the branches for a writable top")
    }
    if operands.count > 1 {
      throw Failure(
        .usage, "'\(Text.printable(operands[1].bytes))' is one operand too many",
        advice: "with branches the only operand is the mount point")
    }
    if let string = options.branches { return try BranchString(aufs: string) }
    var stack = BranchString()
    for branch in branches { try stack.append(branch.bytes) }
    return stack
  }
}

/// The form `LAYERSFILE [MNT]`.
extension MountRequest {
  func layout() throws(Failure) -> LayerStoreLayout {
    guard let file = operands.first else {
      throw Failure(
        .usage, "no LAYERSFILE is given", advice: "name ROOT/layers/ID, or use --branch")
    }
    if operands.count > 2 {
      throw Failure(
        .usage, "'\(Text.printable(operands[2].bytes))' is one operand too many",
        advice: "the operands are LAYERSFILE and MNT")
    }
    if upper != nil, options.readOnly {
      throw Failure(.usage, "--upper and -o ro exclude each other")
    }
    guard let name = file.path.lastComponent, name.kind == .regular else {
      throw Failure(
        .usage, "'\(Text.printable(file.bytes))' is no layers file", advice: "name ROOT/layers/ID")
    }
    let directory = file.path.removingLastComponent()
    let real = try Disk.realDirectory(directory.isEmpty ? "." : directory, "directory")
    let diff: FilePath? =
      if let diffDirectory { try Disk.realDirectory(diffDirectory.path, "layer directory") } else {
        nil
      }
    return try LayerStoreLayout(layersFile: real.appending(name), diff: diff)
  }

  /// The branches of a layer, top first, and what is odd about its chain.
  private func layerBranches(
    _ store: LayerStoreLayout
  ) throws(Failure) -> ([BranchSpecification], [String]) {
    let file = try Disk.layersFile(store.layersFile, of: store.id)
    let warnings = try file.checkParents { parent throws(Failure) in
      try Self.parentFile(parent, store)
    }
    let writable = upper == nil && !options.readOnly
    var branches = [
      BranchSpecification(
        path: store.content(of: store.id), permission: writable ? .readWrite : .readOnly,
        honoursWhiteouts: true)
    ]
    try Self.checkLayer(store.content(of: store.id), "\(store.layersFile)")
    for parent in file.parents {
      let path = store.content(of: parent.id)
      try Self.checkLayer(path, "\(store.layersFile) line \(parent.line)")
      branches.append(
        BranchSpecification(path: path, permission: .readOnly, honoursWhiteouts: true))
    }
    if let upper {
      branches.insert(BranchSpecification(path: upper.path, permission: .readWrite), at: 0)
    }
    return (branches, warnings)
  }

  private static func checkLayer(_ path: FilePath, _ source: String) throws(Failure) {
    do {
      try Disk.checkDirectory(path)
    } catch .noSuchFileOrDirectory, .notDirectory {
      throw Failure(
        .missingInput, "\(source): the layer has no directory \(path)",
        advice: "restore the layer, or say with --diff-dir where the layers are")
    } catch {
      throw Disk.failure(error, "\(source): layer directory \(path)")
    }
  }

  private static func parentFile(
    _ parent: LayersFile.Parent, _ store: LayerStoreLayout
  ) throws(Failure) -> (path: String, content: LayersFile)? {
    let path = store.layersFile(of: parent.id)
    do {
      guard try Disk.read(path, limit: 0) != nil else {
        return (path.string, try Disk.layersFile(path, of: parent.id))
      }
      return (path.string, try LayersFile([], of: parent.id, path: path.string))
    } catch let error as Errno where error == .noSuchFileOrDirectory {
      return nil
    } catch let error as Errno {
      throw Disk.failure(error, "layers file \(path)")
    } catch {
      throw error as? Failure ?? Failure(.failed, "layers file \(path): \(error)")
    }
  }

  private static func defaultMountPoint(_ store: LayerStoreLayout) throws(Failure) -> FilePath {
    if let path = store.defaultMountPoint { return path }
    throw Failure(
      .usage, "no mount point is given",
      advice: "\(store.layersFile) does not lie in ROOT/layers, so name MNT")
  }
}

/// The branches of a verb that mounts nothing.
extension MountRequest {
  /// Top first, their directories real. There is no mount point among the operands.
  func unmountedBranches() throws(Failure) -> [BranchSpecification] {
    let allowed = branches.isEmpty ? 1 : 0
    if operands.count > allowed {
      throw Failure(
        .usage, "'\(Text.printable(operands[allowed].bytes))' is one operand too many",
        advice: "name a LAYERSFILE, or the branches with --branch")
    }
    var stack = try namedBranches() ?? BranchString()
    if branches.isEmpty { stack.branches = try layerBranches(try layout()).0 }
    try stack.checkOrder()
    for index in stack.branches.indices {
      stack.branches[index].path = try Disk.realDirectory(
        stack.branches[index].path, "directory of branch \(index + 1),")
    }
    return stack.branches
  }
}
