import Glibc
import TestSupport
import Testing

/// A command that changes a layer store, and what it takes for that to be seen.
struct StoreChange: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// Its verb and the rest. `FILES` stands for the folder of `StoreCase.files`.
  let words: [String]
  /// Changes of the sample store before it.
  let before: [[String]]
  /// What it comes through: commands that end where it may be left, in order.
  let ways: [[String]]
  /// Needs a mount of its own.
  let mounts: Bool

  init(
    _ name: String, _ words: [String], before: [[String]] = [], ways: [[String]] = [],
    mounts: Bool = false
  ) {
    (testDescription, self.words, self.before, self.ways) = (name, words, before, ways)
    self.mounts = mounts
  }

  /// Takes some ten milliseconds: tried at more calls, and again after each.
  var isQuick: Bool { ["tag", "rmi", "create", "rm", "prune"].contains(words[0]) }

  static let all: [StoreChange] = [
    StoreChange("tag", ["tag", "me/app:1", "new:1"]),
    StoreChange("rmi", ["rmi", "me/app:1"]),
    StoreChange(
      "rmi with all names and what lies below", ["rmi", "-f", "b1"],
      before: [["rm", "old"], ["rmi", "me/app:1"]]),
    StoreChange("create", ["create", "--name", "web", "me/app:1"]),
    StoreChange("rm", ["rm", "old"]),
    StoreChange("prune", ["prune", "-a", "--containers"]),
    StoreChange("commit", ["commit", "-q", "old", "new:1"]),
    StoreChange("import", ["import", "-q", "FILES/root.tar", "new:1"]),
    StoreChange("import of a directory", ["import", "-q", "FILES/root", "new:1"]),
    StoreChange(
      "load", ["load", "-q", "-i", "FILES/app.tar"],
      before: [["rm", "old"], ["prune", "-a"]]),
    StoreChange(
      "load of what is there in part", ["load", "-q", "-i", "FILES/app.tar"],
      before: [["load", "-q", "-i", "FILES/app.tar"], ["rmi", "me/app:1"]]),
    StoreChange("squash", ["squash", "-q", "me/app:1", "new:1"], mounts: true),
    StoreChange(
      "build", ["build", "-q", "-t", "new:1", "FILES/context"],
      ways: [
        ["build", "-q", "-f", "FILES/first", "FILES/context"],
        ["build", "-q", "-f", "FILES/second", "FILES/context"],
        ["build", "-q", "-f", "FILES/context/Dockerfile", "FILES/context"],
      ], mounts: true),
  ]

  /// Tried in the complete run alone: what they add to the others takes its time.
  private static let rarely: Set<String> = [
    "rmi with all names and what lies below", "import of a directory",
    "load of what is there in part",
  ]

  static var chosen: [StoreChange] {
    let wanted = currentEnvironment["UNIONFS_TEST_SCENARIO"]
    let canMount = Path("/dev/fuse").exists && (geteuid() == 0 || has(program: "fusermount3"))
    return all.filter {
      let isWanted =
        wanted.map($0.testDescription.contains)
        ?? (Scenario.isComplete || !rarely.contains($0.testDescription))
      return isWanted && (canMount || !$0.mounts)
    }
  }
}

/// A store that changes are tried on again and again, and what lies beside it; gone with its last owner.
final class StoreCase {
  let folder: Path
  var root: Path { folder / "store" }
  var files: Path { folder / "files" }
  private let change: StoreChange
  private let template: ImageStore

  init(_ change: StoreChange) throws {
    self.change = change
    folder = Path("/tmp/unionfs-store-kill.\(UInt32.random(in: .min ... .max))")
    template = try ImageStore.sample()
    try template.addContainer("cc", of: "b1", name: "old", [.file("a/b/c", "text")])
    try folder.mkdir(0o700)
    try files.mkdir()
    try makeFiles()
    try reset()
    for words in change.before { try ours(words).requireSuccess(words.joined(separator: " ")) }
    // Its own places are there and nothing is left to be ended.
    _ = try ours(["rmi", "nothing"])
    try template.root.removeTree()
    try root.rename(to: template.root)
    try reset()
  }

  deinit {
    for point in (try? mounts()) ?? [] { try? point.umount(lazily: true) }
    try? folder.removeTree()
  }

  private func makeFiles() throws {
    for place: Path in ["root", "root/etc", "context", "context/data"] {
      try (files / place).mkdir()
    }
    try (files / "root/etc/passwd").write("root:x:0:0::/:/bin/sh\n")
    try (files / "root/etc/passwd").link(to: files / "root/etc/passwd-")
    try (files / "root/sh").symlink(to: "etc/passwd")
    try shell("tar", "-C", "\(files / "root")", "-cf", "\(files / "root.tar")", ".")
    try (files / "context/data/one").write("1")
    try (files / "context/two").write("2")
    let lines = ["FROM scratch", "COPY data /data", "COPY two /data/two", "ENV A=1"]
    for (name, count) in [("first", 2), ("second", 3), ("context/Dockerfile", 4)] as [(Path, Int)] {
      try (files / name).write(lines.prefix(count).map { $0 + "\n" }.joined())
    }
    try run(
      [Server.binary, "save", "--root", "\(template.root)", "-q", "-o", "\(files / "app.tar")"]
        + ["me/app:1", "d3"]
    ).requireSuccess("save")
  }

  /// The store as it was before the change.
  func reset() throws {
    if root.exists { try root.removeTree() }
    try shell("cp", "-a", "\(template.root)", "\(root)")
  }

  /// Runs a verb on the store.
  func ours(
    _ words: [String], faults: String? = nil, environment: [String: String] = [:]
  ) throws -> Finished {
    var environment = environment
    if let faults { environment["UNIONFS_SWIFT_TEST_FAULTS"] = faults }
    let rest = words[1...].map { word in
      word.hasPrefix("FILES") ? "\(files)" + word.dropFirst(5) : word
    }
    return try run(
      [Server.binary, words[0], "--root", "\(root)"] + rest, environment: environment)
  }

  /// Makes the change.
  func act(faults: String? = nil, environment: [String: String] = [:]) throws -> Finished {
    try ours(change.words, faults: faults, environment: environment)
  }

  /// What is mounted below the folder.
  func mounts() throws -> [Path] {
    try Path("/proc/self/mounts").text().split(separator: "\\n").compactMap { line in
      let words = line.split(separator: " ")
      return words.count > 1 && words[1].hasPrefix("\(folder)/") ? Path(String(words[1])) : nil
    }
  }
}

/// What a store shows, and what its files are. Ids and times that each run makes anew read as `NEW`.
struct StoreState: Equatable {
  /// What readers tell.
  let view: String
  let files: [String]
}

extension StoreCase {
  /// What readers tell, which must say nothing of errors.
  func view() throws -> (text: String, errors: String) {
    let images = try ours(["images", "-a", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"])
    let containers = try ours(["ps", "-a", "--format", "{{.Names}} {{.Image}}"])
    let failed = images.status != 0 || containers.status != 0 ? "status " : ""
    let lines = images.output.split(separator: "\n").map { line in
      let id = line.prefix(12)
      return known.contains(where: { $0.hasPrefix(id) }) ? String(line) : "NEW\(line.dropFirst(12))"
    }
    return (
      (lines.sorted() + [containers.output]).joined(separator: "\n"),
      failed + images.errors + containers.errors
    )
  }

  /// Every file of the store but its lock. Contents count where they hold no time.
  func listing() throws -> [String] {
    try walk(root).compactMap { node -> String? in
      let path = "\(node.path)"
      if ["unionfs-swift/lock", "unionfs-swift/run"].contains(path) { return nil }
      let isNew = replaced(path) != path
      let hasTime = isNew && (path.hasSuffix("/json") || path.hasPrefix("containers/"))
      let mode = String(node.status.mode, radix: 8)
      var line = hasTime ? path : node.line
      if path == "repositories-aufs" { line = try "\(path)=\((root / node.path).text())" }
      return "\(replaced(line)) \(mode) \(node.status.uid):\(node.status.gid)"
    }.sorted()
  }

  func state() throws -> StoreState { StoreState(view: try view().text, files: try listing()) }

  /// The states that the change comes through, the old one first and the new one last.
  func states() throws -> [StoreState] {
    var states = [try state()]
    for words in change.ways + [change.words] {
      try ours(words).requireSuccess(words.joined(separator: " "))
      let state = try state()
      if states.contains(state) { throw CommandFailure.failed(words, try ours(["images", "-a"])) }
      states.append(state)
    }
    return states
  }

  /// The ids that the store had before.
  private var known: [String] { template.known }

  /// With `NEW` for each id that it had not.
  private func replaced(_ text: String) -> String {
    var result = ""
    var digits = ""
    for character in text + "\n" {
      if character.isHexDigit {
        digits.append(character)
        continue
      }
      result += digits.count == 64 && !known.contains(digits) ? "NEW" : digits
      digits = ""
      result.append(character)
    }
    return String(result.dropLast())
  }
}

extension ImageStore {
  /// The ids of what it was made with.
  fileprivate var known: [String] {
    ["a0", "b1", "c2", "d3", "cc", "c0ffee"].map(ImageStore.id)
  }
}
