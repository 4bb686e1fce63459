internal import SystemCalls
public import SystemPackage
public import UnionCore

/// A layer store on disk; docs/layer-store.md has what lies where and why a crash leaves it whole.
public final class LayerStore: Sendable {
  public enum Kind: Sendable {
    /// `graph/` and `aufs/`: this program's, or one of Docker up to 1.9.
    case graph
    /// `image/aufs/`: of Docker 1.10 to 23. Never changed.
    case digest
  }

  public let layout: StoreLayout
  public let kind: Kind
  /// nil where a store that nobody has made yet is read.
  let root: StoreDirectory?

  /// Opens a store to read it. Where its owner alone may lock it, it is read without a lock.
  ///
  /// - Parameter mayBeMissing: whether no directory at all is an empty store.
  public init(reading root: FilePath, mayBeMissing: Bool = false) throws(Failure) {
    layout = StoreLayout(root: root)
    let opened: StoreDirectory?
    do throws(Errno) { opened = try StoreDirectory(root) } catch {
      guard error == .noSuchFileOrDirectory, mayBeMissing else {
        throw Self.failure(error, root)
      }
      opened = nil
    }
    self.root = opened
    if let opened { kind = try Self.recognise(opened) ?? .graph } else { kind = .graph }
  }

  /// Opens a store to change it: makes it where there is none, and ends what crashes have left.
  public init(changing root: FilePath) throws(Failure) {
    layout = StoreLayout(root: root)
    let opened: StoreDirectory
    do throws(Errno) {
      try Self.makePath(root)
      opened = try StoreDirectory(root)
    } catch { throw Self.failure(error, root) }
    self.root = opened
    kind = try Self.recognise(opened) ?? .graph
    if kind == .digest {
      throw Failure(
        .failed, "\(root) is a store of Docker 1.10 or later, which is read and never changed",
        advice: "'save' its images and 'load' them into a store of this program")
    }
    try about(root) { () throws(Errno) in try Self.makePlaces(in: opened) }
    try recover()
  }

  /// A store's places that every user of it expects.
  private static func makePlaces(in root: StoreDirectory) throws(Errno) {
    for (name, mode) in [
      ("aufs", 0o700), ("aufs/diff", 0o700), ("aufs/layers", 0o700), ("aufs/mnt", 0o700),
      ("graph", 0o700), ("containers", 0o700), ("unionfs-swift", 0o700),
      ("unionfs-swift/transactions", 0o700), ("unionfs-swift/tmp", 0o700),
    ] as [(String, UInt32)] where try root.place(name) == nil {
      do throws(Errno) {
        try FileSystemCall.makeDirectory(at: root.descriptor, name, mode: mode)
      } catch { if error != .fileExists { throw error } }
    }
  }

  /// mkdir -p. What is made is its owner's alone: images hold set-user-ID programs.
  private static func makePath(_ path: FilePath) throws(Errno) {
    do throws(Errno) { return try _ = StoreDirectory(path) } catch {
      guard error == .noSuchFileOrDirectory, path.lastComponent != nil else { throw error }
    }
    let above = path.removingLastComponent()
    if !above.isEmpty { try makePath(above) }
    let parent = try StoreDirectory(above.isEmpty ? "." : above)
    do throws(Errno) {
      let name = path.lastComponent?.string ?? ""
      try FileSystemCall.makeDirectory(at: parent.descriptor, name, mode: 0o700)
    } catch { if error != .fileExists { throw error } }
  }

  private static func failure(_ error: Errno, _ root: FilePath) -> Failure {
    switch error {
    case .noSuchFileOrDirectory:
      Failure(
        .missingInput, "there is no store at \(root)",
        advice: "name another with --root; 'load' and 'import' make one")
    case .notDirectory: Failure(.missingInput, "the store \(root) is not a directory")
    default: Failure(error, "the store \(root)")
    }
  }
}

/// What a directory is.
extension LayerStore {
  /// nil for one that is neither.
  private static func kind(of root: StoreDirectory) throws(Errno) -> Kind? {
    if try root.place("image/aufs") != nil { return .digest }
    for name in ["aufs", "graph", "repositories-aufs", "unionfs-swift"]
    where try root.exists(name.name) { return .graph }
    return nil
  }

  /// nil for an empty directory.
  private static func recognise(_ root: StoreDirectory) throws(Failure) -> Kind? {
    let found = try about(root.path) { () throws(Errno) -> Kind? in try kind(of: root) }
    let names = try about(root.path) { () throws(Errno) -> [[CChar]] in try root.names() }
    let others = names.map(\.text).filter { $0 != "lost+found" }
    if found != nil || others.isEmpty { return found }
    let drivers = try about(root.path) { () throws(Errno) -> [String] in
      guard let image = try root.place("image") else { return [] }
      return try image.names().map(\.text)
    }
    if let driver = drivers.min() {
      throw Failure(
        .malformedInput, "\(root.path) is a Docker's root with the driver \(driver), not aufs",
        advice: "'docker save' there and 'load' here")
    }
    throw Failure(
      .malformedInput, "\(root.path) is no layer store: it holds '\(others.min() ?? "")'",
      advice: "name a store, an empty directory or a Docker's root with --root")
  }
}

/// The lock, and places.
extension LayerStore {
  /// Runs `body` with the store's lock held: shared by those who read, alone by one who publishes.
  func whileLocked<Result>(
    exclusively: Bool, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let path = layout.own.appending("lock")
    let file = try about(path) { () throws(Errno) in try openLock(creating: exclusively) }
    defer { if let file { FileSystemCall.close(file) } }
    if let file {
      try about(path) { () throws(Errno) in
        try FileSystemCall.lock(file, exclusively: exclusively)
      }
    }
    return try body()
  }

  /// nil for a reader of a store that has no lock, or whose lock only its owner may open.
  private func openLock(creating: Bool) throws(Errno) -> CInt? {
    guard let root else { return nil }
    let name = "unionfs-swift/lock"
    if creating {
      return try FileSystemCall.open(
        at: root.descriptor, name, OpenFlag.readWrite | OpenFlag.create | OpenFlag.noFollow,
        mode: 0o600)
    }
    do throws(Errno) {
      return try FileSystemCall.open(
        at: root.descriptor, name, OpenFlag.readOnly | OpenFlag.noFollow)
    } catch {
      if [.noSuchFileOrDirectory, .permissionDenied, .notDirectory].contains(error) { return nil }
      throw error
    }
  }

  /// A place of the store; nil where it has none.
  func placeIfThere(_ name: String) throws(Failure) -> StoreDirectory? {
    guard let root else { return nil }
    return try about(layout.root.appending(name)) { () throws(Errno) in try root.place(name) }
  }

  func place(_ name: String) throws(Failure) -> StoreDirectory {
    if let place = try placeIfThere(name) { return place }
    throw Failure(
      .malformedInput, "\(layout.root.appending(name)) does not exist, so the store is damaged",
      advice: "'check --root' tells what else is missing")
  }
}
