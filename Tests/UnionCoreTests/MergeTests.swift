import SystemCalls
import Testing
@testable import UnionCore

extension String {
  func withBytes<Result>(
    _ body: (UnsafeBufferPointer<CChar>) throws -> Result
  ) rethrows -> Result {
    try withCString { try body(UnsafeBufferPointer(start: $0, count: utf8.count)) }
  }
}

/// What one branch's directory lists; `-x` is a whiteout of x, `x/` a directory, `!` the opaque marker.
private func merge(_ listings: [String], topIsWritable: Bool = true) -> NameIndex {
  var merge = Merge()
  for (branch, listing) in listings.enumerated() where !merge.isOpaque {
    merge.begin(
      branch: UInt16(branch), isTop: topIsWritable && branch == 0, honoursWhiteouts: true)
    for (number, word) in listing.split(separator: " ").enumerated() {
      if word == "!" {
        merge.addOpaque()
      } else if word.hasPrefix("-") {
        String(word.dropFirst()).withBytes { merge.addWhiteout(of: $0) }
      } else {
        let isDirectory = word.hasSuffix("/")
        String(isDirectory ? word.dropLast() : word).withBytes {
          merge.add(
            $0, type: isDirectory ? .directory : .regular,
            inode: UInt64(100 * (branch + 1) + number))
        }
      }
    }
    merge.endBranch()
  }
  return merge.finish()
}

private func visible(_ index: NameIndex) -> [String] {
  index.entries.indices.filter { index.entries[$0].isVisible }.map { position in
    let name = index.withName(of: position) { String(cString: $0.baseAddress.unsafelyUnwrapped) }
    let entry = index.entries[position]
    let branches = index.branches(of: position).map(String.init).joined(separator: "+")
    return "\(name)\(entry.type == .directory ? "/" : "")@\(branches)"
  }.sorted()
}

private func entry(_ index: NameIndex, _ name: String) -> IndexEntry? {
  name.withBytes { bytes in index.find(bytes, hash: bytes.nameHash).map { index.entries[$0] } }
}

@Suite struct MergeTests {
  @Test func eachNameIsListedOnceFromItsTopmostBranch() {
    #expect(visible(merge(["a d/", "a b d/", "c d/"])) == ["a@0", "b@1", "c@2", "d/@0+1+2"])
  }

  @Test func whiteoutsAndOtherTypesEndWhatIsBelow() {
    #expect(visible(merge(["-a", "a b", "a b"])) == ["b@1"])
    #expect(visible(merge(["d/", "d", "d/"])) == ["d/@0"])
    #expect(visible(merge(["d/", "-d", "d/"])) == ["d/@0"])
    #expect(visible(merge(["f", "f/", "f/"])) == ["f@0"])
  }

  @Test func anEntryBesideItsWhiteoutShowsInWhateverOrderTheyAreListed() {
    #expect(visible(merge(["-d d/", "d/"])) == ["d/@0"])
    #expect(visible(merge(["d/ -d", "d/"])) == ["d/@0"])
    #expect(visible(merge(["", "-f f", "f"])) == ["f@1"])
  }

  @Test func nothingBelowAnOpaqueBranchCounts() {
    let index = merge(["a", "b !", "c a"])
    #expect(visible(index) == ["a@0", "b@1"])
    #expect(entry(index, "a")?.lowerShows == false)
  }

  @Test func whatTheLowerBranchesWouldShowIsKnown() {
    let index = merge(["a -b c -gone d/", "a b d -c", "c gone d/"])
    #expect(entry(index, "a")?.lowerType == .regular)
    #expect(entry(index, "b")?.lowerType == .regular && entry(index, "b")?.isVisible == false)
    #expect(entry(index, "b")?.hasTopWhiteout == true)
    #expect(entry(index, "c")?.lowerShows == false)
    #expect(
      entry(index, "gone")?.lowerShows == true && entry(index, "gone")?.hasTopWhiteout == true)
    #expect(entry(index, "d")?.lowerType == .regular)
  }

  @Test func withoutAWritableBranchTheTopIsALowerOne() {
    let index = merge(["a -b", "b"], topIsWritable: false)
    #expect(visible(index) == ["a@0"])
    #expect(entry(index, "a")?.lowerShows == true)
    #expect(entry(index, "b") == nil)
  }

  @Test func changesAreKeptUp() throws {
    var index = merge(["a -w", "a l w"])
    let snapshot = index
    func name(_ text: String, _ body: (Name) -> Void) throws {
      try text.withCString { body(try Name($0)) }
    }
    try name("a") { index.hide($0, whiteout: true) }
    try name("l") { index.hide($0, whiteout: true) }
    try name("w") { index.setTop($0, type: .directory, inode: 7, branches: [0]) }
    try name("n") { index.setTop($0, type: .regular, inode: 8, branches: [0]) }
    #expect(visible(index) == ["n@0", "w/@0"] && index.directoryCount == 1)
    #expect(entry(index, "w")?.hasTopWhiteout == false)
    try name("n") { index.hide($0, whiteout: false) }
    try name("w") { index.hide($0, whiteout: true) }
    #expect(visible(index).isEmpty && index.isEmpty && index.directoryCount == 0)
    #expect(entry(index, "n") == nil)
    try name("n") { index.setTop($0, type: .regular, inode: 9, branches: [0]) }
    #expect(entry(index, "n")?.inode == 9)
    #expect(visible(snapshot) == ["a@0", "l@1"], "a snapshot stays as it was")
  }

  @Test func manyNamesAreAllFound() {
    let names = (0..<5000).map { "name-\($0)" }
    let index = merge([
      names[..<3000].joined(separator: " "), names[2000...].joined(separator: " "),
    ])
    #expect(index.entries.count == 5000)
    for (number, name) in names.enumerated() {
      #expect(entry(index, name)?.branch == (number < 3000 ? 0 : 1))
    }
    #expect(entry(index, "name-5000") == nil)
  }
}
