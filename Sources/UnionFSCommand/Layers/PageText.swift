/// Names as a page shows them: text of one line that looks like what it is.
enum PageText {
  /// What is not UTF-8, control characters and those that turn or hide the text around them become `\ooo`.
  static func visible(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    var parser = Unicode.UTF8.ForwardParser()
    var iterator = Replay(bytes)
    while true {
      switch parser.parseScalar(from: &iterator) {
      case .valid(let encoded):
        let scalar = Unicode.UTF8.decode(encoded)
        if isDeceptive(scalar) {
          for byte in encoded { escape(byte, into: &text) }
        } else {
          text.unicodeScalars.append(scalar)
        }
        iterator.forget(encoded.count)
      case .error(let length):
        for byte in iterator.first(length) { escape(byte, into: &text) }
        iterator.forget(length)
      case .emptyInput: return text
      }
    }
  }

  /// The bytes that the parser has taken and not yet told of.
  private struct Replay<Base: IteratorProtocol<UInt8>>: IteratorProtocol {
    private var base: Base
    private var taken: [UInt8] = []

    init<Bytes: Sequence<UInt8>>(_ bytes: Bytes) where Bytes.Iterator == Base {
      base = bytes.makeIterator()
    }

    mutating func next() -> UInt8? {
      let byte = base.next()
      if let byte { taken.append(byte) }
      return byte
    }

    func first(_ count: Int) -> ArraySlice<UInt8> { taken.prefix(count) }
    mutating func forget(_ count: Int) { taken.removeFirst(min(count, taken.count)) }
  }

  private static func escape(_ byte: UInt8, into text: inout String) {
    text += "\\"
    for shift in [6, 3, 0] { text += String(byte >> UInt8(shift) & 7) }
  }

  private static func isDeceptive(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
    // Joiners belong to words and emoji; the other format characters turn or hide text.
    case .format: scalar.value != 0x200C && scalar.value != 0x200D
    default: false
    }
  }
}

enum Base64 {
  private static let digits = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func text(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits: UInt32 = 0
      for (index, byte) in group.enumerated() { bits |= UInt32(byte) << UInt32(16 - 8 * index) }
      for index in 0..<4 {
        text.append(
          index <= group.count ? digits[Int(bits >> UInt32(18 - 6 * index) & 63)] : 0x3D)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
