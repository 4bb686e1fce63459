internal import GRDB

extension Metadata {
  /// One snapshot's row.
  func record(_ key: SnapshotKey) throws(SnapshotError) -> Record {
    try read { try Record.require(key, in: $0) }
  }

  /// Every snapshot, sorted by the bytes of the key.
  func records() throws(SnapshotError) -> [Record] { try read { try Record.all(in: $0) } }

  /// What it takes to mount an active snapshot or a view.
  func snapshot(_ key: SnapshotKey) throws(SnapshotError) -> Snapshot {
    try read { database in
      let record = try Record.require(key, in: database)
      guard record.info.kind != .committed else {
        throw SnapshotError(
          .failedPrecondition,
          "snapshot \(key) is committed; only an active one or a view is mounted")
      }
      return try Self.snapshot(record, in: database)
    }
  }

  static func snapshot(_ record: Record, in database: Database) throws -> Snapshot {
    Snapshot(
      id: record.id, kind: record.info.kind,
      parents: try record.parentID.map { try chain(from: $0, in: database) } ?? [],
      labels: record.info.labels)
  }

  /// A committed snapshot and all below it, nearest first.
  private static func chain(from id: SnapshotID, in database: Database) throws -> [SnapshotID] {
    let numbers = try Int64.fetchAll(
      database,
      sql: """
        WITH RECURSIVE chain (id, parent, depth) AS (
          SELECT id, parent, 0 FROM snapshot WHERE id = ?
          UNION ALL
          SELECT snapshot.id, snapshot.parent, chain.depth + 1
          FROM snapshot JOIN chain ON snapshot.id = chain.parent
        )
        SELECT id FROM chain ORDER BY depth
        """, arguments: [id.number])
    return numbers.map(SnapshotID.init)
  }

  /// The numbers in use while nobody changes them: `body` runs before the next change can.
  func whileUnchanged<Result>(
    _ body: (_ used: Set<SnapshotID>) throws -> Result
  ) throws(SnapshotError) -> Result {
    try write { database in
      try body(
        Set(try Int64.fetchAll(database, sql: "SELECT id FROM snapshot").map(SnapshotID.init)))
    }
  }

  /// The highest number that was ever used, 0 for none.
  func highestNumber() throws(SnapshotError) -> Int64 {
    try read { database in
      try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'snapshot'")
        ?? 0
    }
  }
}
