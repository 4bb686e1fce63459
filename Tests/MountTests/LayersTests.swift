import Glibc
import TestSupport
import Testing

/// `layers` beside what a mount shows.
@Suite(.mounts, .rulesOfAufs) struct LayersTests {
  /// What the verb's paths say is seen.
  private struct Told {
    var names: Set<Path> = []
    var bytes: UInt64 = 0
  }

  /// One line for each path: `{"path": "/a", "copies": [{… "bytes": 1, … "state": "visible"}]}`.
  private func told(_ u: Union) throws -> Told {
    let branches = zip(u.branches, u.specification).flatMap {
      ["--branch", "\($0)=\($1.permission)"]
    }
    let end = try run([Server.binary, "layers", "--json", "--paths"] + branches)
    try end.requireSuccess("layers")
    var told = Told()
    for line in end.output.split(separator: "\n") where line.hasPrefix("{\"path\": \"/") {
      guard let name = line.dropFirst(11).split(separator: "\"").first else { continue }
      for copy in line.split(separator: "{\"layer\": ") where copy.contains("\"visible\"") {
        told.names.insert(Path(String(name)))
        let size = copy.split(separator: "\"bytes\": ").last?.prefix { $0.isNumber }
        told.bytes += UInt64(size ?? "") ?? 0
      }
    }
    return told
  }

  private func expectSame(_ u: Union) throws {
    var names: Set<Path> = []
    var files: [UInt64: UInt64] = [:]
    for node in try walk(u.mnt) {
      names.insert(node.path)
      if node.status.kind == .file { files[node.status.inode] = node.status.size }
    }
    let told = try told(u)
    #expect(
      told.names == names, "\(difference(told.names.map { "\($0)" }, names.map { "\($0)" }))")
    #expect(told.bytes == files.values.reduce(0, +))
  }

  @Test func whatIsSeenIsWhatTheMountShows() throws {
    try withUnion(
      [
        .rw([
          .file("changed", "top"), .whiteout("gone"), .whiteout("d/gone"), .opaque("opaque"),
          .file("opaque/new", "1"), .file("was-directory", "file"), .file("was-file/in", "12"),
          .file("back/again", "123"),
        ]),
        .lower([
          .file("d/middle", "middle"), .whiteout("back"), .file("gone", "gone"),
          .file("opaque/gone", "gone"), .symlink("l", to: "changed"),
        ]),
        .lower([
          .file("changed", "base"), .file("gone", "base"), .file("d/gone"), .file("d/kept", "kept"),
          .file("opaque/old/deep", "old"), .file("was-directory/in/deep", "deep"),
          .file("was-file", "file"), .file("back/old", "old"),
          .file("linked", "linked"), .hardLink("d/linked", of: "linked"),
          .hardLink("back/linked", of: "linked"),
        ]),
      ], checks: []
    ) { u in try expectSame(u) }
  }

  @Test func whiteoutsOfABranchThatHonoursNoneAreNotLookedAt() throws {
    try withUnion(
      [
        .rw([.file("a", "1")]), .plain([.whiteout("b"), .opaque("d"), .file("d/c", "12")]),
        .lower([.file("b", "123"), .file("d/e", "1234")]),
      ], checks: []
    ) { u in try expectSame(u) }
  }

  @Test func itIsTrueAfterChangesThroughTheMountToo() throws {
    // Its whiteout is of the long form.
    let long = Path(String(repeating: "n", count: 254))
    try withUnion(
      [
        .rw(),
        .lower([
          .file("a/b/c", "base"), .file("x", "base"), .file("y", "base"), .file(long, "base"),
        ]),
      ], checks: []
    ) { u in
      try (u / long).unlink()
      try (u / "x").write("longer than it was")
      try (u / "y").unlink()
      try shell("rm", "-r", "\(u / "a")")
      try shell("mkdir", "-p", "\(u / "a/b")")
      try (u / "a/b/new").write("new")
      try u.unmount()
      try u.mount()
      try expectSame(u)
    }
  }

  /// Branches of random entries, whiteouts, opaque directories and types.
  @Test(arguments: 0..<6) func randomLayersAreToldAsTheyAreMounted(_ seed: UInt64) throws {
    var numbers = Numbers(state: 0x9E37_79B9_7F4A_7C15 &* (seed + 1))
    let branches = (0..<4).map { branch in
      var items: [Item] = []
      fill(Path(bytes: []), depth: 0, &items, &numbers)
      return branch == 0 ? Branch.rw(items) : .lower(items)
    }
    try withUnion(branches, checks: []) { u in try expectSame(u) }
  }

  private func fill(_ folder: Path, depth: Int, _ items: inout [Item], _ numbers: inout Numbers) {
    for name: Path in ["a", "b", "c", "e"] {
      switch numbers.next() % 8 {
      case 0...1:
        let size = Int(numbers.next() % 50)
        items.append(.file(folder / name, String(repeating: "x", count: size)))
      case 2: items.append(.whiteout(folder / name))
      case 3: items.append(.symlink(folder / name, to: "nowhere"))
      case 4...6 where depth < 3:
        items.append(.directory(folder / name))
        if numbers.next() % 4 == 0 { items.append(.opaque(folder / name)) }
        fill(folder / name, depth: depth + 1, &items, &numbers)
      default: break
      }
    }
  }
}

/// Numbers that are the same each time (xorshift64).
private struct Numbers {
  var state: UInt64
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
