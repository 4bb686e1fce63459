import SystemCalls
import SystemPackage
import Testing
import UnionCore

/// A parent directory as each branch holds it, top first, for one name.
private struct FakeProbe: BranchProbe {
  struct Part {
    var kind: FileKind?
    var whiteout = false
    var error: Errno?
  }
  var parts: [Part]

  init(_ parts: [Part]) { self.parts = parts }

  var count: Int { parts.count }
  func entry(at position: Int) throws(Errno) -> FileKind? {
    if let error = parts[position].error { throw error }
    return parts[position].kind
  }
  func hidesBelow(at position: Int) throws(Errno) -> Bool { parts[position].whiteout }
}

private let nothing = FakeProbe.Part()
private let file = FakeProbe.Part(kind: .regular)
private let link = FakeProbe.Part(kind: .symbolicLink)
private let directory = FakeProbe.Part(kind: .directory)
private let whiteout = FakeProbe.Part(whiteout: true)

@Suite struct ResolutionTests {
  @Test func theTopmostEntryDecides() throws {
    #expect(
      try resolve(FakeProbe([nothing, file, directory]))
        == Resolution(position: 1, type: .regular, merged: []))
    #expect(try resolve(FakeProbe([link, file]))?.type == .symbolicLink)
  }

  @Test func directoriesMergeUntilAnotherTypeIsMet() throws {
    #expect(
      try resolve(FakeProbe([directory, nothing, directory, file, directory]))
        == Resolution(position: 0, type: .directory, merged: [0, 2]))
  }

  @Test func aWhiteoutHidesWhatIsBelowItsBranch() throws {
    #expect(try resolve(FakeProbe([whiteout, file])) == nil)
    #expect(try resolve(FakeProbe([nothing, whiteout, directory])) == nil)
    #expect(try resolve(FakeProbe([file, whiteout]))?.position == 0)
  }

  @Test func anEntryWinsOverItsOwnBranchsWhiteoutWhichStillHides() throws {
    var both = directory
    both.whiteout = true
    #expect(
      try resolve(FakeProbe([directory, both, directory]))
        == Resolution(position: 0, type: .directory, merged: [0, 1]))
  }

  @Test func aSearchMayBeginBelowTheTop() throws {
    #expect(try resolve(FakeProbe([whiteout, file]), from: 1)?.position == 1)
    #expect(try resolve(FakeProbe([file]), from: 1) == nil)
  }

  @Test func nothingIsAskedBelowWhatDecides() throws {
    var broken = nothing
    broken.error = .ioError
    #expect(try resolve(FakeProbe([file, broken]))?.position == 0)
    #expect(try resolve(FakeProbe([whiteout, broken])) == nil)
    #expect(throws: Errno.ioError) { try resolve(FakeProbe([directory, broken])) }
  }
}

/// Calls `body` with a parsed name.
private func withName<Result>(_ text: String, _ body: (Name) throws -> Result) throws -> Result {
  try text.withCString { try body(try Name($0)) }
}

private func kind(_ text: String) -> DiskName {
  text.withCString { DiskName(UnsafeBufferPointer(start: $0, count: text.utf8.count)) }
}

@Suite struct NameTests {
  @Test(arguments: ["a", "...", ".w", ".wh", "wh.", "näme", String(repeating: "x", count: 255)])
  func plainNamesAreTaken(name: String) throws {
    #expect(try withName(name) { $0.count } == name.utf8.count)
  }

  @Test(arguments: [
    ("", Errno.invalidArgument), (".", .invalidArgument), ("..", .invalidArgument),
    ("a/b", .invalidArgument), (".wh.a", .notPermitted), (".wh.", .notPermitted),
    (".wh..wh..opq", .notPermitted), (String(repeating: "x", count: 256), .fileNameTooLong),
  ])
  func otherNamesAreRefused(name: String, error: Errno) {
    #expect(throws: error) { try withName(name) { $0.count } }
  }

  @Test func aWhiteoutIsThePrefixAndTheName() throws {
    let long = String(repeating: "y", count: 251)
    for name in ["a", "a.b", long] {
      let whiteout = try withName(name) { $0.withWhiteoutName { String(cString: $0) } }
      #expect(whiteout == ".wh." + name)
      if case .whiteout(let offset) = kind(whiteout) {
        #expect(offset == 4)
      } else {
        Issue.record("\(whiteout) is no whiteout")
      }
    }
  }

  @Test func aNameThatLeavesNoRoomForThePrefixHasALongWhiteout() throws {
    let names =
      (252...255).map { String(repeating: "z", count: $0) } + [
        String(repeating: "z", count: 251) + "a", String(repeating: "z", count: 251) + "b",
      ]
    let whiteouts = try names.map { name in
      try withName(name) { $0.withWhiteoutName { String(cString: $0) } }
    }
    #expect(Set(whiteouts).count == names.count)
    for whiteout in whiteouts {
      #expect(whiteout.hasPrefix(".wh..wh.long.") && whiteout.utf8.count <= 255)
      guard case .longWhiteout = kind(whiteout) else {
        Issue.record("\(whiteout) is no long whiteout")
        continue
      }
    }
  }

  @Test func namesOnDiskMeanWhatAufsMeans() {
    func describe(_ text: String) -> String {
      switch kind(text) {
      case .ordinary: "ordinary"
      case .whiteout: "whiteout"
      case .longWhiteout: "long"
      case .opaque: "opaque"
      case .reserved: "reserved"
      }
    }
    #expect(describe("a") == "ordinary")
    #expect(describe(".wh") == "ordinary")
    #expect(describe(".wh.") == "reserved")
    #expect(describe(".wh.a") == "whiteout")
    #expect(describe(".wh..a") == "whiteout")
    #expect(describe(".wh..wh.") == "reserved")
    #expect(describe(".wh..wh..opq") == "opaque")
    #expect(describe(".wh..wh..opqx") == "reserved")
    #expect(describe(".wh..wh.aufs") == "reserved")
    #expect(describe(".wh..wh.long.0") == "long")
  }
}
