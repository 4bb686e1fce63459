/// What a snapshot is for. The raw values are the protocol's numbers and those in the database.
public enum SnapshotKind: Int64, Sendable, CaseIterable {
  /// Read only; its parent shown.
  case view = 1
  /// Being written; it can be committed.
  case active = 2
  /// Finished; it can be a parent.
  case committed = 3

  /// As filters name it.
  public var word: String { "\(self)" }
}

/// A snapshot's number: it names the directory, so that no key of a client ever does. Never used twice.
public struct SnapshotID: Sendable, Hashable {
  public let number: Int64

  public init(_ number: Int64) { self.number = number }
}

/// What a client is told of a snapshot.
public struct SnapshotInfo: Sendable, Equatable {
  /// The key of an active snapshot or a view, the name of a committed one.
  public var name: String
  /// The parent's name; empty where there is none.
  public var parent: String
  public var kind: SnapshotKind
  /// Nanoseconds since 1970.
  public var created: Int64
  public var updated: Int64
  public var labels: [String: String]
}

/// What a snapshot takes by itself: bytes on disk and inodes.
public struct SnapshotUsage: Sendable, Equatable {
  public var bytes: Int64
  public var inodes: Int64

  public init(bytes: Int64 = 0, inodes: Int64 = 0) {
    self.bytes = bytes
    self.inodes = inodes
  }
}

/// What it takes to mount a snapshot.
public struct Snapshot: Sendable, Equatable {
  public var id: SnapshotID
  public var kind: SnapshotKind
  /// The committed snapshots below it, nearest first.
  public var parents: [SnapshotID]
  public var labels: [String: String]
}
