import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Exchange {
  static let lower: [Item] = [
    .file("lf", "lf"), .file("lf2", "lf2"), .file("ld/x", "x"), .file("ld2/y", "y"),
    .symlink("ll", to: "a"), .special("lp", .fifo),
  ]
  static let top: [Item] = [.file("tf", "tf"), .file("td/z", "z"), .symlink("tl", to: "b")]

  @Test(arguments: [
    ("lf", "lf2"), ("lf", "tf"), ("ld", "ld2"), ("ld", "td"), ("lf", "ld"), ("tf", "ld"),
    ("td", "lf"), ("ll", "tl"), ("ll", "ld"), ("lp", "tf"), ("tf", "td"),
  ])
  func twoEntriesOfAnyBranchAndTypeChangePlaces(first: String, second: String) throws {
    try withUnion(top: Exchange.top, lower: Exchange.lower) { u throws in
      let (a, b) = (u / Path(first), u / Path(second))
      let before = (try a.stat(), try b.stat())
      let expected = try u.view().map { line in
        if line.hasPrefix(first, upTo: ["/", "=", "-", "|"]) {
          return second + line.dropFirst(first.count)
        }
        if line.hasPrefix(second, upTo: ["/", "=", "-", "|"]) {
          return first + line.dropFirst(second.count)
        }
        return line
      }
      try a.rename(to: b, flags: renameExchange)
      try u.expect(view: expected)
      #expect(try b.stat().inode == before.0.inode)
      #expect(try a.stat().inode == before.1.inode)
    }
  }

  @Test func exchangedLowerFilesNeedNoWhiteout() throws {
    try withUnion(lower: [.file("a", "A"), .file("d/b", "B")]) { u throws in
      try (u / "a").rename(to: u / "d/b", flags: renameExchange)
      try u.expect(view: ["a=B", "d/", "d/b=A"], top: ["a=B", "d/", "d/b=A"])
    }
  }

  @Test func exchangedLowerDirectoriesAreOpaque() throws {
    try withUnion(lower: [.file("a/x", "X"), .file("b/y", "Y")]) { u throws in
      try (u / "a").rename(to: u / "b", flags: renameExchange)
      try u.expect(
        view: ["a/", "a/y=Y", "b/", "b/x=X"],
        top: ["a/", "a/.wh..wh..opq", "a/y=Y", "b/", "b/.wh..wh..opq", "b/x=X"])
    }
  }

  @Test func bothNamesMustBeThere() throws {
    try withUnion(top: [.whiteout("w")], lower: [.file("a", "A"), .file("w")]) { u throws in
      for name: Path in ["no", "w"] {
        #expect(throws: Errno.missing) {
          try (u / "a").rename(to: u / name, flags: renameExchange)
        }
        #expect(throws: Errno.missing) {
          try (u / name).rename(to: u / "a", flags: renameExchange)
        }
      }
      try u.expect(view: ["a=A"], top: [".wh.w"])
    }
  }

  @Test func aDirectoryIsNotExchangedWithWhatItHolds() throws {
    try withUnion(lower: [.file("a/b/f", "F")]) { u throws in
      #expect(throws: Errno.invalid) {
        try (u / "a").rename(to: u / "a/b", flags: renameExchange)
      }
      try u.expect(view: ["a/", "a/b/", "a/b/f=F"], top: [])
    }
  }
}

extension String {
  /// Whether it is that name followed by one of these.
  fileprivate func hasPrefix(_ name: String, upTo ends: [Character]) -> Bool {
    hasPrefix(name) && dropFirst(name.count).first.map(ends.contains) == true
  }
}
