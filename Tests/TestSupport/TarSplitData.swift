internal import Glibc

/// Tar-split's description of a tar (github.com/vbatts/tar-split), as Docker from 1.8 on keeps one beside each
/// layer: content is told by its checksum, everything else in full. Of plain tars: no pax headers, no
/// sparse files, names of up to 100 ASCII bytes.
public func tarSplitLines(of tar: [UInt8]) -> String {
  var lines: [String] = []
  var raw: [UInt8] = []
  var at = 0
  func flush() {
    if raw.isEmpty { return }
    lines.append(#"{"type":2,"payload":"\#(base64(raw))","position":\#(lines.count)}"#)
    raw = []
  }
  while at + 512 <= tar.count {
    let header = Array(tar[at..<(at + 512)])
    raw += header
    at += 512
    if header.allSatisfy({ $0 == 0 }) { break }
    let name = String(decoding: header[..<100].prefix { $0 != 0 }, as: UTF8.self)
    let digits = String(decoding: header[124..<135].prefix { $0 != 0 && $0 != 0x20 }, as: UTF8.self)
    let size = Int(digits, radix: 8) ?? 0
    flush()
    let content = Array(tar[at..<(at + size)])
    let sum = size == 0 ? "null" : #""\#(base64(checksum64(content)))""#
    let told = size == 0 ? "" : #""size":\#(size),"#
    lines.append(
      #"{"type":1,"name":"\#(name)",\#(told)"payload":\#(sum),"position":\#(lines.count)}"#)
    at += size
    let padding = (512 - size % 512) % 512
    raw += tar[at..<(at + padding)]
    at += padding
  }
  raw += tar[at...]
  flush()
  return lines.map { $0 + "\n" }.joined()
}

/// CRC-64 of ISO 3309, as Go has it, the first byte first.
private func checksum64(_ bytes: [UInt8]) -> [UInt8] {
  var sum = ~UInt64(0)
  for byte in bytes {
    sum ^= UInt64(byte)
    for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xD800_0000_0000_0000 : sum >> 1 }
  }
  sum = ~sum
  return (0..<8).reversed().map { UInt8(truncatingIfNeeded: sum >> (8 * UInt64($0))) }
}

private func base64(_ bytes: [UInt8]) -> String {
  let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  var text = ""
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let part = Array(bytes[start..<min(start + 3, bytes.count)])
    let word = (part + [0, 0]).prefix(3).reduce(0) { $0 << 8 | Int($1) }
    for index in 0..<4 {
      text.append(index <= part.count ? digits[word >> (18 - 6 * index) & 63] : "=")
    }
  }
  return text
}
