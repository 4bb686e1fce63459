internal import Logging
internal import SystemCalls
internal import SystemPackage

extension SnapshotStore {
  /// Deletes every directory that is nobody's: staged and never finished, put aside and not deleted, or
  /// without a row because its transaction never came to its end.
  public func cleanup() throws(SnapshotError) {
    // Nothing is being published then, and a number that is unused now stays so.
    let names = try metadata.whileUnchanged { used in
      try about("the folder of the snapshots", directories.names).filter { name in
        switch SnapshotDirectories.entry(name) {
        case .snapshot(let id): !used.contains(id)
        case .leftover: true
        case .foreign: false
        }
      }
    }
    for name in names.sorted() {
      do throws(Errno) {
        if case .snapshot(let id) = SnapshotDirectories.entry(name) {
          try directories.discard(id)
        } else {
          try directories.delete(name)
        }
      } catch {
        log.warning("\(plan.folder)/\(name) is left over and cannot be deleted: \(error)")
      }
    }
  }

  /// What a start does: cleans up, and says what is not as it should be.
  func bringInOrder() throws(SnapshotError) {
    try cleanup()
    let names = Set(try about("the folder of the snapshots", directories.names))
    for name in names.sorted() where SnapshotDirectories.entry(name) == .foreign {
      log.warning("\(plan.folder)/\(name) is not the snapshotter's; it stays")
    }
    for record in try metadata.records() where !names.contains(SnapshotDirectories.name(record.id))
    {
      log.error(
        """
        \(plan.folder)/\(record.id.number) is missing: snapshot '\(record.info.name)' has lost its \
        files; remove it and pull its image again
        """)
    }
  }
}
