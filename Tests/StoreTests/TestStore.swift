import Glibc
import TestSupport
import Testing

/// A layer store in a temporary folder, and a root file system with busybox to make images of.
final class TestStore {
  let folder: Path
  var root: Path { folder / "store" }
  /// `bin/busybox` and links to it, `etc/passwd`, `etc/group`.
  let base: Path

  init() throws {
    let parent = currentEnvironment["UNIONFS_TEST_DIR"] ?? "/var/tmp"
    folder = Path("\(parent)/unionfs-swift-store.\(UInt32.random(in: 0 ... .max))")
    base = folder / "base"
    for path in [folder, base, base / "bin", base / "etc"] { try path.mkdir() }
    try shell("cp", "/bin/busybox", "\(base / "bin/busybox")")
    for name in [
      "sh", "cat", "ls", "rm", "mkdir", "id", "pwd", "env", "touch", "hostname", "ip", "stat",
    ] {
      try (base / "bin" / Path(name)).symlink(to: "busybox")
    }
    try (base / "etc/passwd").write("root:x:0:0:root:/root:/bin/sh\nmail:x:8:9:mail:/m:/bin/sh\n")
    try (base / "etc/group").write("root:x:0:\nmail:x:9:\nextra:x:20:mail\n")
  }

  deinit {
    for line in (try? Path("/proc/self/mounts").text().split(separator: "\n")) ?? [] {
      let point = line.split(separator: " ").dropFirst().first ?? ""
      if point.hasPrefix("\(folder)/") { try? Path(String(point)).umount(lazily: true) }
    }
    try? folder.removeTree()
  }

  /// Runs a verb on the store.
  func call(_ words: String...) throws -> Finished { try call(words) }

  func call(_ words: [String]) throws -> Finished {
    try run([Server.binary, words[0], "--root", "\(root)"] + words.dropFirst(), seconds: 120)
  }

  /// The output of a verb that must succeed, without the last newline.
  @discardableResult
  func output(_ words: String...) throws -> String {
    let end = try call(words)
    try end.requireSuccess(words.joined(separator: " "))
    return end.output.hasSuffix("\n") ? String(end.output.dropLast()) : end.output
  }

  /// Makes the image `base`.
  func importBase() throws {
    try output("import", "-c", "CMD [\"/bin/sh\"]", "\(base)", "base")
  }

  /// Builds a Dockerfile in a folder of its own.
  func build(_ dockerfile: String, _ options: [String] = [], files: [Path: String] = [:]) throws
    -> Finished
  {
    let context = folder / "context"
    if context.exists { try context.removeTree() }
    try context.mkdir()
    try (context / "Dockerfile").write(dockerfile)
    for (path, text) in files {
      try shell("mkdir", "-p", "\((context / path).parent)")
      try (context / path).write(text)
    }
    return try call(["build"] + options + ["\(context)"])
  }

  /// What a command of an image writes.
  func inside(_ image: String, _ words: String...) throws -> String {
    let end = try call(["run", "--rm", image] + words)
    try end.requireSuccess("run \(image)")
    return end.output
  }

  /// Nothing is mounted, staged or wrong.
  func expectSound(_ location: SourceLocation = #_sourceLocation) throws {
    let check = try call("check")
    #expect(check.status == 0 && check.output == "", "\(check.output)", sourceLocation: location)
    for name: Path in ["transactions", "tmp", "run"] where (root / "unionfs-swift" / name).exists {
      #expect(try (root / "unionfs-swift" / name).names() == [], sourceLocation: location)
    }
    let mounts = try Path("/proc/self/mounts").text()
    #expect(!mounts.contains("\(folder)"), sourceLocation: location)
  }
}

/// Where containers can run.
let runsContainers: Bool =
  geteuid() == 0 && Path("/dev/fuse").exists && has(program: "runc")
  && Path("/bin/busybox").exists
