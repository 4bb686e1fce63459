internal import ArgumentParser
internal import LayerStore
internal import UnionCore

/// `unionfs-swift tag`: gives an image a name.
struct TagImage: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tag", abstract: "Give an image a name.",
    usage: "unionfs-swift tag <image> <name>[:<tag>]",
    discussion: """
      The tag is 'latest' where none is given. A name that another image had is taken from it.

      EXAMPLES
        unionfs-swift tag 5baf41aa6b debian:12
        unionfs-swift tag debian:12 localhost:5000/me/debian:stable
      """)

  @OptionGroup var store: StoreOptions
  @Flag(name: .shortAndLong, help: "Accepted for old scripts; a name is always taken over.")
  var force = false
  @Argument(
    help: ArgumentHelp("The image.", valueName: "image"), completion: Completion.images)
  var image: String
  @Argument(help: ArgumentHelp("Its new name.", valueName: "name[:tag]"))
  var name: String

  func run() throws {
    let reference = try Reference(name)
    if ObjectID(reference.name) != nil {
      throw Failure(.usage, "'\(name)' looks like an image's id", advice: "choose another name")
    }
    let transaction = try store.changing().transaction()
    try transaction.publish { catalog, _, changes throws(Failure) in
      changes.tags.set(reference, to: try catalog.image(image).id)
    }
  }
}
