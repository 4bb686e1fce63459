/// The name of a layer: one plain directory entry under `diff/`, `layers/` and `mnt/`.
///
/// Docker's are 64 hexadecimal digits, optionally with `-init`; anything that is a plain name will do.
/// Cannot hold `/`, NUL or control characters, cannot be `.`, `..` or a whiteout's name.
public struct LayerID: Sendable, Hashable, CustomStringConvertible {
  public let bytes: [UInt8]

  /// Why some bytes are no layer's name.
  public enum Flaw: Error, Sendable, Equatable {
    case empty
    case tooLong(bytes: Int)
    case slash
    case controlCharacter
    case dots
    case whiteoutName

    /// For the person who wrote the name.
    public var explanation: String {
      switch self {
      case .empty: "it is empty"
      case .tooLong(let bytes): "it has \(bytes) bytes, more than the 255 that a file name may have"
      case .slash: "it contains a '/'"
      case .controlCharacter: "it contains a control character"
      case .dots: "'.' and '..' name no layer"
      case .whiteoutName: "names that begin with '.wh.' are whiteouts"
      }
    }
  }

  public init(_ bytes: some Collection<UInt8>) throws(Flaw) {
    if bytes.isEmpty { throw .empty }
    if bytes.count > 255 { throw .tooLong(bytes: bytes.count) }
    if bytes.contains(UInt8(ascii: "/")) { throw .slash }
    if bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) { throw .controlCharacter }
    if bytes.elementsEqual(".".utf8) || bytes.elementsEqual("..".utf8) { throw .dots }
    if bytes.starts(with: ".wh.".utf8) { throw .whiteoutName }
    self.bytes = Array(bytes)
  }

  /// Of bytes that were parsed before, into a type that can hold no other than a layer's name.
  public init(unchecked bytes: [UInt8]) { self.bytes = bytes }

  /// The name as system calls take it, NUL-terminated.
  public var name: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

  /// The name for people; what is not UTF-8 in it reads as U+FFFD.
  public var description: String { String(decoding: bytes, as: UTF8.self) }
}
