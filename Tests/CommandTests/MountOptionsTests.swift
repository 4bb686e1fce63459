import SystemPackage
import Testing
import UnionCore
import UnionFS

@testable import UnionFSCommand

@Suite struct MountOptionsTests {
  func parse(_ lists: String...) throws(Failure) -> MountOptions {
    try MountOptions(lists.map { Array($0.utf8) })
  }

  func words(_ list: String, user: UInt32 = 1000) throws -> [String] {
    try parse(list).words(forUser: user, readOnly: false)
  }

  @Test func rootOpensTheMountAndKeepsDevicesAndSetUserID() throws {
    #expect(
      try words("", user: 0) == [
        "default_permissions", "allow_other", "suid", "dev", "rw", "fsname=unionfs-swift",
        "subtype=unionfs-swift",
      ])
  }

  @Test func whatRootSaysHolds() throws {
    let words = try words("nosuid,nodev,allow_root", user: 0)
    #expect(!words.contains("suid") && !words.contains("dev") && !words.contains("allow_other"))
    #expect(words.contains("nosuid") && words.contains("nodev") && words.contains("allow_root"))
  }

  @Test func anUnprivilegedUserGetsNoneOfRootsDefaults() throws {
    #expect(
      try words("") == [
        "default_permissions", "rw", "fsname=unionfs-swift", "subtype=unionfs-swift",
      ])
  }

  @Test func permissionsAreAlwaysTheKernels() throws {
    #expect(try words("default_permissions").filter { $0 == "default_permissions" }.count == 1)
  }

  @Test func fuseOverlayfssWordsForACLsAndLinkCountsAreKnown() throws {
    let words = ["noacl", "acl", "noacl", "static_nlink"].map { Array($0.utf8) }
    let options = try MountOptions(tolerant: words)
    #expect(!options.hasACLs && options.directoriesHaveOneLink)
    #expect(options.warnings.isEmpty && options.notes.isEmpty && options.flags.isEmpty)
    let plain = MountOptions()
    #expect(plain.hasACLs && !plain.directoriesHaveOneLink)
    #expect(try MountOptions(tolerant: Array(words.prefix(2))) == MountOptions(tolerant: []))
  }

  @Test func theLastOfTwoOppositesWins() throws {
    #expect(try words("nosuid,suid").contains("suid"))
    #expect(try !words("nosuid,suid").contains("nosuid"))
    #expect(try parse("ro", "rw").readOnly == false)
    #expect(try parse("rw,ro").readOnly)
  }

  @Test func valuesMayHoldAnEscapedComma() throws {
    #expect(try words(#"fsname=a\,b,subtype=x"#).suffix(2) == ["fsname=a,b", "subtype=x"])
  }

  @Test(arguments: ["defaults", "_netdev", "nofail", "noauto", "user", "x-systemd.automount", ""])
  func wordsOfFstabAreIgnored(_ word: String) throws {
    #expect(try parse(word) == MountOptions())
  }

  @Test(arguments: [
    "dio", "rdblk=0", "rdhash=def", "xino=/dev/shm/aufs.xino", "noxino", "dirperm1", "udba=none",
    "warn_perm", "diropq=w", "plink", "create=mfs", "relatime",
  ])
  func wordsOfAufsWithoutMeaningAreNotes(_ word: String) throws {
    let options = try parse(word)
    #expect(options.notes.count == 1)
    #expect(options.notes.first?.contains("'\(word)'") == true)
    #expect(options.flags.isEmpty && options.values.isEmpty)
  }

  @Test(arguments: [
    "udba=notify", "diropq=a", "noplink", "add:1:/x=rw", "append:/x", "remount", "del=/x",
  ])
  func wordsOfAufsThatAreNotToBeHadAreRefusedByName(_ word: String) {
    let error = #expect(throws: Failure.self) { try parse(word) }
    #expect(error?.description.contains("no mount option '\(word)' here") == true)
  }

  @Test(arguments: [
    ("allow_othr", "allow_other"), ("nosiud", "nosuid"), ("fsnam=x", "fsname"), ("rnw", "rw"),
  ])
  func aMisspeltWordBringsTheNearestOne(_ word: String, _ nearest: String) {
    let error = #expect(throws: Failure.self) { try parse(word) }
    #expect(error?.code == .usage)
    #expect(error?.message == "unknown mount option '\(word)'")
    #expect(error?.advice == "did you mean '\(nearest)'?")
  }

  @Test func ourOwnOptionsAreRead() throws {
    let options = try parse("sync=strict,rename=exdev,readers=fast,sync")
    #expect(options.readers == .fast)
    #expect(options.durability == .strict)
    #expect(options.directoryRename == .exdev)
    #expect(options.flags == ["sync"])
    #expect(throws: Failure.self) { try parse("sync=sometimes") }
    #expect(throws: Failure.self) { try parse("readers=slow") }
    #expect(try parse("").whiteouts == .aufs)
    #expect(try parse("whiteout=aufs,whiteout=overlay").whiteouts == .overlay)
    #expect(throws: Failure.self) { try parse("whiteout=docker") }
    #expect(throws: Failure.self) { try parse("max_read=many") }
    #expect(throws: Failure.self) { try parse("fsname=") }
    #expect(throws: Failure.self) { try parse("allow_other,allow_root") }
  }

  @Test(arguments: ["br:", "br=", "dirs="])
  func branchesKeepTheirEscapes(_ prefix: String) throws {
    let options = try parse(prefix + #"/a\,b=rw:/c\:d=ro,nosuid"#)
    let stack = try BranchString(aufs: try #require(options.branches))
    #expect(stack.branches.map(\.path) == ["/a,b", "/c:d"])
    #expect(options.flags == ["nosuid"])
    #expect(throws: Failure.self) { try parse("br:/a", "br:/b") }
  }

  @Test(arguments: ["suid:/x", "nosuid:", "defaults:x", "dio:1", "fsname:a=b"])
  func aWordThatIsNoLiveChangeTakesNoColon(_ word: String) {
    let error = #expect(throws: Failure.self) { try parse(word) }
    #expect(error?.description.contains("unknown mount option '\(word)'") == true)
  }
}
