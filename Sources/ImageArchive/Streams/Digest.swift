internal import CArchive
internal import Crypto

/// A digest as images name things: `sha256:` and 64 hexadecimal digits.
public struct Digest: Sendable, Hashable, CustomStringConvertible {
  /// The 64 digits.
  public let hex: String

  /// nil where it is none (another algorithm, capitals, another length).
  public init?(_ text: String) {
    guard text.hasPrefix("sha256:") else { return nil }
    self.init(hex: String(text.dropFirst(7)))
  }

  public init?(hex: String) {
    guard hex.utf8.count == 64,
      hex.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    else { return nil }
    self.hex = hex
  }

  public var description: String { "sha256:" + hex }

  /// The 32 bytes that the digits spell.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in hex.utf8 {
      let value = digit < 0x40 ? digit &- 0x30 : digit &- 0x57
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return bytes
  }

  /// The digest of bytes that are there.
  public init(of bytes: some Sequence<UInt8>) {
    var hasher = Hasher()
    Array(bytes).withUnsafeBytes { hasher.update($0) }
    self = hasher.finish()
  }

  private init(bytes: SHA256.Digest) {
    let digits = Array("0123456789abcdef".utf8)
    var hex: [UInt8] = []
    for byte in bytes { hex += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    self.hex = String(decoding: hex, as: UTF8.self)
  }

  /// A digest of what comes in pieces.
  public struct Hasher: Sendable {
    private var state = SHA256()
    public init() {}
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
      state.update(bufferPointer: bytes)
    }
    public func finish() -> Digest { Digest(bytes: state.finalize()) }
  }
}
