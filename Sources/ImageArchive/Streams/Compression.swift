/// How bytes are compressed.
public enum Compression: String, Sendable, CaseIterable {
  case none
  case gzip
  case xz
  case bzip2
  case zstd

  /// How many bytes tell it.
  static let prefixLength = 512

  /// What the first bytes of a file say.
  init(prefix: [UInt8]) {
    if prefix.starts(with: [0x1F, 0x8B, 0x08]) {
      self = .gzip
    } else if prefix.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) {
      self = .xz
    } else if prefix.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
      self = .zstd
    } else if prefix.starts(with: Array("BZh".utf8)), Self.isBzip2Block(prefix.dropFirst(3)) {
      self = .bzip2
    } else {
      self = .none
    }
  }

  /// The block size's digit, then the mark of a block or of the end: a tar may begin with `BZh`.
  private static func isBzip2Block(_ rest: ArraySlice<UInt8>) -> Bool {
    guard let digit = rest.first, (0x31...0x39).contains(digit) else { return false }
    let mark = rest.dropFirst().prefix(6)
    return mark.elementsEqual([0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
      || mark.elementsEqual([0x17, 0x72, 0x45, 0x38, 0x50, 0x90])
  }
}
