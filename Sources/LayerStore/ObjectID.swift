public import UnionCore

/// The id of an image or a container: 64 hexadecimal digits, as Docker makes them.
public struct ObjectID: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let hex: String

  /// nil where the text is none (capitals, another length).
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 64, text.utf8.allSatisfy(Self.isDigit) else { return nil }
    hex = String(text)
  }

  private init(digits: [UInt8]) { hex = String(decoding: digits, as: UTF8.self) }

  /// One that nothing has. Never 12 decimal digits at its head: some tools read those as a number.
  public static func random() -> ObjectID {
    let digits = Array("0123456789abcdef".utf8)
    while true {
      let id = (0..<64).map { _ in digits[Int.random(in: 0..<16)] }
      if id.prefix(12).contains(where: { $0 > UInt8(ascii: "9") }) { return ObjectID(digits: id) }
    }
  }

  /// The 12 digits that people see.
  public var short: String { String(hex.prefix(12)) }
  public var description: String { hex }
  public static func < (first: ObjectID, second: ObjectID) -> Bool { first.hex < second.hex }

  /// The layer of the same name.
  public var layer: LayerID { LayerID(unchecked: Array(hex.utf8)) }
  /// A container's layer of placeholders, between its own and the image's.
  public var initLayer: LayerID { LayerID(unchecked: Array((hex + "-init").utf8)) }

  static func isDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }
}

extension LayerID {
  /// The id that the layer's name holds; nil for another name, `ID-init` too.
  var object: ObjectID? { ObjectID(String(decoding: bytes, as: UTF8.self)) }
}
