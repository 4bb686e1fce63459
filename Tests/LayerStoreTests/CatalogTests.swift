import JSONValue
import SystemPackage
import TestSupport
import Testing
import UnionCore

@testable import LayerStore

/// A short name for an id in the tests.
func id(_ head: String) throws -> ObjectID { try #require(ObjectID(ImageStore.id(head))) }

extension ImageStore {
  func reading() throws -> LayerStore { try LayerStore(reading: FilePath(root.string)) }
  func changing() throws -> LayerStore { try LayerStore(changing: FilePath(root.string)) }
}

/// The failure that the body must throw.
func refusal(_ body: () throws -> Void) throws -> Failure {
  do { try body() } catch let failure as Failure { return failure }
  Issue.record("nothing was thrown")
  return Failure(.failed, "")
}

@Suite struct CatalogTests {
  @Test(arguments: [
    ("debian", "b1"), ("debian:8", "b1"), ("docker.io/library/debian", "b1"), ("me/app:1", "c2"),
    ("d3", "d3"), ("c2000", "c2"), (ImageStore.id("a0"), "a0"), ("sha256:a0", "a0"),
  ])
  func anImageIsFoundByNameAndByItsId(_ name: String, _ head: String) throws {
    let store = try ImageStore.sample()
    #expect(try store.reading().catalog().image(name).id == id(head))
  }

  @Test func anAmbiguousBeginningIsRefused() throws {
    let store = try ImageStore.sample()
    try store.add("a0b")
    let catalog = try store.reading().catalog()
    #expect(try refusal { _ = try catalog.image("a0") }.message.contains("2 ids"))
    #expect(
      try refusal { _ = try catalog.image("me/app") }.message == "No such image: me/app:latest")
  }

  @Test func aChainIsToldThroughTheJsonAndThroughTheLayers() throws {
    let store = try ImageStore.sample()
    let (opened, ids) = (try store.reading(), [try id("c2"), try id("b1"), try id("a0")])
    let catalog = try opened.catalog()
    #expect(try catalog.chain(of: ids[0]).map(\.id) == ids)
    #expect(try catalog.layers(of: ids[0]).map(\.id) == ids.map(\.layer))
    #expect(try opened.layersFile(of: ids[0].layer).parents.map(\.id) == ids[1...].map(\.layer))
    #expect(catalog.size(of: ids[0]) == 7 + 3 + 3)
  }

  @Test func whatIsBrokenIsNamedAndTheRestIsThere() throws {
    let store = try ImageStore.sample()
    let json = store.root / Path("graph/\(ImageStore.id("b1"))/json")
    try json.write("{")
    let catalog = try store.reading().catalog()
    #expect(catalog.images.count == 3)
    #expect(catalog.warnings.map(\.message).filter { $0.contains("\(json)") }.count == 1)
    #expect(try refusal { _ = try catalog.chain(of: id("c2")) }.message.contains("\(json)"))
    #expect(try refusal { _ = try catalog.image("debian") }.message.contains("\(json)"))
  }

  @Test func aMissingParentAndACycleNameTheFile() throws {
    let store = try ImageStore.sample()
    try (store.root / Path("graph/\(ImageStore.id("a0"))")).removeTree()
    let (top, catalog) = (try id("c2"), try store.reading().catalog())
    #expect(
      try refusal { _ = try catalog.chain(of: top) }.message.contains(
        "graph/\(ImageStore.id("b1"))"))
    try (store.root / Path("graph/\(ImageStore.id("b1"))/json")).write(
      #"{"id":"\#(ImageStore.id("b1"))","parent":"\#(ImageStore.id("c2"))"}"#)
    let cyclic = try store.reading().catalog()
    #expect(try refusal { _ = try cyclic.chain(of: top) }.message.contains("a cycle"))
  }

  @Test func brokenTagsAreAWarningToReadersAndStopChanges() throws {
    let store = try ImageStore.sample()
    try (store.root / "repositories-aufs").write(#"{"Repositories":{"a":{"b":"short"}}}"#)
    #expect(try store.reading().catalog().warnings.count == 1)
    let failure = try refusal { try store.changing().transaction().publish() }
    #expect(failure.message.contains("repositories-aufs"))
    #expect(failure.code == .malformedInput)
  }

  @Test func whatIsNoStoreIsRefused() throws {
    let store = try ImageStore()
    let other = store.root / "trust"
    let empty = try LayerStore(reading: FilePath(other.string))
    #expect(try empty.catalog().images.isEmpty)
    try (other / "file").write("")
    #expect(throws: Failure.self) { try LayerStore(reading: FilePath(other.string)) }
    #expect(throws: Failure.self) { try LayerStore(changing: FilePath(other.string)) }
    let missing = FilePath((store.root / "none").string)
    #expect(try refusal { _ = try LayerStore(reading: missing) }.code == .missingInput)
    #expect(try LayerStore(reading: missing, mayBeMissing: true).catalog().images.isEmpty)
    try (other / "file").unlink()
    try (other / "image").mkdir()
    try (other / "image/overlay2").mkdir()
    let failure = try refusal { _ = try LayerStore(reading: FilePath(other.string)) }
    #expect(failure.message.contains("overlay2"))
  }

  @Test func aNewStoreHasItsPlacesForItsOwnerAlone() throws {
    let store = try ImageStore()
    let root = store.root / "volumes/a/b"
    let opened = try LayerStore(changing: FilePath(root.string))
    #expect(try opened.catalog().images.isEmpty)
    #expect(
      try root.names() == ["aufs", "containers", "graph", "unionfs-swift"])
    #expect(try root.stat().mode == 0o700)
    #expect(try (root / "unionfs-swift").stat().mode == 0o700)
  }

  @Test func aNewerDockersStoreIsReadAndNeverChanged() throws {
    let store = try DigestStore()
    let opened = try LayerStore(reading: FilePath(store.root.string))
    let catalog = try opened.catalog()
    #expect(catalog.warnings == [])
    let image = try catalog.image("me/app:2")
    #expect(image.id.hex == DigestStore.image)
    #expect(
      try catalog.layers(of: image.id).map(\.id.description)
        == [DigestStore.upper, DigestStore.lower].map { ImageStore.id($0) })
    #expect(catalog.size(of: image.id) == 12)
    let history = try HistoryEntry.all(of: image, catalog)
    #expect(history.map(\.createdBy) == ["COPY app", "CMD bash", "ADD rootfs"])
    #expect(history.map(\.size) == [3, 0, 9])
    #expect(try catalog.container("calm_curie").image == image.id)
    #expect(try opened.check() == [])
    let failure = try refusal { _ = try LayerStore(changing: FilePath(store.root.string)) }
    #expect(failure.message.contains("Docker 1.10"))
  }
}
