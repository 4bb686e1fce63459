/// A tar put together block by block, with all that no tar program would write.
struct RawTar {
  private(set) var bytes: [UInt8] = []

  /// Adds an entry of the ustar format.
  ///
  /// - Parameters:
  ///   - type: the header's type flag.
  ///   - size: what the header says, if not the data's.
  ///   - pax: records of an extended header before it.
  func adding(
    _ name: String, _ type: Character = "0", _ data: String = "", link: String = "",
    mode: UInt32 = 0o644, uid: UInt64 = 0, gid: UInt64 = 0, size: UInt64? = nil,
    device: (UInt64, UInt64) = (0, 0), pax: [(String, String)] = []
  ) -> RawTar {
    adding(
      name: Array(name.utf8), type, Array(data.utf8), link: Array(link.utf8), mode: mode, uid: uid,
      gid: gid, size: size, device: device, pax: pax)
  }

  func adding(
    name: [UInt8], _ type: Character = "0", _ data: [UInt8] = [], link: [UInt8] = [],
    mode: UInt32 = 0o644, uid: UInt64 = 0, gid: UInt64 = 0, size: UInt64? = nil,
    device: (UInt64, UInt64) = (0, 0), pax: [(String, String)] = []
  ) -> RawTar {
    var tar = self
    if !pax.isEmpty {
      let records = pax.flatMap { Self.record($0.0, Array($0.1.utf8)) }
      tar = tar.adding(name: Array("pax".utf8), "x", records)
    }
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ bytes: [UInt8], at offset: Int, _ room: Int) {
      for (index, byte) in bytes.prefix(room).enumerated() { header[offset + index] = byte }
    }
    func octal(_ value: UInt64, at offset: Int, _ room: Int) {
      let digits = String(value, radix: 8)
      put(
        Array((String(repeating: "0", count: max(0, room - 1 - digits.count)) + digits).utf8),
        at: offset, room)
    }
    put(name, at: 0, 100)
    octal(UInt64(mode), at: 100, 8)
    octal(uid, at: 108, 8)
    octal(gid, at: 116, 8)
    octal(size ?? UInt64(data.count), at: 124, 12)
    octal(1_600_000_000, at: 136, 12)
    put(Array(String(type).utf8), at: 156, 1)
    put(link, at: 157, 100)
    put(Array("ustar\u{0}00".utf8), at: 257, 8)
    octal(device.0, at: 329, 8)
    octal(device.1, at: 337, 8)
    put([UInt8](repeating: 0x20, count: 8), at: 148, 8)
    octal(header.reduce(0) { $0 + UInt64($1) }, at: 148, 7)
    tar.bytes += header + data
    tar.bytes += [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
    return tar
  }

  /// With the mark of the end.
  var ended: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

  private static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
    let rest = Array(" \(key)=".utf8) + value + Array("\n".utf8)
    var length = rest.count + 1
    while String(length).utf8.count + rest.count != length {
      length = String(length).utf8.count + rest.count
    }
    return Array(String(length).utf8) + rest
  }
}
