import Foundation
import Testing

/// `check` on branches that nothing mounts.
@Suite struct CheckTests {
  /// A top branch `diff/app` over `diff/base`.
  func store(_ files: [String], content: String = "") throws -> Store {
    let store = try Store(["app": "base\n", "base": ""])
    for file in files {
      if file.hasSuffix("/") {
        try store.makeDirectory("diff/\(file)")
      } else {
        let folder = file.split(separator: "/").dropLast().joined(separator: "/")
        try store.makeDirectory("diff/\(folder)")
        try store.write(content, to: "diff/\(file)")
      }
    }
    return store
  }

  func check(_ store: Store, _ options: String...) throws -> Outcome {
    try spawn(["check"] + options + [store.path("layers/app")])
  }

  func exists(_ store: Store, _ name: String) -> Bool {
    (try? FileManager.default.attributesOfItem(atPath: store.path("diff/\(name)"))) != nil
  }

  @Test func soundBranchesHaveNothingToSay() throws {
    let store = try store(["base/a", "app/.wh.a", "base/d/x", "app/d/.wh..wh..opq", "app/b"])
    let run = try check(store)
    #expect(run.status == 0)
    #expect(run.output.isEmpty && run.error.isEmpty)
    #expect(try check(store, "--json").output == "[]\n")
  }

  static let repairable: [(files: [String], kind: String, place: String, rest: [String])] = [
    (["app/.wh.a"], "needless-whiteout", "app/.wh.a", []),
    (["base/a", "app/a", "app/.wh.a"], "whiteout-beside-entry", "app/.wh.a", ["app/a"]),
    (
      ["base/d/x", "app/d/y", "app/.wh.d"], "whiteout-beside-entry", "app/.wh.d",
      ["app/d/y", "app/d/.wh..wh..opq"]
    ),
    (
      ["base/d/x", "app/d/.wh..wh..opq", "app/d/.wh.x"], "whiteout-in-opaque", "app/d/.wh.x",
      ["app/d/.wh..wh..opq"]
    ),
    (["app/d/.wh..wh..opq"], "needless-opaque", "app/d/.wh..wh..opq", ["app/d"]),
    (
      ["app/.wh..wh.unionfs/t7/deep/file"], "leftover", "app/.wh..wh.unionfs/t7",
      ["app/.wh..wh.unionfs"]
    ),
    (["app/d/.wh..wh.x.0a1b/y"], "leftover", "app/d/.wh..wh.x.0a1b", ["app/d"]),
    (["app/.wh..wh.orph/12"], "orphan", "app/.wh..wh.orph/12", ["app/.wh..wh.orph"]),
    (
      ["app/.wh..wh.long.\(String(repeating: "0", count: 32))"], "broken-long-whiteout",
      "app/.wh..wh.long.\(String(repeating: "0", count: 32))", []
    ),
  ]

  @Test(arguments: repairable)
  func whatIsSafeToMendIsFoundThenForetoldThenMended(
    _ files: [String], _ kind: String, _ place: String, _ rest: [String]
  ) throws {
    let store = try store(files)
    let found = try check(store)
    #expect(found.status == 1)
    let lines = found.output.split(separator: "\n")
    #expect(lines.count == 1)
    #expect(
      found.output.hasPrefix("\(kind)  \(try real(store))/diff/\(place)  "), "\(found.output)")
    let told = try check(store, "--repair", "--dry-run")
    #expect(told.status == 1 && told.output.hasSuffix("; would be repaired\n"), "\(told.output)")
    #expect(exists(store, place))
    let mended = try check(store, "--repair")
    #expect(mended.status == 0 && mended.output.hasSuffix("; repaired\n"), "\(mended.output)")
    #expect(!exists(store, place))
    for name in rest { #expect(exists(store, name), "\(name)") }
    let again = try check(store)
    #expect(again.status == 0 && again.output.isEmpty, "\(again.output)")
  }

  /// The store's path as the command finds it.
  func real(_ store: Store) throws -> String { store.root.resolvingSymlinksInPath().path }

  @Test func whatMayHoldDataStays() throws {
    let store = try store(["app/.wh.a", "app/.wh..wh.plnk/zz"], content: "precious")
    try store.makeDirectory("diff/app/.wh.d")
    try FileManager.default.createSymbolicLink(
      atPath: store.path("diff/app/.wh.l"), withDestinationPath: "/etc")
    try store.write("not a table", to: "diff/app/.wh..wh.aufs")
    let run = try check(store, "--repair")
    #expect(run.status == 1)
    #expect(run.output.contains("needless-whiteout"))
    #expect(run.output.contains("(not repaired: it holds 8 bytes)"))
    for name in [".wh.a", ".wh.d", ".wh.l", ".wh..wh.plnk/zz"] {
      #expect(exists(store, "app/\(name)"))
    }
    #expect(
      run.output.split(separator: "\n").filter { $0.hasPrefix("whiteout-not-regular") }.count == 2)
    #expect(run.output.contains("broken-pseudo-link"))
  }

  @Test func aTableIsOnlyCutByARepair() throws {
    let store = try store(["app/.wh..wh.unionfs/inodes"], content: "unionfs-inodes-1\ntorn")
    let size = {
      try Data(contentsOf: store.root.appending(path: "diff/app/.wh..wh.unionfs/inodes"))
    }
    let run = try check(store)
    #expect(run.status == 1)
    #expect(run.output.hasPrefix("broken-inode-table"))
    #expect(run.output.contains("from byte 17 on"))
    #expect(try check(store, "--repair", "--dry-run").status == 1)
    #expect(try size().count == 21)
    #expect(try check(store, "--repair").status == 0)
    #expect(try size().count == 17)
    try store.write("foreign and longer than the line", to: "diff/app/.wh..wh.unionfs/inodes")
    #expect(try check(store).output.contains("of another program"))
    #expect(try check(store, "--repair").status == 0)
    #expect(try check(store).status == 0)
  }

  @Test func aPseudoLinkThatNothingShowsGoesWhereTheTableCountsNoName() throws {
    let store = try store(["app/.wh..wh.plnk/2a"], content: "written")
    #expect(try check(store, "--repair").output.contains("there is no inode table"))
    #expect(exists(store, "app/.wh..wh.plnk/2a"))
    try store.makeDirectory("diff/app/.wh..wh.unionfs")
    try store.write("unionfs-inodes-1\n", to: "diff/app/.wh..wh.unionfs/inodes")
    #expect(try check(store).output.hasPrefix("broken-pseudo-link  "))
    #expect(try check(store, "--repair").status == 0)
    #expect(!exists(store, "app/.wh..wh.plnk/2a"))
  }

  @Test func aNumberThatTheTableDoesNotTellIsRecorded() throws {
    let store = try store(["app/a"])
    try store.makeDirectory("diff/app/.wh..wh.plnk")
    try FileManager.default.linkItem(
      atPath: store.path("diff/app/a"), toPath: store.path("diff/app/.wh..wh.plnk/2a"))
    #expect(try check(store).output.contains("does not tell its number"))
    #expect(try check(store, "--repair").status == 0)
    #expect(try check(store).status == 0)
  }

  @Test func onlyTheWritableBranchIsMendedUnlessAllAre() throws {
    let store = try store(["app/.wh.a", "base/.wh.b"])
    let first = try check(store, "--repair")
    #expect(first.status == 1)
    #expect(!exists(store, "app/.wh.a") && exists(store, "base/.wh.b"))
    #expect(first.output.contains("(not repaired: the branch is not writable)"))
    #expect(try check(store, "--repair", "--all-branches").status == 0)
    #expect(!exists(store, "base/.wh.b"))
  }

  @Test func aRepairIsRefusedWhileTheBranchIsLocked() throws {
    let store = try store(["app/.wh.a", "app/.wh..wh.unionfs/t1"])
    let holder = Process()
    holder.executableURL = URL(filePath: "/usr/bin/flock")
    holder.arguments = ["--exclusive", store.path("diff/app"), "sh", "-c", "echo; read line"]
    let (input, output) = (Pipe(), Pipe())
    holder.standardInput = input
    holder.standardOutput = output
    try holder.run()
    #expect(try output.fileHandleForReading.read(upToCount: 1)?.count == 1)
    let run = try check(store, "--repair")
    #expect(run.status == 75)
    #expect(run.errorLines.count == 1)
    #expect(exists(store, "app/.wh.a"))
    // What is staged is no leftover.
    let looked = try check(store)
    #expect(looked.status == 1 && !looked.output.contains("leftover"))
    try input.fileHandleForWriting.close()
    holder.waitUntilExit()
    #expect(try check(store, "--repair").status == 0)
  }

  @Test func namesOfBranchesAreEscapedAndJSONIsJSON() throws {
    let store = try store(["app/new\nline/.wh.a\u{1b}"])
    let run = try check(store)
    #expect(run.output.split(separator: "\n").count == 1)
    #expect(run.output.contains("new\\012line/.wh.a\\033  no lower branch"))
    let json = try check(store, "--json", "--repair")
    #expect(json.status == 0)
    let objects = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: String]])
    #expect(objects.count == 1)
    #expect(objects[0]["kind"] == "needless-whiteout" && objects[0]["state"] == "repaired")
    #expect(objects[0]["path"]?.hasSuffix("/diff/app/new\nline/.wh.a\u{1b}") == true)
    #expect(objects[0]["branch"]?.hasSuffix("/diff/app") == true)
  }

  @Test func linksAreNotFollowedAndFIFOsNotOpened() throws {
    let store = try store(["base/d/x"])
    let outside = try Store(["out": ""])
    try outside.write("", to: "diff/out/.wh.gone")
    try FileManager.default.createSymbolicLink(
      atPath: store.path("diff/app/d"), withDestinationPath: outside.path("diff/out"))
    for name in [".wh.f", ".wh..wh.long.0", "plain"] {
      #expect(mkfifo(store.path("diff/app/\(name)"), 0o600) == 0)
    }
    let run = try check(store, "--repair")
    #expect(run.output.split(separator: "\n").count == 2, "\(run.output)")
    #expect(run.output.contains("whiteout-not-regular") && run.output.contains("broken-long"))
    #expect(FileManager.default.fileExists(atPath: outside.path("diff/out/.wh.gone")))
  }

  @Test func depthHasNoLimit() throws {
    let store = try store([])
    // Deeper than PATH_MAX, and than a process has descriptors.
    let script = """
      import os, sys
      os.chdir(sys.argv[1])
      for _ in range(3000): os.mkdir('dir'); os.chdir('dir')
      open('.wh.a', 'w').close()
      """
    for (place, kind) in [("app", "needless-whiteout"), ("app/.wh..wh.unionfs/t1", "leftover")] {
      try store.makeDirectory("diff/\(place)")
      let python = Process()
      python.executableURL = URL(filePath: "/usr/bin/env")
      python.arguments = ["python3", "-c", script, store.path("diff/\(place)")]
      try python.run()
      python.waitUntilExit()
      try #require(python.terminationStatus == 0)
      let run = try check(store, "--repair")
      #expect(run.status == 0 && run.output.hasPrefix(kind), "\(run.output.prefix(200))")
    }
    #expect(!exists(store, "app/.wh..wh.unionfs/t1"))
    let remover = Process()
    remover.executableURL = URL(filePath: "/bin/rm")
    remover.arguments = ["-rf", store.path("diff/app/dir")]
    try remover.run()
    remover.waitUntilExit()
  }

  @Test func whatGoesLeavesTheDirectorysTimes() throws {
    let store = try store(["app/d/.wh.a"])
    let past = Date(timeIntervalSince1970: 1_000_000_000)
    let place = store.path("diff/app/d")
    try FileManager.default.setAttributes([.modificationDate: past], ofItemAtPath: place)
    #expect(try check(store, "--repair").status == 0)
    let time = try FileManager.default.attributesOfItem(atPath: place)[.modificationDate] as? Date
    #expect(time == past)
  }

  @Test(arguments: [
    (["--dry-run", "x"], 64, "--dry-run goes with --repair"),
    (["--all-branches", "x"], 64, "--all-branches goes with --repair"),
    (["--repair", "--branch", "/usr=ro"], 64, "no branch is rw"),
    (["--branch", "/usr=ro", "/mnt"], 64, "'/mnt' is one operand too many"),
    (["--branch", "/usr=ro", "--branch", "/usr=ro"], 69, "named twice"),
    (["/does/not/exist/layers/x"], 66, "does not exist"),
  ])
  func aWrongCommandLineIsRefused(
    _ arguments: [String], _ status: Int32, _ message: String
  ) throws {
    let run = try spawn(["check"] + arguments)
    #expect(run.status == status)
    #expect(run.errorLines.count == 1)
    #expect(run.error.contains(message), "\(run.error)")
  }

  @Test func aValidLongWhiteoutIsToldOfOnlyWhenAsked() throws {
    let name = String(repeating: "n", count: 254)
    let store = try store(["base/\(name)"])
    try store.write(name, to: "diff/app/.wh..wh.long.\(longHash(name))")
    #expect(try check(store).output.isEmpty)
    let run = try check(store, "--verbose")
    #expect(run.status == 0 && run.output.hasPrefix("long-whiteout  "), "\(run.output)")
    try store.remove("diff/base/\(name)")
    #expect(try check(store).output.hasPrefix("needless-whiteout"))
    #expect(try check(store, "--repair").status == 0)
  }

  /// As docs/on-disk-format.md has it.
  private func longHash(_ name: String) -> String {
    [UInt64(0xcbf2_9ce4_8422_2325), 0x9e37_79b9_7f4a_7c15].map { seed in
      let hash = name.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
      let digits = String(hash, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}
