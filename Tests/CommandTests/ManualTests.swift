import Foundation
import Testing

@testable import UnionFSCommand

/// The manual and the completions are made from the commands, and lack none of them.
@Suite struct ManualTests {
  private func page(_ name: String) throws -> String {
    let run = try spawn(["manual", name])
    #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    return run.output
  }

  /// A page without its escapes and fonts.
  private func plain(_ source: String) -> String {
    ["\\fB", "\\fI", "\\fR", "\\&"].reduce(source) { $0.replacing($1, with: "") }
      .replacing("\\-", with: "-").replacing("\\(aq", with: "'").replacing("\\e", with: "\\")
  }

  @Test func everyVerbAndEveryOptionIsInTheManual() throws {
    let text = plain(try page("unionfs-swift"))
    let tree = try CommandTree(of: UnionFSSwift.self)
    #expect(tree.subcommands.count > 25)
    for verb in tree.subcommands where verb.name != "help" {
      let heading = try #require(text.range(of: ".SS \(verb.name)\n"), "\(verb.name)")
      let rest = text[heading.upperBound...]
      let section = rest[..<(rest.range(of: "\n.SS ")?.lowerBound ?? rest.endIndex)]
      #expect(section.contains(verb.abstract), "\(verb.name)")
      for argument in verb.arguments where argument.names.last != "--help" {
        for name in argument.names where name != "--version" {
          #expect(section.contains(name), "\(verb.name) \(name)")
        }
      }
    }
  }

  @Test func everyMountOptionIsInTheManual() throws {
    let text = plain(try page("unionfs-swift"))
    let start = try #require(text.range(of: ".SH MOUNT OPTIONS"))
    let section = text[start.upperBound...].prefix { $0 != "\u{0}" }
    for word in Set(OptionTable.words.keys).union(OptionTable.keys.keys) {
      #expect(section.contains(word), "\(word)")
    }
    for word in ["br:", "sync=", "rename=", "passthrough=", "writeback=", "readers=", "serve="] {
      #expect(section.contains(word), "\(word)")
    }
  }

  @Test func everyExitStatusIsInTheManual() throws {
    let text = try page("unionfs-swift")
    let section = try #require(text.range(of: ".SH EXIT STATUS"))
    for status in [0, 1, 64, 65, 66, 69, 74, 75, 77] {
      #expect(text[section.upperBound...].contains("\\fB\(status)\\fR"), "\(status)")
    }
  }

  @Test func theHelpersPageHasItsOptionsAndStatuses() throws {
    let text = plain(try page("mount.unionfs-swift"))
    #expect(text.hasPrefix(".TH MOUNT.UNIONFS-SWIFT 8 "))
    for word in [
      "-f", "-n", "-s", "-v", "-o", "-t", "fstab(5)", "Type=unionfs-swift", ".SH EXIT STATUS",
    ] {
      #expect(text.contains(word), "\(word)")
    }
  }

  @Test func aPageThatIsNotThereIsRefused() throws {
    let run = try spawn(["manual", "intro"])
    #expect(run.status == 64)
    #expect(run.error.contains("'intro'; unionfs-swift and mount.unionfs-swift are"))
  }

  @Test func noLineOfTextIsARequest() {
    #expect(Roff.protected(Roff.escaped(".wh.NAME")) == "\\&.wh.NAME")
    #expect(Roff.protected(Roff.escaped("'x'")) == "\\(aqx\\(aq")
    #expect(Roff.escaped("a-b\\c…é") == "a\\-b\\ec...\\[u00E9]")
    #expect(
      Roff.typed("mount [-f] <dir>… | x")
        == "\\fBmount\\fR [\\fB\\-f\\fR] \\fIdir\\fR... | \\fBx\\fR")
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/man"), "needs man-db"))
  func manFindsNothingWrongWithThePages() throws {
    for name in ["unionfs-swift", "mount.unionfs-swift"] {
      let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).1")
      defer { try? FileManager.default.removeItem(at: file) }
      try page(name).write(to: file, atomically: true, encoding: .utf8)
      let run = try spawn(
        ["--warnings=w", "-l", file.path], program: URL(filePath: "/usr/bin/man"),
        environment: [
          "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat",
        ])
      #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
      #expect(run.output.contains("SYNOPSIS") && run.output.contains("EXIT STATUS"), "\(name)")
    }
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func completionsKnowEveryVerb(shell: String) throws {
    let run = try spawn(["--generate-completion-script", shell])
    #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    for verb in try CommandTree(of: UnionFSSwift.self).subcommands {
      #expect(run.output.contains(verb.name), "\(verb.name)")
    }
  }
}
