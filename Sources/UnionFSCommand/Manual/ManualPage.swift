internal import ArgumentParser
internal import UnionCore

/// A page of the manual: its texts, and the options of the commands that it tells of.
struct ManualPage {
  let name: String
  let section: Int
  let command: any ParsableCommand.Type
  /// What stands before and after the options.
  let write: (inout Roff, CommandTree) -> Void

  static var all: [ManualPage] {
    [
      ManualPage(
        name: "unionfs-swift", section: 1, command: UnionFSSwift.self, write: writeCommandPage),
      ManualPage(
        name: MountHelper.verb, section: 8, command: MountHelper.self, write: writeHelperPage),
    ]
  }

  /// The page as man(7) source.
  func source() throws(Failure) -> String {
    let tree = try CommandTree(of: command)
    var roff = Roff(
      title: name, section: section, version: UnionFSSwift.configuration.version,
      manual: section == 8 ? "System administration" : "User commands")
    roff.section("Name")
    let abstract = tree.abstract.hasSuffix(".") ? String(tree.abstract.dropLast()) : tree.abstract
    roff.line(Roff.escaped(name) + " \\- " + Roff.escaped(Self.lowercasedFirst(abstract)))
    roff.section("Synopsis")
    roff.synopsis(command.configuration.usage ?? name)
    write(&roff, tree)
    return roff.source
  }

  private static func lowercasedFirst(_ text: String) -> String {
    text.prefix(1).lowercased() + text.dropFirst()
  }

  private static func writeCommandPage(_ roff: inout Roff, _ tree: CommandTree) {
    roff.section("Description")
    for text in ManualText.description { roff.paragraph(text) }
    roff.section("Verbs")
    for type in UnionFSSwift.configuration.subcommands {
      guard let verb = tree.subcommands.first(where: { $0.name == type.configuration.commandName })
      else { continue }
      roff.verb(verb, usage: type.configuration.usage)
    }
    roff.subsection("Every verb")
    for option in tree.arguments { roff.argument(option) }
    roff.mountOptions()
    roff.items("Exit status", ManualText.exitStatus)
    roff.items("Files", ManualText.files)
    roff.items("Environment", ManualText.environment)
    roff.section("Examples")
    roff.example(CommandHelp(tree.discussion).examples)
    roff.section("See also")
    roff.paragraph(
      "mount.unionfs-swift(8), fusermount3(1), mount(8), fstab(5), runc(8), podman(1), dockerd(8)")
  }

  private static func writeHelperPage(_ roff: inout Roff, _ tree: CommandTree) {
    let help = CommandHelp(tree.discussion)
    roff.section("Description")
    for text in help.paragraphs { roff.paragraph(text) }
    for text in ManualText.helper { roff.paragraph(text) }
    roff.section("Options")
    for option in tree.arguments { roff.argument(option) }
    roff.items("Exit status", ManualText.helperStatus)
    roff.section("Examples")
    roff.example(help.examples)
    for (text, lines) in ManualText.helperExamples {
      roff.paragraph(text)
      roff.example(lines)
    }
    roff.section("See also")
    roff.paragraph(
      "unionfs-swift(1), mount(8), fstab(5), umount(8), systemd.mount(5), mount.fuse3(8)")
  }
}

/// A command's discussion: sentences, then its examples.
struct CommandHelp {
  let paragraphs: [String]
  let examples: String

  init(_ discussion: String) {
    var lines = discussion.split(separator: "\n", omittingEmptySubsequences: false)
    var examples: [String] = []
    if let heading = lines.firstIndex(of: "EXAMPLES") {
      examples = lines[(heading + 1)...].map { String($0.hasPrefix("  ") ? $0.dropFirst(2) : $0) }
      lines.removeSubrange(heading...)
    }
    while examples.last?.isEmpty == true { examples.removeLast() }
    self.examples = examples.joined(separator: "\n")
    paragraphs = lines.split(whereSeparator: \.isEmpty).map { $0.joined(separator: "\n") }
  }
}
