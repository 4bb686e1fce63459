internal import ArgumentParser
internal import JSONValue
internal import UnionCore

/// What the argument parser knows of a command: read from the help that it writes as JSON.
struct CommandTree {
  struct Argument {
    /// `-f`, `--branch`; empty for an operand.
    var names: [String]
    /// nil for a flag.
    var value: String?
    var isOptional: Bool
    var isRepeating: Bool
    var help: String
    var defaultValue: String?
    var choices: [String]
  }

  var name: String
  var abstract: String
  var discussion: String
  var arguments: [Argument]
  var subcommands: [CommandTree]

  init(of command: any ParsableCommand.Type) throws(Failure) {
    do {
      let dump = try JSONValue(parsing: command._dumpHelp().utf8)
      guard let tree = dump["command"].flatMap(CommandTree.init(json:)) else {
        throw JSONFlaw("it has no command")
      }
      self = tree
    } catch {
      throw Failure(.failed, "the help of the commands cannot be read: \(error)")
    }
  }

  private init?(json: JSONValue) {
    guard let name = json["commandName"]?.string else { return nil }
    self.name = name
    abstract = json["abstract"]?.string ?? ""
    discussion = json["discussion"]?.string ?? ""
    arguments = (json["arguments"]?.array ?? []).filter(Self.isShown)
      .compactMap(Argument.init(json:))
    subcommands = (json["subcommands"]?.array ?? []).filter(Self.isShown)
      .compactMap(CommandTree.init(json:))
  }

  private static func isShown(_ json: JSONValue) -> Bool { json["shouldDisplay"]?.bool != false }
}

extension CommandTree.Argument {
  fileprivate init?(json: JSONValue) {
    guard let kind = json["kind"]?.string else { return nil }
    names = (json["names"]?.array ?? []).compactMap { name in
      guard let word = name["name"]?.string else { return nil }
      return (name["kind"]?.string == "long" ? "--" : "-") + word
    }
    let name = json["valueName"]?.string ?? ""
    value = kind == "flag" ? nil : name
    isOptional = json["isOptional"]?.bool == true
    isRepeating = json["isRepeating"]?.bool == true
    help = [json["abstract"]?.string, json["discussion"]?.string].compactMap { $0 }
      .joined(separator: "\n")
    defaultValue = json["defaultValue"]?.string
    choices = (json["allValues"]?.array ?? []).compactMap(\.string)
  }
}
