internal import GRDB

/// A row of `snapshot` with the name of its parent.
struct Record {
  var id: SnapshotID
  var parentID: SnapshotID?
  var info: SnapshotInfo
  var usage: SnapshotUsage

  private static let columns = """
    SELECT snapshot.id, snapshot.key, snapshot.parent, snapshot.kind, snapshot.created,
      snapshot.updated, snapshot.bytes, snapshot.inodes, above.key AS parent_key
    FROM snapshot LEFT JOIN snapshot AS above ON above.id = snapshot.parent
    """

  static func find(_ key: SnapshotKey, in database: Database) throws -> Record? {
    let row = try Row.fetchOne(
      database, sql: "\(columns) WHERE snapshot.key = ?", arguments: [key.text])
    guard let row else { return nil }
    var record = try Record(row)
    record.info.labels = try labels(of: record.id, in: database)
    return record
  }

  /// The same; NOT_FOUND where there is none.
  static func require(_ key: SnapshotKey, in database: Database) throws -> Record {
    guard let record = try find(key, in: database) else {
      throw SnapshotError(.notFound, "snapshot \(key) does not exist")
    }
    return record
  }

  /// Every snapshot, sorted by the bytes of the key.
  static func all(in database: Database) throws -> [Record] {
    var labels: [Int64: [String: String]] = [:]
    let rows = try Row.fetchCursor(database, sql: "SELECT snapshot, name, value FROM label")
    while let row = try rows.next() {
      labels[try Self.number(row, "snapshot"), default: [:]][try text(row, "name")] = try text(
        row, "value")
    }
    return try Row.fetchAll(database, sql: "\(columns) ORDER BY snapshot.key").map { row in
      var record = try Record(row)
      record.info.labels = labels[record.id.number] ?? [:]
      return record
    }
  }

  private init(_ row: Row) throws {
    id = SnapshotID(try Self.number(row, "id"))
    parentID = Int64.fromDatabaseValue(row["parent"]).map(SnapshotID.init)
    guard let kind = SnapshotKind(rawValue: try Self.number(row, "kind")) else {
      throw Self.damaged("kind")
    }
    info = SnapshotInfo(
      name: try Self.text(row, "key"), parent: String.fromDatabaseValue(row["parent_key"]) ?? "",
      kind: kind, created: try Self.number(row, "created"),
      updated: try Self.number(row, "updated"),
      labels: [:])
    usage = SnapshotUsage(
      bytes: try Self.number(row, "bytes"), inodes: try Self.number(row, "inodes"))
  }

  private static func labels(of id: SnapshotID, in database: Database) throws -> [String: String] {
    var labels: [String: String] = [:]
    let rows = try Row.fetchCursor(
      database, sql: "SELECT name, value FROM label WHERE snapshot = ?", arguments: [id.number])
    while let row = try rows.next() { labels[try text(row, "name")] = try text(row, "value") }
    return labels
  }

  // A column of another type is a damaged file; GRDB's own subscript would trap on it.

  private static func number(_ row: Row, _ column: String) throws -> Int64 {
    guard let value = Int64.fromDatabaseValue(row[column]) else { throw damaged(column) }
    return value
  }

  private static func text(_ row: Row, _ column: String) throws -> String {
    guard let value = String.fromDatabaseValue(row[column]) else { throw damaged(column) }
    return value
  }

  private static func damaged(_ column: String) -> SnapshotError {
    SnapshotError(.failed, "the database is damaged: column \(column) holds what it cannot")
  }
}
