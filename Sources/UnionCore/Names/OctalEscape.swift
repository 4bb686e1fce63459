/// The escape of /proc/mounts: a byte as `\` and three octal digits, `\040` for a blank.
public enum OctalEscape {
  /// What /proc/mounts escapes: blank, tab, newline and the backslash.
  public static func isSpecial(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == UInt8(ascii: "\\")
  }

  public static func escape(
    _ bytes: some Collection<UInt8>, where special: (UInt8) -> Bool = isSpecial
  ) -> [UInt8] {
    var escaped: [UInt8] = []
    escaped.reserveCapacity(bytes.count)
    for byte in bytes {
      guard special(byte) else {
        escaped.append(byte)
        continue
      }
      escaped.append(UInt8(ascii: "\\"))
      for shift in [6, 3, 0] { escaped.append(UInt8(ascii: "0") + (byte >> UInt8(shift)) & 7) }
    }
    return escaped
  }

  /// A backslash that no three octal digits follow stands for itself.
  public static func unescape(_ bytes: some Collection<UInt8>) -> [UInt8] {
    let bytes = Array(bytes)
    var plain: [UInt8] = []
    plain.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
        let byte = octal(bytes[(index + 1)...(index + 3)])
      {
        plain.append(byte)
        index += 4
      } else {
        plain.append(bytes[index])
        index += 1
      }
    }
    return plain
  }

  private static func octal(_ digits: ArraySlice<UInt8>) -> UInt8? {
    var value = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) else { return nil }
      value = value * 8 + Int(digit - UInt8(ascii: "0"))
    }
    return UInt8(exactly: value)
  }
}
