import SystemPackage
import Testing
import UnionCore

@Suite struct LayersFileTests {
  let own: LayerID

  init() throws { own = try LayerID("app".utf8) }

  func parse(_ text: String) throws(Failure) -> LayersFile {
    try LayersFile(Array(text.utf8), of: own, path: "layers/app")
  }

  func refusal(_ text: String) -> String {
    do {
      _ = try parse(text)
      return "accepted"
    } catch {
      #expect(error.code == .malformedInput)
      return error.description
    }
  }

  @Test func parentsAreReadNearestFirstWithTheirLines() throws {
    let file = try parse("mid\n\nbase\n")
    #expect(file.parents.map(\.id.description) == ["mid", "base"])
    #expect(file.parents.map(\.line) == [1, 3])
  }

  @Test(arguments: ["", "\n", "\n\n \n\t\n", "\r\n"])
  func aFileWithoutIdsIsABaseLayers(_ text: String) throws {
    #expect(try parse(text).parents.isEmpty)
  }

  @Test(arguments: ["mid\nbase", "mid\r\nbase\r\n", "mid\r\nbase"])
  func aMissingLastNewlineAndCarriageReturnsAreAccepted(_ text: String) throws {
    #expect(try parse(text).parents.map(\.id.description) == ["mid", "base"])
  }

  @Test func aDuplicateLayerIsRefusedWithItsLine() {
    let message = refusal("mid\nbase\nmid\n")
    #expect(message.contains("layers/app line 3: repeats the layer 'mid' of line 1"))
  }

  @Test func theLayerItselfIsRefusedAsACycle() {
    #expect(refusal("mid\napp\n").contains("line 2: names the layer itself, 'app': a cycle"))
  }

  @Test(arguments: [
    "../etc", "a/b", "/", ".", "..", "a\u{1}b", "a\tb", "a\0b", ".wh.x", "a\rb",
  ])
  func anIdThatIsNoPlainNameIsRefusedWithItsLine(_ id: String) {
    #expect(refusal("mid\n\(id)\n").contains("layers/app line 2: "))
  }

  @Test func anIdLongerThanAFileNameIsRefused() throws {
    let longest = String(repeating: "x", count: 255)
    #expect(try parse(longest).parents.count == 1)
    #expect(refusal(longest + "x").contains("256 bytes"))
  }

  @Test func anIdNeedNotBeUTF8() throws {
    let file = try LayersFile([0xFF, 0xFE], of: own, path: "layers/app")
    #expect(file.parents.map(\.id.bytes) == [[0xFF, 0xFE]])
  }

  @Test func aRefusalStaysOneLineWhateverTheFileHolds() {
    #expect(!refusal("\u{1B}[2J/\n").contains("\u{1B}"))
    #expect(refusal(String(repeating: "/", count: 5000)).utf8.count < 400)
  }

  @Test func aHugeFileIsRefused() {
    let bytes = [UInt8](repeating: 10, count: LayersFile.byteLimit + 1)
    #expect(throws: LayersFile.tooLarge("layers/app")) {
      try LayersFile(bytes, of: own, path: "layers/app")
    }
  }
}

@Suite struct LayerChainTests {
  /// The warnings for a store given as id: parents.
  func check(_ store: [String: String], _ id: String) throws -> [String] {
    func file(_ id: LayerID) throws(Failure) -> LayersFile? {
      guard let text = store[id.description] else { return nil }
      return try LayersFile(Array(text.utf8), of: id, path: "layers/\(id)")
    }
    let top = try #require(try file(LayerID(id.utf8)))
    return try top.checkParents { parent throws(Failure) in
      try file(parent.id).map { ("layers/\(parent.id)", $0) }
    }
  }

  @Test func parentsThatTellTheSameChainPass() throws {
    #expect(try check(["a": "b\nc", "b": "c", "c": ""], "a").isEmpty)
  }

  @Test func missingFilesOfParentsPass() throws {
    #expect(try check(["a": "b\nc"], "a").isEmpty)
  }

  @Test(arguments: [
    ["a": "b\nc", "c": "a"], ["a": "b\nc", "b": "c\na"], ["a": "b\nc", "c": "b"],
  ])
  func aParentThatNamesALayerAboveItIsACycle(_ store: [String: String]) {
    let error = #expect(throws: Failure.self) { try check(store, "a") }
    #expect(error?.code == .malformedInput)
    #expect(error?.description.contains("a cycle") == true)
  }

  @Test func aParentThatTellsAnotherChainIsAWarning() throws {
    let warnings = try check(["a": "b\nc", "b": "d"], "a")
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains("layers/b tells another chain") == true)
  }
}

@Suite struct LayerStoreLayoutTests {
  @Test func theStoreIsFoundFromTheLayersFile() throws {
    let store = try LayerStoreLayout(layersFile: "/store/layers/app")
    #expect(store.content(of: store.id) == "/store/diff/app")
    #expect(store.content(of: try LayerID("base".utf8)) == "/store/diff/base")
    #expect(store.defaultMountPoint == "/store/mnt/app")
    #expect(store.layersFile(of: try LayerID("base".utf8)) == "/store/layers/base")
  }

  @Test func aFileElsewhereNeedsTheLayersDirectory() throws {
    #expect(throws: Failure.self) { try LayerStoreLayout(layersFile: "/tmp/app") }
    let store = try LayerStoreLayout(layersFile: "/tmp/app", diff: "/big/diff")
    #expect(store.content(of: store.id) == "/big/diff/app")
    #expect(store.defaultMountPoint == nil)
  }
}
