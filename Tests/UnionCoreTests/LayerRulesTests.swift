import SystemCalls
import Testing

@testable import UnionCore

/// What one layer's directory holds; `-x` is a whiteout of x, `x/` a directory, `!` the opaque marker,
/// `x:7` a file of 7 bytes, `x:7@3` one that was changed at 3, `x*` another mode.
private func listing(_ text: String) -> LayerListing? {
  if text == "?" { return nil }
  var listing = LayerListing()
  for word in text.split(separator: " ") {
    if word == "!" {
      listing.addOpaque()
    } else if word.hasPrefix("-") {
      listing.addWhiteout(of: word.dropFirst().utf8)
    } else {
      var word = word
      var entry = LayerListing.Entry()
      entry.kind = .regular
      if word.hasSuffix("*") {
        entry.mode = 0o700
        word.removeLast()
      }
      if word.hasSuffix("/") {
        entry.kind = .directory
        word.removeLast()
      }
      let time = word.split(separator: "@")
      if time.count == 2 { entry.modified.seconds = Int64(time[1]) ?? 0 }
      let size = time[0].split(separator: ":")
      if size.count == 2 { entry.size = Int64(size[1]) ?? 0 }
      listing.add(size[0].utf8, entry)
    }
  }
  return listing
}

/// Each name's copies, the bottom one first, numbered from the top as branches are: `a: 1 added
/// replaced by 0, 0 changed`.
private func history(
  _ listings: [String], parts: [LayerPart]? = nil, honours: [Bool]? = nil
) -> [String] {
  let flags = honours ?? listings.map { _ in true }
  let rules = LayerRules(
    parts ?? LayerPart.roots(honouringWhiteouts: flags), listings.map(listing))
  var lines: [String] = []
  rules.forEachName { name, row in
    let copies = row.copies.map { copy in
      let by = copy.fate == .visible ? "" : " \(copy.fate) by \(copy.hider)"
      return "\(copy.layer) \(copy.change)\(by)"
    }
    lines.append("\(String(decoding: name, as: UTF8.self)): \(copies.joined(separator: ", "))")
  }
  return lines
}

/// The parts of the only directory.
private func parts(_ listings: [String], honours: [Bool]? = nil) -> [LayerPart] {
  let flags = honours ?? listings.map { _ in true }
  let rules = LayerRules(LayerPart.roots(honouringWhiteouts: flags), listings.map(listing))
  var found: [LayerPart] = []
  rules.forEachName { _, row in found += rules.parts(of: row) }
  return found
}

@Suite struct LayerRulesTests {
  @Test func whatALayerAddsIsSeenUntilAnotherReplacesIt() {
    #expect(history(["b", "a"]) == ["a: 1 added", "b: 0 added"])
    #expect(history(["a", "", "a:1"]) == ["a: 2 added replaced by 0, 0 changed"])
    #expect(
      history(["a", "a:1", "a:2"]) == [
        "a: 2 added replaced by 1, 1 changed replaced by 0, 0 changed"
      ])
  }

  @Test func whatAWhiteoutHidesIsRemovedAndCanBeAddedAgain() {
    #expect(history(["-a", "a"]) == ["a: 1 added removed by 0"])
    #expect(history(["", "-a", "-a", "a"]) == ["a: 3 added removed by 2"])
    #expect(history(["a", "-a", "a"]) == ["a: 2 added removed by 1, 0 added"])
    #expect(history(["-a", ""]) == [])
  }

  @Test func anEntryBesideItsWhiteoutReplaces() {
    #expect(history(["a -a", "a"]) == history(["a", "a"]))
    #expect(history(["d/ -d", "d/"]) == ["d: 1 added replaced by 0, 0 passes"])
  }

  @Test func directoriesMergeUntilAnotherTypeComes() {
    #expect(history(["d/", "d/"]) == ["d: 1 added merged by 0, 0 passes"])
    #expect(
      history(["d/", "d", "d/"]) == ["d: 2 added replaced by 1, 1 changed replaced by 0, 0 changed"]
    )
    #expect(
      history(["d", "d/", "d/"]) == ["d: 2 added replaced by 0, 1 passes replaced by 0, 0 changed"])
    #expect(
      history(["d/", "-d", "d/", "d/"]) == [
        "d: 3 added removed by 1, 2 passes removed by 1, 0 added"
      ])
  }

  @Test func whiteoutsOfALayerThatHonoursNoneHideNothing() {
    let flags = [true, false, true]
    // A listing of such a layer has none; the rule does not look again.
    #expect(history(["", "", "a"], honours: flags) == ["a: 2 added"])
    #expect(history(["", "! b", "a"], honours: flags) == ["a: 2 added", "b: 1 added"])
  }

  @Test func aCopyThatChangesNothingIsTold() {
    #expect(history(["a:5@9", "a:5@9"]) == ["a: 1 added replaced by 0, 0 identical"])
    #expect(history(["a:5@9*", "a:5@9"]) == ["a: 1 added replaced by 0, 0 attributes"])
    #expect(history(["a:5@8", "a:5@9"]) == ["a: 1 added replaced by 0, 0 changed"])
    #expect(history(["a:6@9", "a:5@9"]) == ["a: 1 added replaced by 0, 0 changed"])
    #expect(history(["d/*", "d/"]) == ["d: 1 added merged by 0, 0 attributes"])
    #expect(history(["a:5@9", "-a", "a:5@9"]) == ["a: 2 added removed by 1, 0 added"])
  }

  @Test func whatADirectoryHoldsGoesWithIt() {
    #expect(parts(["-d", "d/"]).map(\.hider) == [0])
    #expect(parts(["d", "d/"]).map(\.hider) == [0])
    #expect(parts(["d/", "d/"]).map(\.hider) == [nil, nil])
    #expect(parts(["d/", "-d", "d/"]).map(\.hider) == [nil, 1])
    let gone = parts(["d/", "-d", "d/"])
    #expect(history(["a", "a"], parts: gone) == ["a: 2 added removed by 1, 0 added"])
    #expect(history(["", "a"], parts: gone) == ["a: 2 added removed by 1"])
  }

  @Test func anOpaqueDirectoryRemovesWhatIsBelowItButNotItsOwn() {
    #expect(
      history(["", "! b", "a b"]) == [
        "a: 2 added removed by 1", "b: 2 added replaced by 1, 1 identical",
      ])
    #expect(history(["!", "-a", "a"]) == ["a: 2 added removed by 1"])
    #expect(history(["a", "!", "a"]) == ["a: 2 added removed by 1, 0 added"])
    #expect(parts(["! d/", "d/"]).map(\.hider) == [nil, 0])
    // The first of two that hide counts.
    #expect(history(["!", "!", "a"]) == ["a: 2 added removed by 1"])
  }

  @Test func whatCannotBeReadHidesNothing() {
    #expect(history(["?", "a"]) == ["a: 1 added"])
  }

  @Test func namesComeInTheOrderOfTheirBytes() {
    let names = ["b", "a", "ab", "aaaaaaaab", "aaaaaaaa", "aaaaaaaac", "é", "Z"]
    #expect(
      history([names.joined(separator: " ")]).map { $0.prefix { $0 != ":" } }.map(String.init)
        == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
  }

  /// From the top down, as a lookup goes: what it finds must be what the history ends with.
  @Test func whatIsSeenIsWhatALookupFinds() throws {
    var generator = Numbers(state: 7)
    for _ in 0..<3000 {
      let words = (0..<4).map { _ in
        ["", "a", "a/", "-a", "-a a", "-a a/", "!", "! a", "! a/", "! -a"]
          .randomElement(using: &generator) ?? ""
      }
      let rules = LayerRules(
        LayerPart.roots(honouringWhiteouts: words.map { _ in true }), words.map(listing))
      var seen: [Int] = []
      var merged: Set<Int> = []
      rules.forEachName { _, row in
        seen += row.copies.filter { $0.fate == .visible }.map { Int($0.layer) }
        merged.formUnion(row.copies.filter { $0.fate == .merged }.map { Int($0.layer) })
      }
      let probe = Words(words)
      let found = try resolve(probe)
      #expect(seen == (found.map { [$0.position] } ?? []), "\(words)")
      #expect(merged == Set(found?.merged.dropFirst() ?? []), "\(words)")
    }
  }
}

/// A lookup of `a` in listings; an opaque one is the last.
private struct Words: BranchProbe {
  let words: [[Substring]]

  init(_ words: [String]) {
    var kept: [[Substring]] = []
    for word in words.map({ $0.split(separator: " ") }) {
      kept.append(word)
      if word.contains("!") { break }
    }
    self.words = kept
  }

  var count: Int { words.count }
  func entry(at position: Int) -> FileKind? {
    words[position].contains("a/") ? .directory : words[position].contains("a") ? .regular : nil
  }
  func hidesBelow(at position: Int) -> Bool { words[position].contains("-a") }
}

/// Numbers that are the same each time (xorshift64).
private struct Numbers: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

@Suite struct LayerFiguresTests {
  /// A tree of one directory.
  private func figures(_ listings: [String]) -> [LayerFigures] {
    var tree = LayerTree()
    let rules = LayerRules(
      LayerPart.roots(honouringWhiteouts: listings.map { _ in true }), listings.map(listing))
    rules.forEachName { name, row in
      _ = tree.append(name, to: 0, copies: row.copies.reversed())
    }
    return LayerAnalysis.figures(of: tree, layers: listings.count)
  }

  @Test func everyByteIsEitherSeenOrWasted() {
    let layers = figures(["a:1 -b c/", "a:20 d:7", "a:300 b:4000 c/ d:7"])
    #expect(layers.map(\.files.bytes) == [1, 27, 4307])
    #expect(layers.map(\.visibleFiles.bytes) == [1, 7, 0])
    #expect(layers.map(\.wasted.bytes) == [0, 20, 4307])
    #expect(layers.map(\.visibleDirectories) == [1, 0, 0])
  }

  @Test func whatALayerDoesIsCountedThere() {
    let layers = figures(["a:1 -b -c e", "a:20 d:7@1", "a:300 b:4000 c/ d:7@1"])
    #expect(layers[0].changed == 1 && layers[0].added == 1)
    #expect(layers[0].removedFiles == LayerFigures.Sum(names: 1, bytes: 4000))
    #expect(layers[0].removedDirectories == 1)
    #expect(layers[0].replacedFiles == LayerFigures.Sum(names: 1, bytes: 20))
    #expect(layers[1].identicalCopies == LayerFigures.Sum(names: 1, bytes: 7))
    #expect(layers[2].added == 4 && layers[2].files.names == 3 && layers[2].directories == 1)
  }

  @Test func aMergedDirectoryThatGoesIsOneName() {
    let layers = figures(["-d", "d/", "", "d/"])
    #expect(layers[0].removedDirectories == 1)
    #expect(layers[1].added == 0 && layers[1].changed == 0 && layers[1].directories == 1)
  }

  @Test func hugeSizesDoNotOverflow() {
    let size = Int64.max
    let layers = figures(["a:\(size) b:\(size)", "a:\(size) b:\(size)"])
    #expect(layers.map(\.files.bytes) == [.max, .max] && layers[0].replacedFiles.bytes == .max)
  }
}
