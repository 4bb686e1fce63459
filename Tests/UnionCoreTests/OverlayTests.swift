import SystemCalls
import SystemPackage
import Testing

@testable import UnionCore

private func bytes<Result>(
  _ text: String, _ body: (UnsafeBufferPointer<CChar>) throws -> Result
) rethrows -> Result {
  try text.withCString { try body(UnsafeBufferPointer(start: $0, count: text.utf8.count)) }
}

private struct Kinds: BranchProbe {
  var kinds: [FileKind?]
  var count: Int { kinds.count }
  func entry(at position: Int) throws(Errno) -> FileKind? { kinds[position] }
  func hidesBelow(at position: Int) throws(Errno) -> Bool { false }
}

/// overlayfs's whiteouts in the rules of lookup, listing, check and conversion.
@Suite struct OverlayRuleTests {
  @Test func aWhiteoutInPlaceEndsTheSearchAndShowsNothing() throws {
    #expect(try resolve(Kinds(kinds: [.whiteout, .regular])) == nil)
    #expect(try resolve(Kinds(kinds: [nil, .whiteout, .directory])) == nil)
    #expect(try resolve(Kinds(kinds: [.whiteout])) == nil)
    #expect(
      try resolve(Kinds(kinds: [.directory, .whiteout, .directory]))
        == Resolution(position: 0, type: .directory, merged: [0]))
    #expect(
      try resolve(ProbeBelow(Kinds(kinds: [.regular, .regular]), top: .whiteout)) == nil)
    #expect(
      try resolve(ProbeBelow(Kinds(kinds: [.whiteout, .fifo]), top: .whiteout), from: 1)?.type
        == .fifo)
  }

  @Test func anIndexKnowsWhichFormTheTopHas() throws {
    var merge = Merge()
    merge.begin(branch: 0, isTop: true, honoursWhiteouts: true)
    bytes("device") { merge.addWhiteout(of: $0, isInPlace: true) }
    bytes("both") { merge.addWhiteout(of: $0, isInPlace: true) }
    bytes("both") { merge.addWhiteout(of: $0) }
    bytes("file") { merge.addWhiteout(of: $0) }
    merge.endBranch()
    merge.begin(branch: 1, isTop: false, honoursWhiteouts: true)
    for name in ["device", "both", "file"] {
      bytes(name) { merge.add($0, type: .regular, inode: 7) }
    }
    bytes("lower") { merge.addWhiteout(of: $0, isInPlace: true) }
    merge.endBranch()
    var index = merge.finish()
    func forms(_ name: String) -> WhiteoutForms? {
      bytes(name) { bytes in
        index.find(bytes, hash: bytes.nameHash).map { index.entries[$0].topWhiteouts }
      }
    }
    #expect(forms("device") == .overlay)
    #expect(forms("both") == [.aufs, .overlay])
    #expect(forms("file") == .aufs)
    #expect(forms("lower") == nil)
    #expect(index.isEmpty)
    bytes("device") { raw in
      let name = Name(unchecked: raw.baseAddress.unsafelyUnwrapped, count: raw.count)
      index.setTop(name, type: .regular, inode: 8, branches: [0])
    }
    #expect(forms("device") == [])
    bytes("device") { raw in
      let name = Name(unchecked: raw.baseAddress.unsafelyUnwrapped, count: raw.count)
      index.hide(name, whiteouts: .overlay)
    }
    #expect(forms("device") == .overlay)
  }

  @Test func onlyItsOwnAttributesAreOverlayfses() {
    func mark(_ key: String) -> String? {
      key.withCString { OverlayAttribute($0) }.map { "\($0)" }
    }
    for prefix in ["trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."] {
      #expect(mark(prefix + "opaque") == "opaque")
      #expect(mark(prefix + "redirect") == "redirect")
      #expect(mark(prefix + "metacopy") == "metacopy")
      #expect(mark(prefix + "whiteout") == "whiteout")
      #expect(mark(prefix + "opaques") == "other")
      #expect(mark(prefix + "overlay.opaque") == "other")
      #expect(mark(prefix) == "other")
      #expect(mark(String(prefix.dropLast())) == nil)
    }
    #expect(mark("user.k") == nil)
    #expect(mark("") == nil)
  }

  @Test func aListingsTypeIsNeverAWhiteout() {
    #expect(FileKind(listed: 14) == .unknown)
    #expect(FileKind(mode: 0xE000) == .unknown)
    #expect(FileKind(listed: 2) == .characterDevice)
  }
}

private func listing(_ fill: (inout DirectoryListing) -> Void) -> DirectoryListing {
  var listing = DirectoryListing()
  fill(&listing)
  return listing
}

private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct OverlayCheckTests {
  private func found(_ listings: [DirectoryListing], parts: [DirectoryPart]? = nil) -> [String] {
    let rules = DirectoryRules(
      parts ?? DirectoryPart.roots(honouringWhiteouts: listings.map { _ in true }), listings)
    return rules.findings.map {
      "\($0.kind.rawValue)@\($0.branch) \(String(decoding: $0.name, as: UTF8.self))"
    }
  }

  @Test func aDeviceIsJudgedAsAWhiteout() {
    let device = listing { $0.addWhiteout(inPlace: name("a")) }
    let file = listing { $0.add(name("a"), kind: .regular) }
    let nothing = DirectoryListing()
    #expect(found([device, file]) == [])
    #expect(found([device, nothing]) == ["needless-whiteout@0 a"])
    #expect(found([file, device]) == ["needless-whiteout@1 a"])
    #expect(found([device, device, file]) == ["needless-whiteout@0 a"])
    let opaque = listing {
      $0.addWhiteout(inPlace: name("a"))
      $0.marks.isOpaque = true
    }
    #expect(found([opaque, file]) == ["whiteout-in-opaque@0 a"])
  }

  @Test func anAttributeIsNeededWhereALowerBranchHasTheName() {
    let opaque = listing { $0.marks.isOpaque = true }
    let nothing = DirectoryListing()
    #expect(found([opaque, nothing]) == [])
    let upper = listing { $0.add(name("d"), kind: .directory) }
    let rules = DirectoryRules(
      DirectoryPart.roots(honouringWhiteouts: [true, true]), [upper, nothing])
    #expect(found([opaque], parts: rules.children[0].parts) == ["needless-opaque@0 "])
  }

  @Test func whatLiesElsewhereAndWhatWasStagedIsTold() {
    let odd = listing {
      $0.marks.isRedirected = true
      $0.addReserved(name(".wh..wh.unionfs.t123"), kind: .regular)
      $0.addReserved(name(".wh..wh.unionfs.tx"), kind: .regular)
    }
    #expect(found([odd]) == ["overlay-redirect@0 ", "staged-leftover@0 .wh..wh.unionfs.t123"])
  }
}
