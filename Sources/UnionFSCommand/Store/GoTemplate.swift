internal import JSONValue
internal import UnionCore

/// The part of Go's text/template that people write after `--format`: fields, `index`, `len`, `json`,
/// `join`, `split`, `upper`, `lower`, `title`, `println`, comparisons, `|`, `range`, `if`, `with`.
struct GoTemplate {
  indirect enum Expression {
    case dot
    case variable(String)
    case field(Expression, String)
    case literal(JSONValue)
    case call(String, [Expression])
  }

  indirect enum Node {
    case text(String)
    case value(Expression)
    case choice(Expression, [Node], [Node], rebinds: Bool)
    case range(key: String?, value: String?, Expression, [Node], [Node])
  }

  let nodes: [Node]

  init(_ source: String) throws(Failure) {
    var parser = try GoTemplateParser(source)
    nodes = try parser.parse()
  }

  func text(of value: JSONValue) throws(Failure) -> String {
    var text = ""
    var evaluation = Evaluation(root: value)
    try evaluation.write(nodes, value, &text)
    return text
  }

  static func wrong(_ message: String, advice: String = "") -> Failure {
    Failure(.usage, "--format: \(message)", advice: advice)
  }
}

extension GoTemplate {
  private struct Evaluation {
    let root: JSONValue
    var variables: [String: JSONValue] = [:]

    mutating func write(
      _ nodes: [Node], _ dot: JSONValue, _ text: inout String
    ) throws(Failure) {
      for node in nodes {
        switch node {
        case .text(let plain): text += plain
        case .value(let expression):
          text += GoTemplate.shown(try value(of: expression, dot))
        case .choice(let condition, let yes, let no, let rebinds):
          let value = try value(of: condition, dot)
          let isTrue = GoTemplate.isTrue(value)
          try write(isTrue ? yes : no, isTrue && rebinds ? value : dot, &text)
        case .range(let key, let name, let list, let body, let otherwise):
          let elements = try elements(of: value(of: list, dot))
          if elements.isEmpty { try write(otherwise, dot, &text) }
          for (index, element) in elements {
            if let key { variables[key] = index }
            if let name { variables[name] = element }
            try write(body, element, &text)
          }
        }
      }
    }

    private func elements(of value: JSONValue) throws(Failure) -> [(JSONValue, JSONValue)] {
      switch value {
      case .array(let values): return values.enumerated().map { (.integer(Int64($0.0)), $0.1) }
      case .object(let members):
        return members.sorted { $0.key < $1.key }.map { (.string($0.key), $0.value) }
      case .null: return []
      default: throw GoTemplate.wrong("'range' goes over lists and objects alone")
      }
    }

    func value(of expression: Expression, _ dot: JSONValue) throws(Failure) -> JSONValue {
      switch expression {
      case .dot: return dot
      case .literal(let value): return value
      case .variable(let name):
        if name.isEmpty { return root }
        guard let value = variables[name] else {
          throw GoTemplate.wrong("there is no variable '$\(name)'")
        }
        return value
      case .field(let base, let name):
        return try GoTemplate.field(name, of: value(of: base, dot))
      case .call(let name, let arguments):
        var values: [JSONValue] = []
        for argument in arguments { values.append(try value(of: argument, dot)) }
        return try GoTemplate.call(name, values)
      }
    }
  }

  static func field(_ name: String, of value: JSONValue) throws(Failure) -> JSONValue {
    guard case .object(let members) = value else {
      throw wrong("'.\(name)' is asked of what is no object", advice: "'{{json .}}' shows it all")
    }
    if let member = members[name] { return member }
    let known = members.keys.sorted().joined(separator: ", ")
    throw wrong("there is no field '\(name)'", advice: "there are \(known)")
  }

  static func isTrue(_ value: JSONValue) -> Bool {
    switch value {
    case .null: false
    case .bool(let flag): flag
    case .integer(let number): number != 0
    case .number(let number): number != 0
    case .string(let text): !text.isEmpty
    case .array(let values): !values.isEmpty
    case .object(let members): !members.isEmpty
    }
  }

  /// A value as Go prints it.
  static func shown(_ value: JSONValue) -> String {
    switch value {
    case .null: "<nil>"
    case .string(let text): text
    case .array(let values): "[" + values.map(shown).joined(separator: " ") + "]"
    case .object(let members):
      "map["
        + members.sorted { $0.key < $1.key }.map { "\($0.key):\(shown($0.value))" }
        .joined(separator: " ") + "]"
    default: String(decoding: value.bytes, as: UTF8.self)
    }
  }
}

/// Functions.
extension GoTemplate {
  static let functions: [String: ClosedRange<Int>] = [
    "json": 1...1, "len": 1...1, "index": 2...9, "join": 2...2, "split": 2...2, "upper": 1...1,
    "lower": 1...1, "title": 1...1, "println": 0...9, "print": 0...9, "eq": 2...9, "ne": 2...2,
    "not": 1...1, "and": 1...9, "or": 1...9, "truncate": 2...2,
  ]

  static func call(_ name: String, _ values: [JSONValue]) throws(Failure) -> JSONValue {
    guard let count = functions[name] else {
      throw wrong(
        "there is no function '\(name)'",
        advice: "there are \(functions.keys.sorted().joined(separator: ", "))")
    }
    guard count.contains(values.count), let first = values.first ?? .some(.null) else {
      throw wrong("'\(name)' has \(values.count) arguments")
    }
    switch name {
    case "json": return .string(String(decoding: first.bytes, as: UTF8.self))
    case "len": return .integer(Int64(try length(of: first)))
    case "index":
      var value = first
      for key in values.dropFirst() { value = try index(value, key) }
      return value
    case "eq": return .bool(values.dropFirst().contains(first))
    case "ne": return .bool(first != values[1])
    case "not": return .bool(!isTrue(first))
    case "and": return values.first { !isTrue($0) } ?? values[values.count - 1]
    case "or": return values.first { isTrue($0) } ?? values[values.count - 1]
    case "print": return .string(values.map(shown).joined())
    case "println": return .string(values.map(shown).joined(separator: " ") + "\n")
    default: return try callOnText(name, values)
    }
  }

  private static func callOnText(
    _ name: String, _ values: [JSONValue]
  ) throws(Failure) -> JSONValue {
    if name == "join" {
      let list = values[0] == .null ? [] : try strings(values[0])
      return .string(list.joined(separator: shown(values[1])))
    }
    let text = shown(values[0])
    switch name {
    case "upper": return .string(text.uppercased())
    case "lower": return .string(text.lowercased())
    case "title": return .string(text.prefix(1).uppercased() + text.dropFirst())
    case "truncate": return .string(String(text.prefix(Int(clamping: values[1].integer ?? 0))))
    default:
      let separator = shown(values[1])
      if separator.isEmpty { return .array(text.map { .string(String($0)) }) }
      return .array(
        text.split(separator: separator, omittingEmptySubsequences: false).map {
          .string(String($0))
        })
    }
  }

  private static func strings(_ value: JSONValue) throws(Failure) -> [String] {
    guard let values = value.array else { throw wrong("'join' takes a list") }
    return values.map(shown)
  }

  private static func length(of value: JSONValue) throws(Failure) -> Int {
    switch value {
    case .null: return 0
    case .string(let text): return text.utf8.count
    case .array(let values): return values.count
    case .object(let members): return members.count
    default: throw wrong("'len' takes a text, a list or an object")
    }
  }

  private static func index(_ value: JSONValue, _ key: JSONValue) throws(Failure) -> JSONValue {
    switch (value, key) {
    case (.array(let values), .integer(let position)):
      guard position >= 0, position < values.count else {
        throw wrong("'index': there are \(values.count) elements, and none has number \(position)")
      }
      return values[Int(position)]
    case (.object(let members), .string(let name)): return members[name] ?? .string("")
    case (.null, _): return .string("")
    default: throw wrong("'index' takes a list and a number, or an object and a name")
    }
  }
}
