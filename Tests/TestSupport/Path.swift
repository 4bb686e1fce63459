internal import Glibc

/// A path as bytes: Linux names need not be UTF-8. Prints with other bytes as `\xff`.
public struct Path: Hashable, Sendable, Comparable, ExpressibleByStringInterpolation,
  CustomStringConvertible
{
  public var bytes: [UInt8]

  public init(bytes: [UInt8]) { self.bytes = bytes }
  public init(_ string: String) { bytes = Array(string.utf8) }
  public init(stringLiteral value: String) { self.init(value) }

  public static func / (folder: Path, name: Path) -> Path {
    if folder.bytes.isEmpty { return name }
    if name.bytes.isEmpty { return folder }
    return Path(bytes: folder.bytes + [slash] + name.bytes)
  }

  public static func < (a: Path, b: Path) -> Bool {
    a.bytes.lexicographicallyPrecedes(b.bytes)
  }

  public var description: String { escaped(bytes) }
  public var string: String { String(decoding: bytes, as: UTF8.self) }

  public var name: [UInt8] {
    guard let cut = bytes.lastIndex(of: Path.slash) else { return bytes }
    return Array(bytes[(cut + 1)...])
  }

  /// Empty for a single name.
  public var parent: Path {
    guard let cut = bytes.lastIndex(of: Path.slash) else { return Path(bytes: []) }
    return Path(bytes: Array(bytes[..<cut]))
  }

  static let slash = UInt8(ascii: "/")

  func withC<R>(_ body: (UnsafePointer<CChar>) throws(Errno) -> R) throws(Errno) -> R {
    let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
    var result: Result<R, Errno> = .failure(.invalid)
    terminated.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      do throws(Errno) { result = .success(try body(start)) } catch { result = .failure(error) }
    }
    return try result.get()
  }
}

/// Printable bytes of UTF-8 as they are, the others as `\n`, `\\` or `\xHH`.
public func escaped(_ bytes: some Collection<UInt8>) -> String {
  if let text = String(validating: bytes, as: UTF8.self),
    !bytes.contains(where: { $0 < 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "\\") })
  {
    return text
  }
  let digits = Array("0123456789abcdef")
  return bytes.reduce(into: "") { text, byte in
    switch byte {
    case UInt8(ascii: "\n"): text += "\\n"
    case UInt8(ascii: "\\"): text += "\\\\"
    case 0x20..<0x7f: text.append(Character(UnicodeScalar(byte)))
    default:
      text += "\\x"
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
  }
}
