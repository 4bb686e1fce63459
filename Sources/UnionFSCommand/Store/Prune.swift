internal import ArgumentParser
internal import LayerStore
internal import UnionCore

/// `unionfs-swift prune`: removes what nothing needs.
struct Prune: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove images that nothing needs.",
    usage: "unionfs-swift prune [-a] [--containers] [--dry-run]",
    discussion: """
      Images without a name that nothing lies on go; with -a all that no container needs. Containers \
      stay unless --containers is given, which removes those that neither run nor are mounted.

      EXAMPLES
        unionfs-swift prune --dry-run
        unionfs-swift prune -a --containers
      """)

  @OptionGroup var store: StoreOptions
  @Flag(name: .shortAndLong, help: "Remove images with names too, where no container needs them.")
  var all = false
  @Flag(help: "Remove containers that neither run nor are mounted, first.")
  var containers = false
  @Flag(help: "Say what would be removed, and remove nothing.")
  var dryRun = false
  @Flag(name: .shortAndLong, help: "Accepted for old scripts: nothing is asked.")
  var force = false

  func run() throws {
    var result = Result()
    if dryRun {
      let (opened, catalog) = try store.catalog()
      var changes = Changes(planning: catalog)
      result = try decide(opened, catalog, [], &changes)
    } else {
      let opened = try store.changing()
      let transaction = try opened.transaction()
      try transaction.publish { catalog, used, changes throws(Failure) in
        result = try decide(opened, catalog, used, &changes)
      }
    }
    write(result)
  }

  private struct Result {
    var containers: [ObjectID] = []
    var records: [ImageRemoval.Record] = []
    var reclaimed: Int64 = 0
  }

  private func decide(
    _ store: LayerStore, _ catalog: Catalog, _ used: Set<ObjectID>, _ changes: inout Changes
  ) throws(Failure) -> Result {
    var result = Result()
    var left = catalog
    if containers {
      let table = try MountTable.current()
      for container in catalog.containers.values.sorted(by: { $0.id < $1.id })
      where !container.isRunning && MountedContainer(container, store, table).point == nil {
        let size = (try? store.measure(container.layer).total) ?? 0
        result.reclaimed = result.reclaimed.addingReportingOverflow(size).partialValue
        changes.removeContainer(container.id)
        left.forget(container: container.id)
        result.containers.append(container.id)
      }
    }
    result.records = try ImageRemoval.prune(
      all: all, catalog: left, used: used, changes: &changes)
    for case .deleted(let id) in result.records {
      let size = catalog.ownSize(of: id) ?? 0
      result.reclaimed = result.reclaimed.addingReportingOverflow(size).partialValue
    }
    return result
  }

  private func write(_ result: Result) {
    var text = ""
    if !result.containers.isEmpty {
      text +=
        "Deleted Containers:\n"
        + result.containers.map { "\($0)\n" }.joined() + "\n"
    }
    if !result.records.isEmpty {
      text +=
        "Deleted Images:\n"
        + result.records.map { record in
          switch record {
          case .untagged(let name): "untagged: \(name)\n"
          case .deleted(let id): "deleted: \(id)\n"
          }
        }.joined() + "\n"
    }
    let verb = dryRun ? "Total space that would be reclaimed" : "Total reclaimed space"
    Text.writeOutput(Array("\(text)\(verb): \(Units.size(result.reclaimed))\n".utf8))
  }
}
