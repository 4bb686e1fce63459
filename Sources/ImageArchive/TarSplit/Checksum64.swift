/// CRC-64 as Go's hash/crc64 has it with the ISO polynomial: tar-split tells a file that has changed by it.
struct Checksum64 {
  private static let tables = makeTables()
  private var state: UInt64 = ~0

  /// Eight tables, for eight bytes at a time.
  private static func makeTables() -> [UInt64] {
    var tables = [UInt64](repeating: 0, count: 8 * 256)
    for index in 0..<256 {
      var value = UInt64(index)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xD800_0000_0000_0000 : value >> 1 }
      tables[index] = value
    }
    for index in 0..<256 {
      var value = tables[index]
      for table in 1..<8 {
        value = tables[Int(value & 0xFF)] ^ value >> 8
        tables[table * 256 + index] = value
      }
    }
    return tables
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var crc = state
    Self.tables.withUnsafeBufferPointer { tables in
      var at = 0
      while at + 8 <= bytes.count {
        crc ^= UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        var next: UInt64 = 0
        for lane in 0..<8 {
          next ^= tables[(7 - lane) * 256 + Int(crc >> UInt64(lane * 8) & 0xFF)]
        }
        crc = next
        at += 8
      }
      while at < bytes.count {
        crc = tables[Int(crc & 0xFF) ^ Int(bytes[at])] ^ crc >> 8
        at += 1
      }
    }
    state = crc
  }

  /// Big-endian.
  var bytes: [UInt8] {
    let value = ~state
    return (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - $0 * 8)) }
  }
}

/// Base64 with padding (RFC 4648), as JSON of Go has bytes.
enum Base64 {
  private static let digits = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let values = makeValues()

  private static func makeValues() -> [UInt8] {
    var values = [UInt8](repeating: 0xFF, count: 256)
    for (value, digit) in digits.enumerated() { values[Int(digit)] = UInt8(value) }
    return values
  }

  static func append(_ bytes: ArraySlice<UInt8>, to text: inout [UInt8]) {
    let room = (bytes.count + 2) / 3 * 4
    let encoded = [UInt8](unsafeUninitializedCapacity: room) { text, count in
      digits.withUnsafeBufferPointer { digits in
        bytes.withUnsafeBufferPointer { bytes in encode(bytes, digits, into: text) }
      }
      count = room
    }
    text += encoded
  }

  private static func encode(
    _ bytes: UnsafeBufferPointer<UInt8>, _ digits: UnsafeBufferPointer<UInt8>,
    into text: UnsafeMutableBufferPointer<UInt8>
  ) {
    var (from, to) = (0, 0)
    while from < bytes.count {
      let left = bytes.count - from
      let second = left > 1 ? UInt32(bytes[from + 1]) : 0
      let third = left > 2 ? UInt32(bytes[from + 2]) : 0
      let word = UInt32(bytes[from]) << 16 | second << 8 | third
      text[to] = digits[Int(word >> 18)]
      text[to + 1] = digits[Int(word >> 12 & 63)]
      text[to + 2] = left > 1 ? digits[Int(word >> 6 & 63)] : 0x3D
      text[to + 3] = left > 2 ? digits[Int(word & 63)] : 0x3D
      from += 3
      to += 4
    }
  }

  /// nil for what is none.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    let isWhole = values.withUnsafeBufferPointer { values in
      text.withUnsafeBufferPointer { text in
        var at = 0
        while at < text.count {
          let isLast = at + 4 == text.count
          let padding = isLast ? (text[at + 3] != 0x3D ? 0 : text[at + 2] == 0x3D ? 2 : 1) : 0
          var word: UInt32 = 0
          for index in 0..<4 {
            let isPadding = index >= 4 - padding
            let value = isPadding ? 0 : values[Int(text[at + index])]
            if value == 0xFF { return false }
            word = word << 6 | UInt32(value)
          }
          bytes.append(UInt8(truncatingIfNeeded: word >> 16))
          if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: word >> 8)) }
          if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: word)) }
          at += 4
        }
        return true
      }
    }
    return isWhole ? bytes : nil
  }
}
