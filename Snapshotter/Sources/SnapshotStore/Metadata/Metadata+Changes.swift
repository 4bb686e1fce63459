internal import GRDB
internal import SystemCalls

extension Metadata {
  /// What a new active snapshot or view is to be.
  struct Creation {
    var id: SnapshotID
    var key: SnapshotKey
    /// nil for none.
    var parent: SnapshotKey?
    var kind: SnapshotKind
    var labels: [String: String]
  }

  /// Adds a snapshot.
  ///
  /// - Parameter publish: makes its directory, with everything checked and nothing decided yet; where it
  ///   throws there is no snapshot.
  func create(
    _ new: Creation, publish: (Snapshot) throws -> Void
  ) throws(SnapshotError) -> Snapshot {
    try write { database in
      let parent = try new.parent.map { try Self.parent($0, in: database) }
      guard try Record.find(new.key, in: database) == nil else {
        throw SnapshotError(.alreadyExists, "snapshot \(new.key) exists already")
      }
      let now = Self.now
      try database.execute(
        sql: """
          INSERT INTO snapshot (id, key, parent, kind, created, updated) VALUES (?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          new.id.number, new.key.text, parent?.id.number, new.kind.rawValue, now, now,
        ])
      try Self.setLabels(of: new.id, to: new.labels, in: database)
      let snapshot = try Self.snapshot(try Record.require(new.key, in: database), in: database)
      try publish(snapshot)
      return snapshot
    }
  }

  /// Makes of an active snapshot a committed one, which has the labels given and no others.
  ///
  /// - Parameter id: whose usage was measured; it must be the one still.
  func commit(
    _ key: SnapshotKey, _ id: SnapshotID, as name: SnapshotKey, labels: [String: String],
    usage: SnapshotUsage
  ) throws(SnapshotError) {
    try write { database in
      let record = try Record.require(key, in: database)
      guard try Record.find(name, in: database) == nil else {
        throw SnapshotError(.alreadyExists, "snapshot \(name) exists already")
      }
      guard record.info.kind == .active, record.id == id else {
        throw SnapshotError(.failedPrecondition, "snapshot \(key) is not active")
      }
      let now = Self.now
      try database.execute(
        sql: """
          UPDATE snapshot SET key = ?, kind = ?, created = ?, updated = ?, bytes = ?, inodes = ?
          WHERE id = ?
          """,
        arguments: [
          name.text, SnapshotKind.committed.rawValue, now, now, usage.bytes, usage.inodes,
          id.number,
        ])
      try Self.setLabels(of: id, to: labels, in: database)
    }
  }

  /// Forgets a snapshot; the number of the directory that is nobody's now.
  func remove(_ key: SnapshotKey) throws(SnapshotError) -> SnapshotID {
    try write { database in
      let record = try Record.require(key, in: database)
      let child = try String.fetchOne(
        database, sql: "SELECT key FROM snapshot WHERE parent = ? LIMIT 1",
        arguments: [record.id.number])
      if let child {
        throw SnapshotError(
          .failedPrecondition, "snapshot \(key) is the parent of '\(child)'; remove that first")
      }
      try database.execute(
        sql: "DELETE FROM snapshot WHERE id = ?", arguments: [record.id.number])
      return record.id
    }
  }

  /// Changes labels; what the snapshot is then.
  func update(
    _ key: SnapshotKey, labels: [String: String], fields: [String]
  ) throws(SnapshotError) -> SnapshotInfo {
    try write { database in
      var record = try Record.require(key, in: database)
      record.info.labels = try Labels.updated(record.info.labels, with: labels, fields: fields)
      record.info.updated = Self.now
      try database.execute(
        sql: "UPDATE snapshot SET updated = ? WHERE id = ?",
        arguments: [record.info.updated, record.id.number])
      try Self.setLabels(of: record.id, to: record.info.labels, in: database)
      return record.info
    }
  }

  /// Nanoseconds since 1970.
  private static var now: Int64 { Int64(clamping: ProcessCall.nanoseconds) }

  private static func parent(_ key: SnapshotKey, in database: Database) throws -> Record {
    guard let record = try Record.find(key, in: database) else {
      throw SnapshotError(.notFound, "the parent \(key) does not exist")
    }
    guard record.info.kind == .committed else {
      throw SnapshotError(.invalidArgument, "the parent \(key) is not committed")
    }
    return record
  }

  private static func setLabels(
    of id: SnapshotID, to labels: [String: String], in database: Database
  ) throws {
    try database.execute(sql: "DELETE FROM label WHERE snapshot = ?", arguments: [id.number])
    for (name, value) in labels {
      try database.execute(
        sql: "INSERT INTO label (snapshot, name, value) VALUES (?, ?, ?)",
        arguments: [id.number, name, value])
    }
  }
}
