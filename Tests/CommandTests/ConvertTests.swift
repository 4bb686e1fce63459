import Foundation
import Glibc
import TestSupport
import Testing

/// `convert` on branches that nothing mounts. Devices and attributes of overlayfs are root's.
@Suite(.enabled(if: geteuid() == 0, "needs root"))
struct ConvertTests {
  /// A branch with every case.
  private let cases: [Item] = [
    .whiteout("gone"), .whiteout("dir/a"), .file("dir/own", "O"), .opaque("opaque"),
    .file("opaque/in", "I"), .whiteout("needless"), .file("both", "B"), .whiteout("both"),
    .file("bothdir/f", "F"), .whiteout("bothdir"),
  ]

  private func convert(_ words: String...) throws -> Outcome { try spawn(["convert"] + words) }

  /// The branch, and what it shows with the layer below.
  private func withBranches(
    _ items: [Item], _ body: (Path, () throws -> [String]) throws -> Void
  ) throws {
    let below: [Item] = [
      .file("gone", "1"), .file("dir/a", "2"), .file("dir/b", "3"), .file("opaque/old", "4"),
      .file("both", "5"), .file("bothdir/g", "6"), .file("rest", "7"),
      .file(Path(String(repeating: "n", count: 254)), "long"),
    ]
    let folder = try scratch()
    defer { try? folder.removeTree() }
    let (branch, lower) = (folder / "branch", folder / "lower")
    try fill(branch, items)
    try fill(lower, below)
    try body(branch) {
      try AufsModel([
        .init(path: branch, honoursWhiteouts: true), .init(path: lower, honoursWhiteouts: true),
      ]).view().map(\.detail)
    }
  }

  private func scratch() throws -> Path {
    let folder = Path("/var/tmp/unionfs-swift-convert.\(UInt32.random(in: 0 ... .max))")
    try folder.mkdir()
    return folder
  }

  private func fill(_ branch: Path, _ items: [Item]) throws {
    try branch.mkdir()
    try build(items, in: branch)
  }

  @Test func thereAndBackIsTheSameViewAndTheSameBranch() throws {
    let long = Path(String(repeating: "n", count: 254))
    try withBranches(cases + [.device(long)]) { branch, view in
      let (shown, held) = (try view(), try diskTree(branch))
      let there = try convert("--to", "overlay", "\(branch)")
      #expect(there.status == 0, "\(there.error)")
      #expect(
        there.output.hasPrefix(
          "\(branch)  3 whiteouts and 2 opaque directories converted to overlay, 2 whiteouts beside"
            + " entries dropped\n"), "\(there.output)")
      let between = try view()
      #expect(between == shown, "\(difference(shown, between))")
      let now = try diskTree(branch)
      #expect(!now.contains { $0.contains(".wh.") }, "\(now)")
      #expect(try (branch / "gone").stat().isOverlayWhiteout)
      #expect(try (branch / "needless").stat().inode == (branch / "gone").stat().inode)
      #expect(try (branch / "opaque").attribute("trusted.overlay.opaque") == Array("y".utf8))
      #expect(try (branch / "bothdir").attribute("trusted.overlay.opaque") == Array("y".utf8))
      let again = try convert("--to", "overlay", "\(branch)")
      #expect(again.output.hasPrefix("\(branch)  0 whiteouts and 0 opaque directories"))
      #expect(try diskTree(branch) == now)

      let back = try convert("--to", "aufs", "\(branch)")
      #expect(back.status == 0, "\(back.error)")
      let finally = try view()
      #expect(finally == shown, "\(difference(shown, finally))")
      let last = try diskTree(branch)
      // Beside an entry a whiteout says no more than the entry, or the mark of its directory.
      let lost = [".wh.both", ".wh.bothdir", "\(long)|character 0:0"]
      let come = ["bothdir/.wh..wh..opq", ".wh..wh.long.=\(long)"]
      #expect(
        Set(last) == Set(held).subtracting(lost).union(come), "\(difference(held, last))")
      #expect(
        try (branch / ".wh.gone").stat().inode == (branch / ".wh..wh.aufs").stat().inode)
    }
  }

  @Test func aDryRunChangesNothing() throws {
    try withBranches(cases) { branch, _ in
      let before = try walk(branch).map(\.detail)
      let run = try convert("--to", "overlay", "--dry-run", "\(branch)")
      #expect(run.status == 0)
      #expect(
        run.output.contains("3 whiteouts and 2 opaque directories would be converted to overlay"))
      #expect(try walk(branch).map(\.detail) == before)
    }
  }

  @Test func directoriesKeepTheirTimes() throws {
    try withBranches(cases) { branch, _ in
      let places = [branch, branch / "dir", branch / "opaque", branch / "bothdir"]
      for place in places { try place.setTimes(modified: builtTime) }
      for format in ["overlay", "aufs"] {
        let run = try convert("--to", format, "\(branch)")
        #expect(run.status == 0)
        for path in places {
          #expect(try path.stat().modified == builtTime, "\(path), \(format)")
        }
      }
    }
  }

  @Test func whatCannotBeConvertedIsToldBeforeAnythingIsChanged() throws {
    let odd: [(Item, String, String)] = [
      (.file(".wh.full", "data"), ".wh.full: the whiteout holds 4 bytes", "overlay"),
      (.directory(".wh.folder"), ".wh.folder: the whiteout is no regular file", "overlay"),
      (.directory("d/.wh..wh..opq"), "d/.wh..wh..opq: the opaque marker is no regular", "overlay"),
      (
        Item.directory("r").attribute("trusted.overlay.redirect", "x"),
        "r: overlayfs shows what lies below under another path", "aufs"
      ),
      (
        Item.sparse("m", size: 1 << 20).attribute("trusted.overlay.metacopy", ""),
        "m: overlayfs takes its content from a layer below", "aufs"
      ),
    ]
    for (item, message, format) in odd {
      try withBranches([.whiteout("gone"), .device("dir/a"), item]) { branch, _ in
        let before = try walk(branch).map(\.detail)
        let run = try convert("--to", format, "\(branch)")
        #expect(run.status == 1)
        #expect(run.errorLines.count == 1 && run.error.contains(message), "\(run.error)")
        #expect(try walk(branch).map(\.detail) == before)
      }
    }
  }

  @Test func aFileSystemWithoutAttributesIsToldBeforeAnythingIsChanged() throws {
    let folder = try scratch()
    defer {
      try? folder.umount(lazily: true)
      try? folder.removeTree()
    }
    try folder.mount(source: "ramfs", type: "ramfs", data: "mode=0755")
    let branch = folder / "branch"
    try fill(branch, [.whiteout("gone"), .opaque("d")])
    let before = try tree(of: branch)
    let run = try convert("--to", "overlay", "\(branch)")
    #expect(run.status == 1 && run.error.contains("no attributes for opaque directories"))
    #expect(try tree(of: branch) == before)
  }

  @Test func aufsesOwnNamesGoWhereNothingNeedsThem() throws {
    let own: [Item] = [
      .file(".wh..wh.aufs"), .directory(".wh..wh.plnk"), .directory(".wh..wh.orph"),
      .file(".wh..wh.unionfs/inodes", "unionfs-inodes-1\n"), .file(".wh..wh.unionfs.t12", "half"),
    ]
    try withBranches(cases + own) { branch, _ in
      let run = try convert("--to", "overlay", "\(branch)")
      #expect(run.status == 0 && run.output.split(separator: "\n").count == 5, "\(run.output)")
      #expect(try branch.names().filter { $0.hasPrefix(".wh.") } == [])
    }
    try withBranches([.file(".wh..wh.plnk/2a", "x"), .file(".wh..wh.x.0a1b", "y")]) { branch, _ in
      let run = try convert("--to", "overlay", "\(branch)")
      #expect(run.output.contains("kept     \(branch)/.wh..wh.plnk  it holds files that have"))
      #expect(run.output.contains("kept     \(branch)/.wh..wh.x.0a1b  aufs left it behind"))
      #expect(try (branch / ".wh..wh.plnk/2a").text() == "x")
    }
  }

  @Test func checkAndLayersTellOfEitherFormTheSame() throws {
    let items: [Item] = [
      .whiteout("gone"), .whiteout("needless"), .opaque("opaque"), .file("opaque/in", "I"),
      .whiteout("opaque/x"), .opaque("alone"),
    ]
    try withBranches(items) { branch, _ in
      let lower = branch.parent / "lower"
      func told() throws -> (layers: String, kinds: [String]) {
        let words = ["--branch", "\(branch)=rw", "--branch", "\(lower)=ro+wh"]
        let check = try spawn(["check"] + words)
        #expect(check.status == 1)
        let kinds = check.output.split(separator: "\n").map { $0.split(separator: " ")[0] }
        return (
          try spawn(["layers", "--json", "--paths"] + words).output, kinds.map(String.init).sorted()
        )
      }
      let before = try told()
      #expect(before.kinds == ["needless-opaque", "needless-whiteout", "whiteout-in-opaque"])
      #expect(before.layers.contains("\"whiteouts\":3"), "\(before.layers)")
      #expect(try convert("--to", "overlay", "\(branch)").status == 0)
      let after = try told()
      #expect(after.kinds == before.kinds)
      #expect(after.layers == before.layers)
      let words = ["--branch", "\(branch)=rw", "--branch", "\(lower)=ro+wh"]
      #expect(try spawn(["check", "--repair"] + words).status == 0)
      #expect(try spawn(["check"] + words).status == 0)
      #expect(
        try tree(of: branch) == ["alone/", "gone|character 0:0", "opaque/", "opaque/in=I"])
      #expect(try (branch / "alone").attributes() == [])
      #expect(try (branch / "opaque").isMarkedOpaque)
    }
  }

  @Test func aBranchThatIsWrittenToIsRefused() throws {
    try withBranches([.whiteout("gone")]) { branch, _ in
      let holder = Process()
      holder.executableURL = URL(filePath: "/usr/bin/flock")
      holder.arguments = ["--exclusive", "\(branch)", "sh", "-c", "echo; read line"]
      let (input, output) = (Pipe(), Pipe())
      holder.standardInput = input
      holder.standardOutput = output
      try holder.run()
      #expect(try output.fileHandleForReading.read(upToCount: 1)?.count == 1)
      let run = try convert("--to", "overlay", "\(branch)")
      #expect(run.status == 75 && run.errorLines.count == 1, "\(run.error)")
      #expect(try branch.names() == [".wh.gone"])
      #expect(try convert("--to", "overlay", "--dry-run", "\(branch)").status == 0)
      try input.fileHandleForWriting.close()
      holder.waitUntilExit()
      #expect(try convert("--to", "overlay", "\(branch)").status == 0)
    }
  }

  @Test func severalBranchesAreAllTriedAndJSONIsJSON() throws {
    try withBranches([.whiteout("gone"), .opaque("d"), .directory(".wh..wh.plnk")]) { branch, _ in
      let run = try convert("--to", "overlay", "--json", "/does/not/exist", "\(branch)")
      #expect(run.status == 66 && run.errorLines.count == 1)
      let objects = try #require(
        try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [[String: Any]])
      #expect(objects.count == 1)
      #expect(objects[0]["branch"] as? String == "\(branch)")
      #expect(objects[0]["whiteouts"] as? Int == 1)
      #expect(objects[0]["opaque_directories"] as? Int == 1)
      #expect((objects[0]["removed"] as? [[String: String]])?.count == 1)
    }
    let wrong = try convert("--to", "docker", "/tmp")
    #expect(wrong.status == 64 && wrong.error.contains("it is overlay or aufs"))
  }

  /// Whatever call is the last one: the branch shows the same, and a further run goes on.
  @Test(arguments: ["overlay", "aufs"])
  func aKillAtAnyCallChangesNoView(_ format: String) throws {
    let devices: [Item] = [
      .device("gone"), .device("dir/a"), .file("dir/own", "O"), .marked("opaque"),
      .file("opaque/in", "I"), .device("needless"),
      .device(Path(String(repeating: "n", count: 254))),
    ]
    let items = format == "overlay" ? cases + [.file(".wh..wh.aufs")] : devices
    var wanted: [String]?
    try withBranches(items) { branch, _ in
      #expect(try convert("--to", format, "\(branch)").status == 0)
      wanted = try walk(branch).map(\.line)
    }
    // Every call takes a while: scripts/test-faults does that.
    let step = currentEnvironment["UNIONFS_TEST_FULL"] == "1" ? 1 : 7
    var call = 1
    var isOver = false
    while !isOver {
      try withBranches(items) { branch, view in
        let shown = withoutDirectoryTimes(try view())
        let words = [Server.binary, "convert", "--to", format, "\(branch)"]
        let end = try run(words, environment: ["UNIONFS_SWIFT_TEST_FAULTS": "kill:\(call)"])
        let at = Comment(rawValue: "killed at call \(call) on the way to \(format)")
        #expect(end.status == 0 || end.status == -9, at)
        isOver = end.status == 0
        let now = withoutDirectoryTimes(try view())
        #expect(now == shown, "\(at.rawValue): \(difference(shown, now))")
        let again = try run(words)
        #expect(again.status == 0, "\(at.rawValue): \(again.errors)")
        let then = withoutDirectoryTimes(try view())
        #expect(then == shown, at)
        let held = try walk(branch).map(\.line)
        #expect(held == wanted, "\(at.rawValue): \(difference(wanted ?? [], held))")
      }
      call += step
    }
    #expect(call > 3 * step)
  }

  private func withoutDirectoryTimes(_ lines: [String]) -> [String] {
    lines.map { line in
      line.split(separator: " ").first?.hasSuffix("/") ?? false
        ? String(line.split(separator: "m").first ?? "") : line
    }
  }
}
