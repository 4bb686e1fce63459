internal import ArgumentParser
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `--root`, of every verb of the layer store.
struct StoreOptions: ParsableArguments {
  @Option(
    name: .customLong("root"),
    help: ArgumentHelp(
      "Where the layer store lies. Root's default is /var/lib/unionfs-swift, another's "
        + "$XDG_DATA_HOME/unionfs-swift (~/.local/share/unionfs-swift).", valueName: "dir"),
    completion: .directory)
  var given: CommandArgument?

  /// Absolute, whether or not it is there.
  func root() throws(Failure) -> FilePath {
    guard let given else { return try Self.defaultRoot() }
    if given.bytes.isEmpty { throw Failure(.usage, "--root names nothing") }
    if given.path.isAbsolute { return given.path }
    do throws(Errno) {
      return try Invocation.workingDirectory().pushing(given.path)
    } catch { throw Disk.failure(error, "the working directory") }
  }

  static func defaultRoot() throws(Failure) -> FilePath {
    if Invocation.effectiveUser == 0 { return "/var/lib/unionfs-swift" }
    // A relative one is to be ignored (XDG Base Directory Specification).
    if let data = Invocation.variable("XDG_DATA_HOME"), data.isAbsolute {
      return data.appending("unionfs-swift")
    }
    if let home = Invocation.variable("HOME"), home.isAbsolute {
      return home.appending(".local/share/unionfs-swift")
    }
    throw Failure(
      .usage, "neither XDG_DATA_HOME nor HOME says where the store lies",
      advice: "name it with --root")
  }

  /// Opens the store to read it. The default one need not be there yet.
  func reading() throws(Failure) -> LayerStore {
    try LayerStore(reading: root(), mayBeMissing: given == nil)
  }

  /// Opens the store to change it, and makes it where there is none.
  func changing() throws(Failure) -> LayerStore {
    let root = try root()
    RunDirectory.clearAbandoned(below: StoreLayout(root: root).own.appending("run"))
    return try LayerStore(changing: root)
  }

  /// The catalog; what is broken in the store is said on standard error.
  func catalog() throws(Failure) -> (store: LayerStore, catalog: Catalog) {
    let store = try reading()
    let catalog = try store.catalog()
    for warning in catalog.warnings { Text.writeError("warning: \(warning)") }
    return (store, catalog)
  }
}

extension Sequence where Element == String {
  /// Does one thing after the other. What fails is said in a line; the status is the first one's.
  func forEachTelling(_ body: (String) throws(Failure) -> Void) throws {
    var first: Failure?
    for element in self {
      do throws(Failure) { try body(element) } catch {
        Text.writeError(error.description)
        first = first ?? error
      }
    }
    if let first { throw SilentExit(status: first.code.rawValue) }
  }
}
