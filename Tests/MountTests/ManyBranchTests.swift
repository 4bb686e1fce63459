import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct ManyBranches {
  @Test func aHundredAndTwentyEightBranchesAreOneTree() throws {
    let lower = (1..<128).map { index in
      Branch.lower([
        .file("own\(index)", "\(index)"), .file("d/in\(index)", "\(index)"),
        .file("shared", "\(index)"),
      ])
    }
    try withUnion([.rw([.whiteout("own64")])] + lower) { u throws in
      #expect(try u.mnt.names().count == 128)
      #expect(try (u / "d").names().count == 127)
      #expect(try (u / "shared").text() == "1")
      #expect(try (u / "own127").text() == "127")
      #expect(throws: Errno.missing) { try (u / "own64").stat() }
      try (u / "d/in127").append("+")
      try (u / "shared").unlink()
      try (u / "own100").rename(to: u / "d/moved")
      #expect(throws: Errno.missing) { try (u / "shared").stat() }
      #expect(try (u / "d/in127").text() == "127+")
      try u.expect(top: [
        ".wh.own100", ".wh.own64", ".wh.shared", "d/", "d/in127=127+", "d/moved=100",
      ])
      try shell("rm", "-r", "\(u / "d")")
      #expect(throws: Errno.missing) { try (u / "d").stat() }
    }
  }

  @Test(.rulesOfAufs, .enabled(if: has(program: "prlimit"), "needs prlimit"))
  func aServerWithFewDescriptorsWalksManyBranches() throws {
    let lower = (1...24).map { index in
      Branch.lower(
        (0..<30).map { .file("d\($0)/e/in\(index)", "\(index)") } + [.file("d0/own\(index)")])
    }
    try withUnion([.rw()] + lower, mounted: false) { u throws in
      u.launcher = ["prlimit", "--nofile=400:400", "--"]
      try u.mount()
      let mount = u.mnt
      let errors = concurrently(8) { thread in
        for round in 0..<3 {
          for folder in 0..<30 {
            let path = mount / Path("d\((folder + thread * 7) % 30)/e")
            guard try path.names().filter({ $0.hasPrefix("in") }).count == 24 else {
              throw Errno.missing
            }
            _ = try (path / "in24").text()
            try (path / Path("new\(thread)-\(round)")).write("n")
          }
        }
      }
      #expect(errors == [])
      try (u / "d1").rename(to: u / "moved")
      #expect(try (u / "moved/e").names().count == 24 + 24)
    }
  }

  /// Walks are read ahead of by a thread of its own, which looks at directories that others change.
  @Test func walksWhileDirectoriesComeAndGo() throws {
    let lower = (1...6).map { index in
      Branch.lower(
        (0..<12).flatMap { outer in
          (0..<6).map { inner in
            Item.file(Path("t/d\(outer)/e\(inner)/in\(index)"), "\(index)")
          }
        })
    }
    @Sendable func walk(_ folder: Path) throws -> Int {
      var count = 0
      for entry in try folder.entries() {
        // What goes while it is walked is no failure.
        guard let status = try? (folder / entry.name).stat() else { continue }
        count += 1
        if status.kind == .directory { count += (try? walk(folder / entry.name)) ?? 0 }
      }
      return count
    }
    try withUnion([.rw()] + lower) { u throws in
      let tree = u / "t"
      #expect(try walk(tree) == 12 + 12 * 6 + 12 * 6 * 6)
      let errors = concurrently(5) { thread in
        if thread < 3 {
          for _ in 0..<6 { _ = try walk(tree) }
          return
        }
        for outer in stride(from: thread - 3, to: 12, by: 2) {
          let folder = tree / Path("d\(outer)")
          try (folder / "e0").removeTree()
          try (folder / "e1").rename(to: folder / "moved")
          try (folder / "e2/in1").unlink()
          try (folder / "e3/new").write("n")
          try (folder / "e0").mkdir()
          try folder.rename(to: tree / Path("was\(outer)"))
        }
      }
      #expect(errors == [])
      // Each outer one has lost six files and one, and has a new one.
      #expect(try walk(tree) == 12 + 12 * 6 + 12 * (6 * 6 - 6 - 1 + 1))
      #expect(try (tree / "was3").names().sorted() == ["e0", "e2", "e3", "e4", "e5", "moved"])
    }
  }

  @Test func aDirectoryOfManyNamesOverSeveralBranches() throws {
    let count = currentEnvironment["UNIONFS_TEST_FULL"] == nil ? 9_000 : 99_000
    let branches: [[Item]] = (0..<3).map { branch in
      (0..<(count / 3 + 100)).map { .file(Path("d/name-\($0 * 3 + branch)-of-a-file")) }
        + (0..<50).map { .file(Path("d/shared-\($0)")) }
    }
    let each = branches[0].count - 50
    try withUnion(
      [.rw(branches[0]), .lower(branches[1]), .lower(branches[2])], checks: [.whiteouts]
    ) { u throws in
      let entries = try (u / "d").entries()
      #expect(entries.count == each * 3 + 50)
      #expect(Set(entries.map(\.name)).count == entries.count)
      #expect(Set(entries.map(\.inode)).count == entries.count)
      for entry in entries.prefix(300) {
        #expect(try (u / "d" / entry.name).stat().inode == entry.inode)
      }
      try (u / "d/name-1-of-a-file").unlink()
      try (u / "d/name-0-of-a-file").unlink()
      try (u / "d/new").write("x")
      #expect(try (u / "d").entries().count == entries.count - 1)
      try shell("rm", "-r", "\(u / "d")")
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func aTreeOfManyFilesIsChangedByProgramsAsOnADisk() throws {
    let items = (0..<40).flatMap { folder in
      (0..<25).map { Item.file("t/d\(folder)/f\($0)", "\(folder)-\($0)") }
    }
    try withUnion(lower: items) { u throws in
      try shell("cp", "-a", "\(u / "t")", "\(u / "copy")")
      try shell("chmod", "-R", "go-rwx", "\(u / "t")")
      try shell("rm", "-r", "\(u / "t/d7")")
      try shell("mv", "\(u / "t/d8")", "\(u / "t/moved")")
      let found = try shell("find", "\(u / "t")", "-type", "f")
      #expect(found.split(separator: "\n").count == 39 * 25)
      try shell("diff", "-r", "\(u / "copy/d9")", "\(u / "t/d9")")
      #expect(try (u / "t/moved/f3").stat().mode == 0o600)
      #expect(try (u / "copy/d8/f3").stat().mode == 0o644)
      try shell("rm", "-r", "\(u / "t")", "\(u / "copy")")
      try u.expect(view: [], top: [".wh.t"])
    }
  }
}
