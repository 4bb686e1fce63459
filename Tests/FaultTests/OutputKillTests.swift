import Glibc
import TestSupport
import Testing

/// kill -9 of what writes a file or a directory beside the store.
@Suite struct OutputKillTests {
  private static let step = Scenario.isComplete ? 1 : 71

  @Test(arguments: [
    ["save", "-q", "-o", "FILES/out", "me/app:1"],
    ["save", "-q", "--format", "oci-archive", "-o", "FILES/out", "me/app:1"],
    ["save", "-q", "--format", "oci-dir", "-o", "FILES/out", "me/app:1"],
  ])
  func whatIsSeenOfAnOutputIsWholeAndTheNextOneLeavesNothingElse(_ words: [String]) throws {
    let store = try StoreCase(StoreChange(words.joined(separator: " "), words))
    let (before, beside) = (try store.state(), try store.files.names())
    let temporary = store.folder / "tmp"
    try temporary.mkdir()
    try store.act().requireSuccess(words[0])
    let whole = try output(store)
    var call = 1
    while true {
      if (store.files / "out").exists { try (store.files / "out").removeTree() }
      let end = try store.act(faults: "kill:\(call)", environment: ["TMPDIR": "\(temporary)"])
      let at = Comment(rawValue: "killed at call \(call): \(end.status) \(end.errors)")
      if (store.files / "out").exists { #expect(try output(store) == whole, at) }
      // Files have no name before they are whole; a directory must have one.
      let isFile = !words.contains("oci-dir")
      if isFile { #expect(try store.files.names().filter { $0 != "out" } == beside, at) }
      #expect(try temporary.names() == [], at)
      if end.status == 0 { break }
      #expect(end.status == -9, at)
      _ = try store.ours(["rmi", "nothing"])
      #expect(try store.state() == before, at)
      #expect(try store.mounts() == [], at)
      call += Self.step
    }
    #expect(call > Self.step)
    #expect(try store.files.names() == (beside + ["out"]).sorted())
  }

  private func output(_ store: StoreCase) throws -> [String] {
    try tree(of: store.files).filter { $0.hasPrefix("out") }
  }

  /// As on a file system without files that have no name.
  @Test func aDirectoryThatWasKilledInTheMiddleGoesWithTheNextOne() throws {
    let words = ["save", "-q", "--format", "oci-dir", "-o", "FILES/out", "me/app:1"]
    let store = try StoreCase(StoreChange("save", words))
    let beside = try store.files.names()
    // The first thing that it makes is the directory.
    #expect(try store.act(faults: "kill-change:3").status == -9)
    let left = Set(try store.files.names()).subtracting(beside)
    #expect(left.count == 1 && left.allSatisfy { $0.hasPrefix(".out.unionfs-swift.") }, "\(left)")
    // One that lives is left alone, and so is another output's.
    let other = store.files / ".other.unionfs-swift.1"
    try other.mkdir()
    let living = store.files / ".out.unionfs-swift.living"
    try living.mkdir()
    let held = try living.open(O_RDONLY | O_DIRECTORY)
    try held.flock(2)
    try store.act().requireSuccess("save")
    held.close()
    #expect(
      try store.files.names()
        == (beside + ["out", ".other.unionfs-swift.1", ".out.unionfs-swift.living"]).sorted())
  }
}
