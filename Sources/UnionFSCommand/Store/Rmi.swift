internal import ArgumentParser
internal import LayerStore
internal import UnionCore

/// `unionfs-swift rmi`: removes names of images, and images.
struct Rmi: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rmi", abstract: "Remove images.",
    usage: "unionfs-swift rmi [-f] [--no-prune] <image> …",
    discussion: """
      A name is taken from its image; the image goes with its last name, and with it those below that \
      nothing else needs. What containers or other images need stays.

      EXAMPLES
        unionfs-swift rmi debian:12
        unionfs-swift rmi -f 5baf41aa6b
        unionfs-swift rmi $(unionfs-swift images -q app)
      """)

  @OptionGroup var store: StoreOptions
  @Flag(name: .shortAndLong, help: "Remove it though it has names or stopped containers.")
  var force = false
  @Flag(help: "Keep the images below, though nothing names them.")
  var noPrune = false
  @Argument(
    help: ArgumentHelp("An image's name or id.", valueName: "image"), completion: Completion.images)
  var images: [String]

  func run() throws {
    let opened = try store.changing()
    let options = ImageRemoval.Options(force: force, prunesParents: !noPrune)
    try images.forEachTelling { name throws(Failure) in
      var records: [ImageRemoval.Record] = []
      let transaction = try opened.transaction()
      try transaction.publish { catalog, used, changes throws(Failure) in
        records = try ImageRemoval.remove(
          name, options, catalog: catalog, used: used, changes: &changes)
      }
      Text.writeOutput(Self.lines(records))
    }
  }

  static func lines(_ records: [ImageRemoval.Record]) -> [UInt8] {
    Array(
      records.map { record in
        switch record {
        case .untagged(let name): "Untagged: \(name)\n"
        case .deleted(let id): "Deleted: \(id)\n"
        }
      }.joined().utf8)
  }
}
