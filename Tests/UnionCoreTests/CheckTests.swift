import SystemCalls
import SystemPackage
import Testing

@testable import UnionCore

/// What one branch's directory holds; `-x` is a whiteout of x, `x/` a directory, `!` the opaque marker,
/// `?` a whole listing that cannot be read.
private func listing(_ text: String) -> DirectoryListing? {
  if text == "?" { return nil }
  var listing = DirectoryListing()
  for (number, word) in text.split(separator: " ").enumerated() {
    if word == "!" {
      listing.addOpaque(kind: .regular)
    } else if word.hasPrefix("-") {
      listing.addWhiteout(Array((".wh." + word.dropFirst()).utf8), kind: .regular)
    } else if word.hasPrefix(".wh..wh.") {
      listing.addReserved(Array(word.utf8), kind: .regular)
    } else {
      let isDirectory = word.hasSuffix("/")
      listing.add(
        Array((isDirectory ? word.dropLast() : word).utf8),
        kind: isDirectory ? .directory : .regular, inode: UInt64(number + 1))
    }
  }
  return listing
}

private func rules(
  _ listings: [String], parts: [DirectoryPart]? = nil, honours: [Bool]? = nil,
  watched: (Int, UInt64) -> UInt64? = { _, _ in nil }
) -> DirectoryRules {
  let flags = honours ?? listings.map { _ in true }
  return DirectoryRules(
    parts ?? DirectoryPart.roots(honouringWhiteouts: flags), listings.map(listing),
    watched: watched)
}

/// `KIND@BRANCH NAME`, without the whiteout's prefix.
private func found(_ rules: DirectoryRules) -> [String] {
  rules.findings.map {
    "\($0.kind.rawValue)@\($0.branch) \(String(decoding: $0.name, as: UTF8.self))"
  }
}

@Suite struct CheckRuleTests {
  @Test func aWhiteoutIsNeededWhereALowerBranchShowsTheName() {
    #expect(found(rules(["-a", "a"])) == [])
    #expect(found(rules(["-a", "", "a/"])) == [])
    #expect(found(rules(["-a", "b"])) == ["needless-whiteout@0 .wh.a"])
    #expect(found(rules(["a", "-a"])) == ["needless-whiteout@1 .wh.a"])
    #expect(found(rules(["-a", "-a", "a"])) == ["needless-whiteout@0 .wh.a"])
  }

  @Test func aWhiteoutIsJudgedWithoutTheBranchesAboveIt() {
    #expect(found(rules(["!", "-a", "a"])) == [])
    #expect(found(rules(["a", "-a", "a"])) == [])
  }

  @Test func whatCannotBeReadMayShowAnything() {
    #expect(found(rules(["-a", "?"])) == [])
    #expect(found(rules(["! d/", "?"])) == [])
    #expect(found(rules(["-a", "!", "?"])) == ["needless-whiteout@0 .wh.a"])
  }

  @Test func whiteoutsOfABranchThatHonoursNoneAreLeftAlone() {
    #expect(found(rules(["x", "-a"], honours: [true, false])) == [])
    #expect(found(rules(["-a", "-a", "a"], honours: [true, false, false])) == [])
  }

  @Test func inAnOpaqueDirectoryWhiteoutsHideNothing() {
    #expect(found(rules(["! -a", "a"])) == ["whiteout-in-opaque@0 .wh.a"])
    let child = rules(["! d/", "d/"]).children[0].parts
    #expect(found(rules(["-a", "a"], parts: child)) == ["whiteout-in-opaque@0 .wh.a"])
    #expect(found(rules(["!", "a"], parts: child)) == ["needless-opaque@0 .wh..wh..opq"])
  }

  @Test func anOpaqueMarkerIsNeededWhereALowerBranchHasTheName() {
    for lower in ["d/", "d"] {
      let parts = rules(["d/", lower]).children[0].parts
      #expect(found(rules(["!", ""].prefix(parts.count).map { $0 }, parts: parts)) == [])
    }
    let alone = rules(["d/", "x"]).children[0].parts
    #expect(found(rules(["!"], parts: alone)) == ["needless-opaque@0 .wh..wh..opq"])
    #expect(found(rules(["", "!"])) == ["needless-opaque@1 .wh..wh..opq"])
  }

  @Test func besideADirectoryAWhiteoutBecomesAMarkerWhereSomethingIsBelow() {
    let merged = rules(["-d d/", "d/"])
    #expect(found(merged) == ["whiteout-beside-entry@0 .wh.d"])
    #expect(merged.findings[0].remedy == .makeOpaque(directory: Array("d".utf8)))
    // The marker that replaces it is needed.
    #expect(found(rules(["!", "x"], parts: merged.children[0].parts)) == [])
    #expect(rules(["-d d/", "x"]).findings[0].remedy == .removeMarker)
    #expect(rules(["-d d", "d"]).findings[0].remedy == .removeMarker)
    #expect(rules(["-d d/", "?"]).findings[0].remedy == .makeOpaque(directory: Array("d".utf8)))
  }

  @Test func aDirectoryMergesUntilSomethingElseIsMet() {
    func below(_ listings: [String]) -> [DirectoryPart.Below] {
      rules(listings).children[0].parts.map(\.below)
    }
    #expect(below(["d/", "d/"]) == [.merges, .nothing])
    #expect(below(["d/", "d", "d/"]) == [.nothing, .nothing])
    #expect(below(["d/", "-d", "d/"]) == [.nothing, .nothing])
    #expect(below(["d/", "?", "d/"]) == [.unknown, .nothing])
    #expect(rules(["x", "-d", "d/"]).children[0].parts.map(\.isVisible) == [false])
  }

  @Test func onlyAufssTemporariesAreLeftovers() {
    #expect(
      found(rules([".wh..wh.a.00ff .wh..wh.aufs .wh..wh.x .wh..wh..00ff"])) == [
        "leftover@0 .wh..wh.a.00ff"
      ])
  }

  @Test func numbersAreShownWhereALowerEntryIsVisible() {
    let watched: (Int, UInt64) -> UInt64? = { _, inode in inode == 1 ? 77 : nil }
    #expect(rules(["", "a"], watched: watched).shownNumbers == [77])
    #expect(rules(["-a", "a"], watched: watched).shownNumbers == [])
    #expect(rules(["a", "a"], watched: watched).shownNumbers == [])
  }

  @Test func aLongWhiteoutHoldsTheNameOfItsHash() {
    let long = [UInt8](repeating: 0x61, count: 253)
    let name = longWhiteoutName(of: long)
    #expect(LongWhiteoutFlaw(name: name, content: long) == nil)
    #expect(LongWhiteoutFlaw(name: name, content: nil) == .notRegular)
    #expect(LongWhiteoutFlaw(name: name, content: []) == .empty)
    #expect(LongWhiteoutFlaw(name: name, content: [0x61]) == .noLongName)
    #expect(LongWhiteoutFlaw(name: name, content: long + [0x61]) == .otherHash)
  }

  @Test func anEmptyLongWhiteoutStaysWhereItsHashIsANamesHash() {
    let long = [UInt8](repeating: 0x61, count: 253)
    var upper = DirectoryListing()
    upper.addLongWhiteout(longWhiteoutName(of: long), content: [])
    var lower = DirectoryListing()
    let parts = DirectoryPart.roots(honouringWhiteouts: [true, true])
    #expect(DirectoryRules(parts, [upper, lower]).findings[0].remedy == .removeMarker)
    lower.add(long, kind: .regular)
    #expect(DirectoryRules(parts, [upper, lower]).findings[0].remedy == .none)
  }
}

@Suite struct BookkeepingTests {
  private func book(_ files: [Bookkeeping.PseudoLink]) -> Bookkeeping {
    var book = Bookkeeping(branch: 0)
    book.pseudoLinks = .holds(files.map(\.name))
    book.files = files
    return book
  }

  private func file(_ name: String, links: UInt64, number: UInt64) -> Bookkeeping.PseudoLink {
    Bookkeeping.PseudoLink(name: Array(name.utf8), links: links, number: number)
  }

  private func table(_ records: [UInt8]) throws -> InodeTableSurvey {
    let bytes = InodeTable.magic + records
    return try InodeTableSurvey(size: Int64(bytes.count)) { (room, offset) throws(Errno) in
      let rest = bytes.dropFirst(Int(offset)).prefix(room.count)
      room.copyBytes(from: rest)
      return rest.count
    }
  }

  @Test func aPseudoLinkIsBrokenWhereNoNameShowsIt() throws {
    var lonely = book([file("2a", links: 1, number: 42)])
    #expect(lonely.pseudoLinkFindings(shown: []).map(\.finding.remedy) == [.none])
    lonely.table = .read(try table([]))
    #expect(lonely.pseudoLinkFindings(shown: [42]).isEmpty)
    #expect(lonely.pseudoLinkFindings(shown: nil).isEmpty)
    #expect(lonely.pseudoLinkFindings(shown: []).map(\.finding.remedy) == [.removeTree])
    lonely.table = .read(try table(InodeTable.encode(.links, 42, 2, 0)))
    #expect(lonely.pseudoLinkFindings(shown: []).map(\.finding.remedy) == [.none])
    #expect(book([file("2a", links: 2, number: 42)]).pseudoLinkFindings(shown: []).isEmpty)
  }

  @Test func aPseudoLinkWithoutARecordShowsTwoNumbers() {
    let unrecorded = book([file("2a", links: 2, number: 7)])
    #expect(unrecorded.pseudoLinkFindings(shown: []).map(\.finding.remedy) == [.recordNumber(42)])
  }

  @Test func aTableIsSurveyedUpToItsTornRecord() throws {
    let origin = InodeTable.encode(.origin, 1, 2, 3)
    let whole = try table(origin + InodeTable.encode(.forget, 1, 0, 0))
    #expect(whole.condition == .sound && whole.origins.isEmpty)
    let torn = try table(origin + [0] + origin)
    #expect(torn.condition == .torn(at: 57) && torn.origins[1]?.number == 3)
  }

  @Test(arguments: ["2A", "02a", "12.34", "x", "11111111111111111"])
  func aPseudoLinksNameIsItsNumber(name: String) {
    let found = book([file(name, links: 2, number: 42)]).pseudoLinkFindings(shown: [])
    #expect(found.map(\.finding.kind) == [.brokenPseudoLink])
    #expect(found.map(\.finding.remedy) == [.none])
  }

  @Test func aBranchInUseHasNoLeftovers() {
    var book = Bookkeeping(branch: 0)
    book.workArea = .holds([Array("inodes".utf8), Array("t1".utf8)])
    #expect(book.findings().map(\.finding.kind) == [.leftover])
    book.isInUse = true
    #expect(book.findings().isEmpty)
  }
}

/// Trees in memory: what each branch holds by path, and what cannot be entered or left.
private final class FakeBranches: CheckedBranches {
  var trees: [[String: String]]
  var closed: Set<String> = []
  var oneWay: Set<String> = []
  private var places: [[String]]

  init(_ trees: [[String: String]]) {
    self.trees = trees
    places = trees.map { _ in [] }
  }

  private func path(_ branch: Int) -> String { places[branch].joined(separator: "/") }

  func list(_ branch: Int) throws(Errno) -> DirectoryListing {
    listing(trees[branch][path(branch)] ?? "") ?? DirectoryListing()
  }

  func enter(_ name: [UInt8], in branch: Int) throws(Errno) {
    places[branch].append(String(decoding: name, as: UTF8.self))
    if closed.contains("\(branch):\(path(branch))") {
      places[branch].removeLast()
      throw .permissionDenied
    }
  }

  func leave(_ branch: Int) throws(Errno) {
    if oneWay.contains("\(branch):\(path(branch))") { throw .staleNFSFileHandle }
    places[branch].removeLast()
  }

  func apply(
    _ remedy: Finding.Remedy, to name: [UInt8], in branch: Int
  ) throws(Errno) -> String? { nil }
}

@Suite struct CheckWalkTests {
  private func walk(
    _ branches: FakeBranches, mode: RepairMode = .off
  ) -> (findings: [String], isComplete: Bool) {
    var findings: [String] = []
    var walk = CheckWalk(branches, mode: mode, mayRepair: { $0 == 0 }) {
      let path = String(decoding: $0.path, as: UTF8.self)
      findings.append("\($0.kind.rawValue)@\($0.branch) \(path) \($0.remains)")
    }
    walk.run(DirectoryPart.roots(honouringWhiteouts: branches.trees.map { _ in true }))
    return (findings, walk.isComplete)
  }

  @Test func everyDirectoryIsVisitedInEachBranchThatHasIt() {
    let trees = [
      ["": "a/ -x", "a": "b/", "a/b": "-y"], ["": "a/ c/ x", "a": "-z", "c": "-y -w"],
    ]
    let expected = [
      "needless-whiteout@1 a/.wh.z true", "needless-whiteout@0 a/b/.wh.y true",
      "needless-whiteout@1 c/.wh.w true", "needless-whiteout@1 c/.wh.y true",
    ]
    #expect(walk(FakeBranches(trees)).findings == expected)
    let mended = walk(FakeBranches(trees), mode: .on).findings
    #expect(mended.filter { $0.hasSuffix("false") } == ["needless-whiteout@0 a/b/.wh.y false"])
  }

  @Test func whatCannotBeEnteredHidesNothingAndIsTold() {
    let branches = FakeBranches([["": "d/", "d": "-x"], ["": "d/", "d": "x"]])
    branches.closed = ["1:d"]
    let (findings, isComplete) = walk(branches)
    #expect(findings == ["unreadable@1 d true"])
    #expect(!isComplete)
  }

  @Test func aBranchThatIsLostIsNotGuessedAt() {
    let branches = FakeBranches([["": "d/ e/", "e": "-x"], ["": "d/ e/", "e": "x"]])
    branches.oneWay = ["1:d"]
    #expect(walk(branches).findings == ["unreadable@1 d true"])
  }
}
