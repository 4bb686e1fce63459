internal import GRDB

/// The tables. A migration that has been released is never changed; a new one is added.
enum Schema {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    // AUTOINCREMENT, so that the highest number ever used is remembered: it names directories.
    migrator.registerMigration("1: snapshots and labels") { database in
      try database.execute(
        sql: """
          CREATE TABLE snapshot (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE CHECK (key <> ''),
            parent INTEGER REFERENCES snapshot (id) ON DELETE RESTRICT,
            kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            bytes INTEGER NOT NULL DEFAULT 0,
            inodes INTEGER NOT NULL DEFAULT 0
          ) STRICT;
          CREATE INDEX snapshot_parent ON snapshot (parent);
          CREATE TABLE label (
            snapshot INTEGER NOT NULL REFERENCES snapshot (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            value TEXT NOT NULL CHECK (value <> ''),
            PRIMARY KEY (snapshot, name)
          ) STRICT, WITHOUT ROWID;
          """)
    }
    return migrator
  }
}
