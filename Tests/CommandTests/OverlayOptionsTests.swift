import SystemPackage
import Testing
import UnionCore
import UnionFS

@testable import UnionFSCommand

/// fuse-overlayfs's command line, as its clients write it.
@Suite struct OverlayOptionsTests {
  private func arguments(_ words: [String]) throws(Failure) -> OverlayArguments {
    try OverlayArguments(words.map { CommandArgument(bytes: Array($0.utf8)) })
  }

  private func options(_ list: String) throws(Failure) -> OverlayOptions {
    try OverlayOptions([Array(list.utf8)])
  }

  private func words(_ list: String) throws -> [String] {
    try options(list).words.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    ["-o", "lowerdir=/l,upperdir=/u,workdir=/w", "/m"],
    ["overlay", "/m", "-o", "workdir=/w,upperdir=/u,lowerdir=/l,dev,suid"],
    ["overlay", "/m", "-oworkdir=/w,upperdir=/u", "-o", "lowerdir=/l"],
    ["-f", "/m", "-s", "-olowerdir=/l", "-o", "upperdir=/u", "-oworkdir=/w"],
    ["-o", "lowerdir=/x,lowerdir=/l,upperdir=/u,workdir=/w", "--", "/m"],
    ["-o", ",,lowerdir=/l,,upperdir=/u,workdir=/w,", "/m"],
  ])
  func everyOrderSaysTheSame(command: [String]) throws {
    let arguments = try arguments(command)
    let options = try OverlayOptions(arguments.optionLists)
    #expect(arguments.mountPoint == Array("/m".utf8))
    #expect(arguments.warnings.isEmpty)
    #expect(options.lower == ["/l"] && options.upper == "/u" && options.work == "/w")
  }

  @Test func flagsAreFuseOverlayfss() throws {
    let arguments = try arguments(["-d", "-h", "-V", "--strange", "/m"])
    #expect(arguments.isDebugging && arguments.isInForeground)
    #expect(arguments.wantsHelp && arguments.wantsVersion)
    #expect(arguments.warnings == ["'--strange' is unknown and ignored"])
    #expect(throws: Failure.self) { try self.arguments(["/m", "-o"]) }
    #expect(throws: Failure.self) { try self.arguments(["a", "b", "c"]) }
  }

  @Test(arguments: [
    ("lowerdir=/a:/b::/c", ["/a", "/b", "/c"]), (#"lowerdir=/a\:b:c"#, ["/a:b", "c"]),
    (#"lowerdir=/a\,b:/c"#, ["/a,b", "/c"]), (#"lowerdir=/a\\:/c"#, [#"/a\"#, "/c"]),
    ("lowerdir=/a,lowerdir+=/b,lowerdir+=/c", ["/a", "/b", "/c"]),
    (#"lowerdir="/a,b:/c""#, ["/a,b", "/c"]), (#"lowerdir="/a:/c"#, ["\"/a", "/c"]),
  ])
  func lowerDirectoriesAreCutAtColonsThatAreNotEscaped(list: String, paths: [String]) throws {
    #expect(try options(list).lower == paths.map { FilePath($0) })
  }

  @Test func aCommaInQuotesOrBehindABackslashDoesNotCut() {
    let parts = OverlayOptions.split(Array(#"context="a,b",x=1\,2,y="open,z"#.utf8))
    #expect(
      parts.map { String(decoding: $0, as: UTF8.self) } == [
        #"context="a,b""#, #"x=1\,2"#, #"y="open"#, "z",
      ])
  }

  @Test(arguments: [
    ("volatile", "sync=volatile"), ("fsync=0", "sync=volatile"), ("fsync=1", "sync=auto"),
    ("sync=strict", "sync=strict"), ("writeback=0", "writeback=off"),
    ("writeback=1", "writeback=auto"), ("nosuid", "nosuid"), ("passthrough=off", "passthrough=off"),
  ])
  func optionsAreToldInOwnWords(option: String, own: String) throws {
    #expect(try words(option) == [own])
  }

  @Test(arguments: [
    "timeout=0", "context=\"a,b\"", "metacopy=on", "redirect_dir=off", "private", "userxattr",
    "index=off", "xino=off", "plugins=/x", "threaded=1", "noatime=1",
  ])
  func whatHasNoMeaningHereIsNoted(option: String) throws {
    let options = try options(option)
    #expect(options.words.isEmpty && options.notes.count == 1 && options.warnings.isEmpty)
  }

  @Test func redirectsAreRefusedByName() throws {
    let failure = #expect(throws: Failure.self) { try self.options("redirect_dir=on") }
    #expect(failure?.message.contains("redirect_dir=on") ?? false)
  }

  @Test func ownersAreMappedAndSquashed() throws {
    let options = try options(
      "uidmapping=:0:100000:65536,gidmapping=0:200000:10,squash_to_root,squash_to_gid=7,"
        + "xattr_permissions=2")
    #expect(options.words.isEmpty && options.notes.isEmpty && options.warnings.isEmpty)
    #expect(options.owners.users.shown(5) == 100_005 && options.owners.groups.shown(5) == 200_005)
    #expect(options.owners.squashedUser == 0 && options.owners.squashedGroup == 7)
    #expect(options.upperOwners == .detected(else: .containers))
    #expect(try self.options("xattr_permissions=1").upperOwners == .attribute(.privileged))
    #expect(try self.options("xattr_permissions=0,noatime=1").upperOwners == .disk)
  }

  @Test(arguments: [
    "uidmapping=0:1", "gidmapping=a:b:c", "squash_to_uid=", "squash_to_gid=-1",
    "squash_to_uid=4294967295", "xattr_permissions=3",
  ])
  func whatIsNoOwnerIsRefusedByName(option: String) {
    let failure = #expect(throws: Failure.self) { try self.options(option) }
    #expect(failure?.message.contains("'\(option)'") ?? false)
  }

  @Test func unknownWordsAreLeftOutAndWrongValuesAreNot() throws {
    let options = try MountOptions(
      tolerant: ["strange", "odd=1", "add:1:/x", "volatile=2", "nosuid", "sync=volatile"].map {
        Array($0.utf8)
      })
    #expect(options.warnings.count == 4)
    #expect(options.warnings.first == "the option 'strange' is unknown and ignored")
    #expect(options.flags == ["nosuid"] && options.durability == .volatile)
    #expect(throws: Failure.self) {
      try MountOptions(tolerant: [Array("passthrough=maybe".utf8)])
    }
  }

  @Test(arguments: [
    (["/m"], "no lower directory"), (["-o", "lowerdir=/l"], "no mount point"),
    (["-o", "lowerdir=/l,upperdir=/u", "/m"], "without workdir"),
    (["-o", "lowerdir=/l,br:/x=rw", "/m"], "'br:' and lowerdir"),
    (["-o", "lowerdir=/l,upperdir=,workdir=/w", "/m"], "'upperdir=' names no directory"),
    (["-o", "lowerdir=/does/not/exist", "/"], "lower directory /does/not/exist"),
  ])
  func errorsNameTheThing(command: [String], message: String) throws {
    let failure = #expect(throws: Failure.self) {
      _ = try OverlayRequest(self.arguments(command), user: 0).plan()
    }
    #expect(failure?.message.contains(message) ?? false, "\(String(describing: failure))")
  }
}
