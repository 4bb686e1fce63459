import Foundation
import GRDB
import SnapshotTestSupport
import SystemPackage
import Testing
import UnionCore

@testable import SnapshotStore

/// What a crash at any point leaves, and what the next start makes of it. That the points are these is
/// shown in `KillTests`, which kills the program at each of its system calls.
@Suite struct RecoveryTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// A store with a layer (1), an active snapshot (2) and a view (3), closed again.
  func prepare() throws {
    let fixture = try StoreFixture(in: scratch)
    try fixture.layer("one")
    _ = try fixture.store.create(.active, "a", parent: "one", labels: [:])
    _ = try fixture.store.create(.view, "v", parent: "one", labels: [:])
    fixture.store.close()
  }

  @Test func directoriesThatAreNobodysGoAtTheNextStart() throws {
    try prepare()
    for left in ["new-4/fs", "new-4/work", "gone-2/fs/deep", "gone-2.17/x", "9/fs", "77/fs/deep"] {
      try scratch.make("root/snapshots/\(left)")
    }
    try scratch.write("x", to: "root/snapshots/gone-2/fs/deep/file")
    for foreign in ["lost+found", "gone-", "new-x", "007", "-1", "gone-1.x"] {
      try scratch.make("root/snapshots/\(foreign)")
    }
    let store = try StoreFixture.open(scratch)
    #expect(
      scratch.names("root/snapshots")
        == ["-1", "007", "1", "2", "3", "gone-", "gone-1.x", "lost+found", "new-x"])
    #expect(try store.list([]).map(\.name) == ["a", "one", "v"])
    #expect(scratch.text("root/snapshots/1/fs/file") == "one")
    // A number that a directory had is not given again.
    _ = try store.create(.active, "b", parent: "one", labels: [:])
    #expect(scratch.names("root/snapshots").contains("78"))
  }

  @Test func cleanupTakesLeftoversAndNothingElse() throws {
    try prepare()
    let store = try StoreFixture.open(scratch)
    try scratch.make("root/snapshots/gone-9/fs")
    try scratch.make("root/snapshots/new-10/fs")
    try store.cleanup()
    #expect(scratch.names("root/snapshots") == ["1", "2", "3"])
    #expect(try store.mounts("a").count == 1)
  }

  @Test func aLinkPutInAnothersPlaceIsNotFollowed() throws {
    try prepare()
    try scratch.make("outside/kept")
    let outside = scratch.path("outside").string
    for name in ["gone-5", "6"] {
      try FileManager.default.createSymbolicLink(
        atPath: scratch.path("root/snapshots/\(name)").string, withDestinationPath: outside)
    }
    let store = try StoreFixture.open(scratch)
    #expect(scratch.names("root/snapshots") == ["1", "2", "3"])
    #expect(scratch.names("outside") == ["kept"])
    // Nor one inside of a layer.
    try FileManager.default.createSymbolicLink(
      atPath: scratch.path("root/snapshots/2/fs/link").string, withDestinationPath: outside)
    try store.remove("a")
    #expect(scratch.names("outside") == ["kept"])
  }

  @Test func aSnapshotWithoutItsDirectoryCanStillBeRemoved() throws {
    try prepare()
    try FileManager.default.removeItem(at: scratch.url.appending(path: "root/snapshots/2"))
    let store = try StoreFixture.open(scratch)
    #expect(try refusal { _ = try store.usage("a") } == .failed)
    #expect(try refusal { try store.commit("a", as: "b", labels: [:]) } == .failed)
    try store.remove("a")
    try store.remove("v")
    try FileManager.default.removeItem(at: scratch.url.appending(path: "root/snapshots/1"))
    #expect(
      try refusal { _ = try store.create(.active, "c", parent: "one", labels: [:]) } == .failed)
    #expect(try store.list([]).map(\.name) == ["one"])
    #expect(scratch.names("root/snapshots").isEmpty)
  }

  @Test func aCreationThatFailsLeavesNeitherRowNorDirectory() throws {
    let store = try StoreFixture.open(scratch)
    // The folder is taken away from under the store.
    let folder = scratch.url.appending(path: "root/snapshots")
    try FileManager.default.removeItem(at: folder)
    #expect(try refusal { _ = try store.create(.active, "a", parent: "", labels: [:]) } == .failed)
    #expect(try store.list([]).isEmpty)
  }

  @Test func aStoreIsOneServersAtATime() throws {
    let first = try StoreFixture.open(scratch)
    let failure = try #require(throws: Failure.self) { try StoreFixture.open(scratch) }
    #expect(failure.code == .busy)
    withExtendedLifetime(first) {}
  }

  @Test(arguments: ["a,b", "a:b", "a\\b", "a b", "a\"b", "a'b", "a\nb"])
  func aRootThatOptionsCannotNameIsRefused(_ name: String) throws {
    let failure = try #require(throws: Failure.self) {
      try SnapshotStore(root: scratch.path(name), program: "x", log: quiet)
    }
    #expect(failure.code == .usage)
  }

  @Test func aDamagedOrNewerDatabaseIsRefusedAndKept() throws {
    try scratch.make("root")
    try scratch.write(String(repeating: "no database\n", count: 1000), to: "root/metadata.db")
    let failure = try #require(throws: Failure.self) { try StoreFixture.open(scratch) }
    #expect(failure.message.contains("metadata.db"))
    #expect(scratch.text("root/metadata.db")?.hasPrefix("no database\n") == true)
  }

  @Test func aNewerSchemaIsRefused() throws {
    try prepare()
    let metadata = try Metadata(scratch.path("root/metadata.db"))
    try metadata.pool.write { database in
      try database.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('9: later')")
    }
    metadata.close()
    let failure = try #require(throws: Failure.self) { try StoreFixture.open(scratch) }
    #expect(failure.code == .malformedInput)
  }

  @Test func transactionsAreOnTheDiskWhenTheyEnd() throws {
    let store = try StoreFixture.open(scratch)
    let level = try store.metadata.pool.writeWithoutTransaction {
      try Int.fetchOne($0, sql: "PRAGMA synchronous")
    }
    #expect(level == 2)
  }
}
