import SystemPackage
import Testing
import UnionCore

@Suite struct BranchStringTests {
  func spell(_ branches: [BranchSpecification]) -> [String] {
    branches.map { "\($0.path)=\($0.permissionSpelling)" }
  }

  func parse(_ string: String) throws(Failure) -> BranchString {
    try BranchString(aufs: Array(string.utf8))
  }

  @Test func branchesAreReadTopFirst() throws {
    let stack = try parse("/top=rw:/mid=ro+wh:/cd=rr:/base=rw+nolwh")
    #expect(spell(stack.branches) == ["/top=rw", "/mid=ro+wh", "/cd=rr", "/base=rw+nolwh"])
  }

  @Test func withoutAPermissionTheFirstBranchIsWritableAndTheOthersAreNot() throws {
    #expect(spell(try parse("/a:/b:/c").branches) == ["/a=rw", "/b=ro", "/c=ro"])
  }

  @Test func aPlainReadOnlyBranchDoesNotHonourWhiteouts() throws {
    let branches = try parse("/a=rw:/b=ro:/c=ro+wh").branches
    #expect(branches.map(\.honoursWhiteouts) == [true, false, true])
  }

  @Test func escapedColonsCommasAndBackslashesBelongToThePath() throws {
    let stack = try parse(#"/a\:b=rw:/c\,d:/e\\f:/g\h"#)
    #expect(
      stack.branches.map(\.path.pathBytes)
        == ["/a:b", "/c,d", #"/e\f"#, #"/g\h"#].map { Array($0.utf8) })
  }

  @Test func aPathMayHoldAnEqualsSign() throws {
    #expect(spell(try parse("/a=b/c:/x=1=ro").branches) == ["/a=b/c=rw", "/x=1=ro"])
  }

  @Test func aPathNeedNotBeUTF8() throws {
    let stack = try BranchString(aufs: [0x2F, 0xFF] + Array("=rw".utf8))
    #expect(stack.branches.first?.path.pathBytes == [0x2F, 0xFF])
  }

  @Test(arguments: ["/a=rx", "/a=", "/a=1", "/a=RW"])
  func anUnknownPermissionIsRefusedByName(_ string: String) {
    let error = #expect(throws: Failure.self) { try parse(string) }
    #expect(error?.code == .usage)
    #expect(
      error?.description.contains("'\(string.dropFirst(3))' is no permission of branch /a") == true)
  }

  @Test func anUnknownAttributeIsRefusedByName() {
    let error = #expect(throws: Failure.self) { try parse("/a=rw+fhsm") }
    #expect(error?.description.contains("'+fhsm'") == true)
  }

  @Test(arguments: ["moo", "coo_reg", "coo_all", "icex", "icextr", "unpin"])
  func anAttributeWithoutMeaningIsANote(_ attribute: String) throws {
    let stack = try parse("/a=rw+\(attribute)")
    #expect(stack.branches.first?.permission == .readWrite)
    #expect(stack.notes.count == 1)
    #expect(stack.notes.first?.contains("'\(attribute)'") == true)
  }

  @Test(arguments: ["", ":/a", "/a:", "=rw", "/a::/b"])
  func anEmptyDirectoryIsRefused(_ string: String) {
    #expect(throws: Failure.self) { try parse(string) }
  }

  @Test func aSingleBranchHasNoEscapes() throws {
    var stack = BranchString()
    try stack.append(Array(#"/a:b\:c=ro+wh"#.utf8))
    #expect(stack.branches.first?.path == #"/a:b\:c"#)
  }

  @Test func aWritableBranchBelowTheTopIsRefused() throws {
    let error = #expect(throws: Failure.self) { try parse("/a=rw:/b=rw").checkOrder() }
    #expect(error?.code == .unusableBranches)
    #expect(throws: Failure.self) { try parse("/a=ro:/b=rw").checkOrder() }
    try parse("/a=rw:/b=ro").checkOrder()
    try parse("/a=ro").checkOrder()
  }
}
