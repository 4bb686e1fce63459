import Logging
import SnapshotTestSupport
import SystemPackage
import Testing

@testable import SnapshotStore

/// A store of a test's own.
struct StoreFixture {
  let scratch: Scratch
  let store: SnapshotStore

  init() throws { try self.init(in: try Scratch()) }

  init(in scratch: Scratch) throws {
    self.scratch = scratch
    store = try Self.open(scratch)
  }

  static func open(_ scratch: Scratch) throws -> SnapshotStore {
    try SnapshotStore(
      root: scratch.path("root"), program: "unionfs-swift", log: quiet)
  }

  var folder: String { scratch.path("root/snapshots").string }

  /// A committed snapshot with one file in it.
  @discardableResult
  func layer(_ name: String, on parent: String = "", file: String? = nil) throws -> Int64 {
    _ = try store.create(.active, "making \(name)", parent: parent, labels: [:])
    let id = try number(of: "making \(name)")
    try scratch.write(name, to: "root/snapshots/\(id)/fs/\(file ?? "file")")
    try store.commit("making \(name)", as: name, labels: [:])
    return id
  }

  func number(of key: String) throws -> Int64 {
    try store.metadata.record(try SnapshotKey(key, as: "key")).id.number
  }

  /// The directories there are.
  var directories: [String] { scratch.names("root/snapshots") }
}

/// A log that nobody reads.
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// What an operation is refused with.
func refusal(_ body: () throws -> Void) throws -> SnapshotError.Code {
  try #require(throws: SnapshotError.self, performing: body).code
}
