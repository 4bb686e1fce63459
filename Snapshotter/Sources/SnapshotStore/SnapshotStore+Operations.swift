internal import Logging
internal import SystemCalls
internal import SystemPackage

// What containerd asks for, one function an operation. Errors have the codes that its own snapshotters
// give, by which it decides.
extension SnapshotStore {
  /// A new active snapshot or view; how to mount it.
  ///
  /// - Parameter parent: the name of a committed snapshot, empty for none.
  public func create(
    _ kind: SnapshotKind, _ key: String, parent: String, labels: [String: String]
  ) throws(SnapshotError) -> [MountInstruction] {
    let new = Metadata.Creation(
      id: try nextID(), key: try SnapshotKey(key, as: "key"),
      parent: parent.isEmpty ? nil : try SnapshotKey(parent, as: "parent"), kind: kind,
      labels: try Labels.checked(labels))
    let snapshot: Snapshot
    do throws(SnapshotError) {
      snapshot = try metadata.create(new) { snapshot in
        try about("\(plan.folder)/\(snapshot.id.number)") { () throws(Errno) in
          try directories.publish(snapshot)
        }
      }
    } catch {
      // The directory may be there and the row not; nobody will ever have that number.
      try? directories.discard(new.id)
      throw error
    }
    return try plan.mounts(of: snapshot)
  }

  /// How to mount an active snapshot or a view.
  public func mounts(_ key: String) throws(SnapshotError) -> [MountInstruction] {
    try plan.mounts(of: try metadata.snapshot(try SnapshotKey(key, as: "key")))
  }

  /// Makes of an active snapshot a committed one.
  ///
  /// - Parameter parent: empty, or the parent that it has: a snapshot on nothing is mounted without a union,
  ///   so what it would have deleted of a later parent is not known.
  public func commit(
    _ key: String, as name: String, parent: String = "", labels: [String: String]
  ) throws(SnapshotError) {
    let key = try SnapshotKey(key, as: "key")
    let name = try SnapshotKey(name, as: "name")
    let labels = try Labels.checked(labels)
    let record = try metadata.record(key)
    guard parent.isEmpty || parent.utf8.elementsEqual(record.info.parent.utf8) else {
      throw SnapshotError(
        .invalidArgument,
        "snapshot \(key) was prepared on '\(record.info.parent)' and cannot be committed on '\(parent)'"
      )
    }
    let usage = try usage(of: record)
    try metadata.commit(key, record.id, as: name, labels: labels, usage: usage)
  }

  /// Forgets a snapshot and deletes its files; FAILED_PRECONDITION while it is a parent.
  public func remove(_ key: String) throws(SnapshotError) {
    let id = try metadata.remove(try SnapshotKey(key, as: "key"))
    // It is removed, whatever follows; what cannot be deleted now is by a cleanup.
    do throws(Errno) { try directories.discard(id) } catch {
      log.warning("\(plan.folder)/\(id.number) was removed and cannot be deleted: \(error)")
    }
  }

  public func stat(_ key: String) throws(SnapshotError) -> SnapshotInfo {
    try metadata.record(try SnapshotKey(key, as: "key")).info
  }

  /// Changes labels; what the snapshot is then.
  ///
  /// - Parameter fields: `labels` or `labels.NAME`; none means all labels.
  public func update(
    _ name: String, labels: [String: String], fields: [String]
  ) throws(SnapshotError) -> SnapshotInfo {
    try metadata.update(try SnapshotKey(name, as: "name"), labels: labels, fields: fields)
  }

  /// Those that match one of the filters, sorted by the bytes of their names.
  public func list(_ filters: [String]) throws(SnapshotError) -> [SnapshotInfo] {
    let accepts = try Filter(filters).predicate()
    return try metadata.records().map(\.info).filter(accepts)
  }

  /// What a snapshot takes without its parents: an active one's is measured, a committed one's was when it
  /// was committed.
  public func usage(_ key: String) throws(SnapshotError) -> SnapshotUsage {
    try usage(of: try metadata.record(try SnapshotKey(key, as: "key")))
  }

  private func usage(of record: Record) throws(SnapshotError) -> SnapshotUsage {
    guard record.info.kind == .active else { return record.usage }
    return try about("\(plan.folder)/\(record.id.number)/fs") { () throws(Errno) in
      let content = try directories.openContent(of: record.id)
      defer { FileSystemCall.close(content) }
      return try DiskUsage.measure(content)
    }
  }
}
