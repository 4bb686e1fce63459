internal import ArgumentParser
internal import UnionCore

/// `unionfs-swift manual`: the manual, made from the commands themselves.
struct Manual: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual",
    abstract: "Write a page of the manual, as man(1) reads it.",
    usage: "unionfs-swift manual [<page>]",
    discussion: """
      PAGE is unionfs-swift, which is the default, or mount.unionfs-swift.

      EXAMPLES
        unionfs-swift manual | man -l -
        unionfs-swift manual mount.unionfs-swift > mount.unionfs-swift.8
      """)

  @Argument(
    help: ArgumentHelp("Which page.", valueName: "page"),
    completion: .list(ManualPage.all.map(\.name)))
  var page = "unionfs-swift"

  func run() throws {
    guard let page = ManualPage.all.first(where: { $0.name == page }) else {
      throw Failure(
        .usage, "there is no page '\(Text.printable(Array(page.utf8)))'",
        advice: ManualPage.all.map(\.name).joined(separator: " and ") + " are")
    }
    Text.writeOutput(Array(try page.source().utf8))
  }
}
