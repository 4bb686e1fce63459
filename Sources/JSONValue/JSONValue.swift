internal import FoundationEssentials

/// A JSON value that keeps what it does not know, so that another program's file can be changed in one place.
///
/// Objects lose the order of their names, as in the JSON of Go's maps; written ones are sorted.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])
}

/// Why bytes are no JSON: a sentence for a person.
public struct JSONFlaw: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  /// Of what is JSON, but not what it should tell.
  public init(_ description: String) { self.description = description }
}

extension JSONValue {
  /// Reads a whole document (RFC 8259).
  public init(parsing bytes: some Sequence<UInt8>) throws(JSONFlaw) {
    do {
      self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
    } catch {
      throw JSONFlaw(Self.explanation(error))
    }
  }

  /// The value on one line, names sorted, slashes as they are.
  public var bytes: [UInt8] { encoded([.sortedKeys, .withoutEscapingSlashes]) }
  /// The value over several lines, for people: as Go indents it, by four blanks.
  public var prettyBytes: [UInt8] { pretty(0) }

  private func pretty(_ depth: Int) -> [UInt8] {
    func lines(_ parts: [[UInt8]], _ open: String, _ close: String) -> [UInt8] {
      if parts.isEmpty { return Array((open + close).utf8) }
      let indent = Array(("\n" + String(repeating: "    ", count: depth + 1)).utf8)
      let end = Array(("\n" + String(repeating: "    ", count: depth) + close).utf8)
      return Array(open.utf8) + indent + Array(parts.joined(separator: Array(",".utf8) + indent))
        + end
    }
    switch self {
    case .array(let values): return lines(values.map { $0.pretty(depth + 1) }, "[", "]")
    case .object(let members):
      let parts = members.sorted { $0.key < $1.key }.map { name, value in
        JSONValue.string(name).bytes + Array(": ".utf8) + value.pretty(depth + 1)
      }
      return lines(parts, "{", "}")
    default: return bytes
    }
  }

  private func encoded(_ formatting: JSONEncoder.OutputFormatting) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    // Nothing of this type fails to encode then.
    return (try? encoder.encode(self)).map { Array($0) } ?? []
  }

  private static func explanation(_ error: any Error) -> String {
    guard let error = error as? DecodingError, case .dataCorrupted(let context) = error else {
      return "it is no JSON"
    }
    let detail = context.underlyingError.map { "\($0)" } ?? context.debugDescription
    return "it is no JSON: \(detail)"
  }
}

extension JSONValue {
  /// A member of an object; nil where this is no object or has none of that name. Setting a member of what
  /// is no object makes it one.
  public subscript(name: String) -> JSONValue? {
    get {
      if case .object(let members) = self { return members[name] }
      return nil
    }
    set {
      var members: [String: JSONValue] = [:]
      if case .object(let old) = self { members = old }
      members[name] = newValue
      self = .object(members)
    }
  }

  public var string: String? {
    if case .string(let text) = self { return text }
    return nil
  }
  public var integer: Int64? {
    if case .integer(let number) = self { return number }
    return nil
  }
  public var bool: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }
  public var array: [JSONValue]? {
    if case .array(let values) = self { return values }
    return nil
  }
  public var object: [String: JSONValue]? {
    if case .object(let members) = self { return members }
    return nil
  }
  /// The strings of an array; nil where this is none or something else is in it.
  public var strings: [String]? {
    guard let array else { return nil }
    let strings = array.compactMap(\.string)
    return strings.count == array.count ? strings : nil
  }
}

extension JSONValue: Codable {
  public init(from decoder: any Decoder) throws {
    // What there is most of comes first: each attempt that fails costs as much as ten that do not.
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
      return
    }
    if let text = try? value.decode(String.self) {
      self = .string(text)
      return
    }
    if let keyed = try? decoder.container(keyedBy: Name.self) {
      var members: [String: JSONValue] = [:]
      for name in keyed.allKeys {
        members[name.stringValue] = try keyed.decode(JSONValue.self, forKey: name)
      }
      self = .object(members)
      return
    }
    if var list = try? decoder.unkeyedContainer() {
      var values: [JSONValue] = []
      while !list.isAtEnd { values.append(try list.decode(JSONValue.self)) }
      self = .array(values)
      return
    }
    if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let integer = try? value.decode(Int64.self) {
      self = .integer(integer)
    } else {
      self = .number(try value.decode(Double.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .object(let members):
      var keyed = encoder.container(keyedBy: Name.self)
      for (name, value) in members { try keyed.encode(value, forKey: Name(stringValue: name)) }
    case .array(let values):
      var list = encoder.unkeyedContainer()
      for value in values { try list.encode(value) }
    default:
      var single = encoder.singleValueContainer()
      switch self {
      case .bool(let value): try single.encode(value)
      case .integer(let value): try single.encode(value)
      case .number(let value): try single.encode(value)
      case .string(let value): try single.encode(value)
      default: try single.encodeNil()
      }
    }
  }

  private struct Name: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { return nil }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByArrayLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }
}
