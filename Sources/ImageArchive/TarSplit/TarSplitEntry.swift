internal import JSONValue

/// A line of tar-split's file: bytes of the archive as they are, or a file whose content stands in their
/// place.
enum TarSplitEntry: Equatable {
  case segment([UInt8])
  case file(name: [UInt8], size: Int64, checksum: [UInt8])

  /// As Go's encoding/json writes it, with the newline.
  func line(position: Int) -> [UInt8] {
    var text: [UInt8] = []
    switch self {
    case .segment(let bytes):
      text += Array(#"{"type":2,"payload":""#.utf8)
      Base64.append(bytes[...], to: &text)
      text.append(0x22)
    case .file(let name, let size, let checksum):
      text += Array(#"{"type":1,"#.utf8)
      Self.append(name, to: &text)
      if size != 0 { text += Array(#""size":\#(size),"#.utf8) }
      text += Array(#""payload":"#.utf8)
      if checksum.isEmpty {
        text += Array("null".utf8)
      } else {
        text.append(0x22)
        Base64.append(checksum[...], to: &text)
        text.append(0x22)
      }
    }
    return text + Array(",\"position\":\(position)}\n".utf8)
  }

  private static func append(_ name: [UInt8], to text: inout [UInt8]) {
    guard let string = String(validating: name, as: UTF8.self) else {
      text += Array(#""name_raw":""#.utf8)
      Base64.append(name[...], to: &text)
      text += Array("\",".utf8)
      return
    }
    text += Array(#""name":"#.utf8)
    for byte in JSONValue.string(string).bytes {
      // Go escapes what HTML would take for its own.
      switch byte {
      case UInt8(ascii: "<"): text += Array(#"\u003c"#.utf8)
      case UInt8(ascii: ">"): text += Array(#"\u003e"#.utf8)
      case UInt8(ascii: "&"): text += Array(#"\u0026"#.utf8)
      default: text.append(byte)
      }
    }
    text.append(0x2C)
  }

  /// nil for what is no such line.
  init?(_ line: ArraySlice<UInt8>) {
    var cursor = Cursor(rest: line)
    if let entry = cursor.segment() ?? cursor.file() {
      self = entry
      return
    }
    guard let json = try? JSONValue(parsing: line), let type = json["type"]?.integer else {
      return nil
    }
    let payload = Base64.decode(Array((json["payload"]?.string ?? "").utf8)[...])
    guard let payload else { return nil }
    switch type {
    case 1:
      let raw = json["name_raw"]?.string ?? ""
      guard let rawName = Base64.decode(Array(raw.utf8)[...]) else { return nil }
      let name = rawName.isEmpty ? Array((json["name"]?.string ?? "").utf8) : rawName
      self = .file(name: name, size: json["size"]?.integer ?? 0, checksum: payload)
    case 2: self = .segment(payload)
    default: return nil
    }
  }

  /// Reads the lines that are nearly all: a general reader takes twenty times as long.
  private struct Cursor {
    var rest: ArraySlice<UInt8>

    mutating func segment() -> TarSplitEntry? {
      let start = rest
      if take(#"{"type":2,"payload":""#), let payload = string(), takeEnd(),
        let bytes = Base64.decode(payload)
      {
        return .segment(bytes)
      }
      rest = start
      return nil
    }

    mutating func file() -> TarSplitEntry? {
      let start = rest
      if take(#"{"type":1,"name":""#), let name = string() {
        var size: Int64 = 0
        if take(#","size":"#) { size = number() ?? -1 }
        if take(#","payload":null"#), takeEnd() {
          return .file(name: Array(name), size: size, checksum: [])
        }
        if take(#","payload":""#), let payload = string(), takeEnd(),
          let checksum = Base64.decode(payload)
        {
          return .file(name: Array(name), size: size, checksum: checksum)
        }
      }
      rest = start
      return nil
    }

    private mutating func take(_ text: StaticString) -> Bool {
      let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
      guard rest.starts(with: expected) else { return false }
      rest = rest.dropFirst(expected.count)
      return true
    }

    /// Up to the quote; nil where something is escaped.
    private mutating func string() -> ArraySlice<UInt8>? {
      guard let end = rest.firstIndex(of: 0x22) else { return nil }
      let text = rest[..<end]
      if text.contains(UInt8(ascii: "\\")) { return nil }
      rest = rest[(end + 1)...]
      return text
    }

    private mutating func number() -> Int64? {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      rest = rest.dropFirst(digits.count)
      return Int64(String(decoding: digits, as: UTF8.self))
    }

    private mutating func takeEnd() -> Bool {
      take(#","position":"#) && number() != nil && rest.elementsEqual([0x7D])
    }
  }
}
