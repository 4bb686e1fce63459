/// A mount for containerd to make.
public struct MountInstruction: Sendable, Equatable {
  public var type: String
  public var source: String
  public var options: [String]
}

/// How snapshots are mounted.
///
/// A snapshot on nothing is its own directory, and a view of one without further ones below is that one:
/// bind mounts. All else is a union, which containerd makes by `mount.fuse3 overlay TARGET -o OPTIONS…
/// -t PROGRAM`, and that by `PROGRAM overlay TARGET -o OPTIONS`.
struct MountPlan: Sendable {
  /// The folder of all snapshots, absolute, with nothing in it that means something in mount options.
  let folder: String
  let program: String

  func mounts(of snapshot: Snapshot) throws(SnapshotError) -> [MountInstruction] {
    let mappings = try mappings(snapshot.labels)
    switch (snapshot.kind, snapshot.parents.first) {
    case (.active, nil): return [bind(snapshot.id, "rw")]
    case (.view, nil): return [bind(snapshot.id, "ro")]
    case (.view, let parent?) where snapshot.parents.count == 1 && mappings.isEmpty:
      return [bind(parent, "ro")]
    case (.view, _): return [union(lower(snapshot) + mappings)]
    case (.active, _): return [union(upper(snapshot) + lower(snapshot) + mappings)]
    case (.committed, _):
      throw SnapshotError(
        .failedPrecondition, "a committed snapshot is not mounted; make a view of it")
    }
  }

  private func content(_ id: SnapshotID) -> String { "\(folder)/\(id.number)/fs" }

  private func bind(_ id: SnapshotID, _ mode: String) -> MountInstruction {
    MountInstruction(type: "bind", source: content(id), options: [mode, "rbind"])
  }

  private func union(_ options: [String]) -> MountInstruction {
    MountInstruction(type: "fuse3.\(program)", source: "overlay", options: options)
  }

  private func upper(_ snapshot: Snapshot) -> [String] {
    ["workdir=\(folder)/\(snapshot.id.number)/work", "upperdir=\(content(snapshot.id))"]
  }

  private func lower(_ snapshot: Snapshot) -> [String] {
    ["lowerdir=\(snapshot.parents.map(content).joined(separator: ":"))"]
  }

  private func mappings(_ labels: [String: String]) throws(SnapshotError) -> [String] {
    var options: [String] = []
    for (label, option) in [(IDMapping.user, "uidmapping"), (IDMapping.group, "gidmapping")] {
      guard let mapping = labels[label] else { continue }
      options.append("\(option)=\(try IDMapping.option(mapping, label))")
    }
    return options
  }
}
