public import UnionCore

/// What a person calls an image: `NAME[:TAG]`, as Docker's reference grammar has it.
///
/// `docker.io/library/debian` and `docker.io/me/app` are `debian` and `me/app`, as Docker up to 1.9 kept
/// them; any other registry stays part of the name.
public struct Reference: Sendable, Hashable, CustomStringConvertible {
  public let name: String
  /// nil where none was given.
  public let tag: String?

  public static let defaultTag = "latest"
  public var tagOrDefault: String { tag ?? Self.defaultTag }
  /// With the tag that it stands for.
  public var description: String { "\(name):\(tagOrDefault)" }

  public init(_ text: String) throws(Failure) {
    if text.contains("@") {
      throw Self.invalid(
        text, "images are not kept by a registry's digests; name NAME:TAG or an image's id")
    }
    var name = Substring(text)
    var tag: Substring?
    // A colon before a slash is a registry's port.
    if let colon = text.lastIndex(of: ":"), !text[colon...].contains("/") {
      tag = text[text.index(after: colon)...]
      name = text[..<colon]
    }
    if let tag, !Self.isTag(tag) {
      throw Self.invalid(
        text, "a tag has at most 128 of A-Z a-z 0-9 _ . - and begins with no . or -")
    }
    guard Self.isName(name) else {
      throw Self.invalid(
        text, "a name is [HOST[:PORT]/]PART[/PART…], each part of a-z 0-9 with single . _ - inside")
    }
    self.name = Self.localName(name)
    self.tag = tag.map { String($0) }
  }

  public init(name: String, tag: String) {
    self.name = name
    self.tag = tag
  }

  static func invalid(_ text: String, _ advice: String) -> Failure {
    Failure(.usage, "invalid reference '\(text)'", advice: advice)
  }
}

extension Reference {
  private static func localName(_ name: Substring) -> String {
    for registry in ["index.docker.io/", "docker.io/"] where name.hasPrefix(registry) {
      let rest = name.dropFirst(registry.count)
      return String(rest.hasPrefix("library/") ? rest.dropFirst("library/".count) : rest)
    }
    return String(name)
  }

  static func isTag(_ text: Substring) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 128, isWord(first) else { return false }
    return text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
  }

  static func isName(_ text: Substring) -> Bool {
    guard text.utf8.count <= 255 else { return false }
    var parts = text.split(separator: "/", omittingEmptySubsequences: false)
    if parts.count > 1, isHost(parts[0]) { parts.removeFirst() }
    return !parts.isEmpty && parts.allSatisfy(isPart)
  }

  /// A first part with a dot, a colon or a capital, or `localhost`, is a registry.
  private static func isHost(_ text: Substring) -> Bool {
    let pieces = text.split(separator: ":", omittingEmptySubsequences: false)
    guard pieces.count <= 2, let host = pieces.first else { return false }
    if pieces.count == 2, pieces[1].isEmpty || !pieces[1].utf8.allSatisfy(isDecimal) {
      return false
    }
    let isOne =
      pieces.count == 2 || host == "localhost" || host.contains(".")
      || host.utf8.contains { (0x41...0x5A).contains($0) }
    return isOne
      && host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        label.utf8.first.map(isAlphanumeric) == true && label.utf8.last.map(isAlphanumeric) == true
          && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
      }
  }

  /// `[a-z0-9]+`, joined by `.`, `_`, `__` or any number of `-`.
  private static func isPart(_ text: Substring) -> Bool {
    var separator: [UInt8] = []
    var isFirst = true
    for byte in text.utf8 {
      if isLower(byte) {
        if !isFirst, !isSeparator(separator) { return false }
        if isFirst, !separator.isEmpty { return false }
        separator = []
        isFirst = false
      } else {
        separator.append(byte)
      }
    }
    return !isFirst && separator.isEmpty
  }

  private static func isSeparator(_ bytes: [UInt8]) -> Bool {
    bytes.allSatisfy { $0 == UInt8(ascii: "-") } || bytes == [UInt8(ascii: ".")]
      || bytes == [UInt8(ascii: "_")] || bytes == [UInt8(ascii: "_"), UInt8(ascii: "_")]
  }

  private static func isDecimal(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  private static func isLower(_ byte: UInt8) -> Bool {
    isDecimal(byte) || (0x61...0x7A).contains(byte)
  }
  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isLower(byte) || (0x41...0x5A).contains(byte)
  }
  private static func isWord(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || byte == UInt8(ascii: "_")
  }
}
