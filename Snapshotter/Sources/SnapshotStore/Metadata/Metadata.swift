internal import GRDB
internal import SystemCalls
public import SystemPackage
public import UnionCore

/// What snapshots there are, in an SQLite database: this decides, and the directories follow.
///
/// A change is one transaction, on the disk when it returns (`synchronous = FULL`). There is one writer at
/// a time; readers see the state before it.
public final class Metadata: Sendable {
  let pool: DatabasePool

  /// Opens the database, or makes it, and brings it to the present schema.
  public init(_ path: FilePath) throws(Failure) {
    do {
      var configuration = Configuration()
      configuration.label = "metadata"
      configuration.busyMode = .timeout(10)
      pool = try DatabasePool(path: path.string, configuration: configuration)
      let migrator = Schema.migrator
      guard try !pool.read({ try migrator.hasBeenSuperseded($0) }) else {
        throw Failure(
          .malformedInput, "\(path) was written by a newer unionfs-swift-snapshotter",
          advice: "run that one, or another --root")
      }
      try migrator.migrate(pool)
      // The pool lowers it to NORMAL, which may lose the last transactions with the power.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(
        .failed, "the database \(path) cannot be opened: \(error)",
        advice: "if it is damaged, move the whole --root aside and pull the images again")
    }
  }

  /// Waits for readers and closes the files.
  public func close() { try? pool.close() }

  /// A read transaction.
  func read<Result>(_ body: (Database) throws -> Result) throws(SnapshotError) -> Result {
    do { return try pool.read(body) } catch { throw SnapshotError(database: error) }
  }

  /// A write transaction; an error that `body` throws takes everything back.
  func write<Result>(_ body: (Database) throws -> Result) throws(SnapshotError) -> Result {
    do { return try pool.write(body) } catch { throw SnapshotError(database: error) }
  }
}

extension SnapshotError {
  init(database error: any Error) {
    if let own = error as? SnapshotError {
      self = own
    } else if let sqlite = error as? DatabaseError, sqlite.resultCode == .SQLITE_FULL {
      self.init(.resourceExhausted, "the database has no room: \(sqlite)")
    } else {
      self.init(.failed, "the database: \(error)")
    }
  }
}
