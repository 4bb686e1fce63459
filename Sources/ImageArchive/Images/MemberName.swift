/// Names of an image archive's members: parts joined by slashes, without `.` and `..`.
enum MemberName {
  /// nil for one that leaves the archive, and for the archive's root.
  static func normal(_ text: String, in folder: String = "") -> String? {
    var parts = folder.split(separator: "/").map(String.init)
    for part in text.split(separator: "/") where part != "." {
      if part == ".." {
        if parts.popLast() == nil { return nil }
      } else {
        parts.append(String(part))
      }
    }
    return parts.isEmpty ? nil : parts.joined(separator: "/")
  }

  /// What a symbolic link of that name leads to.
  static func target(of name: String, link: String) -> String? {
    guard !link.hasPrefix("/") else { return nil }
    return normal(link, in: folder(of: name))
  }

  static func folder(of name: String) -> String {
    name.split(separator: "/").dropLast().joined(separator: "/")
  }

  static func last(of name: String) -> String {
    name.split(separator: "/").last.map(String.init) ?? ""
  }

  /// The digest that an OCI layout names a blob by.
  static func blobDigest(_ name: String) -> Digest? {
    let prefix = "blobs/sha256/"
    return name.hasPrefix(prefix) ? Digest(hex: String(name.dropFirst(prefix.count))) : nil
  }

  static func blob(_ digest: Digest) -> String { "blobs/sha256/\(digest.hex)" }

  /// 64 hexadecimal digits, as Docker names layers and configurations.
  static func isID(_ text: String) -> Bool { Digest(hex: text) != nil }
}

/// What a member is, by its name and its first bytes: the manifest that tells may come last.
enum MemberKind {
  case layer
  case json
  case other

  init(name: String, prefix: [UInt8], size: Int64) {
    let last = MemberName.last(of: name)
    if last.hasSuffix(".tar") {
      self = .layer
    } else if last.hasSuffix(".json") || last == "json" || last == "repositories" {
      self = .json
    } else if Compression(prefix: prefix) != .none || Self.isTar(prefix) {
      self = .layer
    } else if let first = prefix.first(where: {
      $0 != 0x20 && $0 != 0x0A && $0 != 0x09 && $0 != 0x0D
    }),
      first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
    {
      self = .json
    } else {
      self = .other
    }
  }

  /// Whether a header with its checksum, or the zeros of an empty tar, stand there.
  private static func isTar(_ block: [UInt8]) -> Bool {
    guard block.count >= 512 else { return false }
    if block.allSatisfy({ $0 == 0 }) { return true }
    let digits = block[148..<156].filter { (0x30...0x37).contains($0) }
    guard !digits.isEmpty, let sum = Int(String(decoding: digits, as: UTF8.self), radix: 8) else {
      return false
    }
    let blanks = 8 * 0x20
    return sum == block[..<148].reduce(blanks) { $0 + Int($1) }
      + block[156..<512].reduce(0) { $0 + Int($1) }
  }
}
