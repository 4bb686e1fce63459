import Driver
import SystemPackage
@testable import UnionCore

/// A name's whiteout reads back as a whiteout of that name, and what is no name is refused.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = UnsafeBufferPointer(start: start, count: count).prefix { $0 != 0 }
  let bytes = input.map { CChar(bitPattern: $0) }
  let isPrefixed = input.starts(with: ".wh.".utf8)
  bytes.withUnsafeBufferPointer { buffer in
    if case .ordinary = DiskName(buffer) {
      precondition(!isPrefixed)
    } else {
      precondition(isPrefixed)
    }
  }
  var listing = DirectoryListing()
  listing.addReserved(Array(input), kind: .regular)
  let isNone =
    input.isEmpty || input.contains(0x2F) || input.elementsEqual(".".utf8)
    || input.elementsEqual("..".utf8) || input.count > 255 || isPrefixed
  (bytes + [0]).withUnsafeBufferPointer { buffer in
    guard let base = buffer.baseAddress, let name = try? Name(base) else {
      precondition(isNone)
      return
    }
    precondition(!isNone && name.count == input.count)
    check(name, Array(input))
  }
  return 0
}

private func check(_ name: Name, _ bytes: [UInt8]) {
  let whiteout = name.withWhiteoutName { UnionCore.bytes(of: $0) }
  precondition(whiteout.count <= 255)
  let raw = whiteout.map { CChar(bitPattern: $0) }
  raw.withUnsafeBufferPointer { buffer in
    switch DiskName(buffer) {
    case .whiteout(let offset): precondition(Array(whiteout[offset...]) == bytes)
    case .longWhiteout:
      precondition(name.needsLongWhiteout)
      precondition(LongWhiteoutFlaw(name: whiteout, content: bytes) == nil)
    case .ordinary, .opaque, .reserved: fatalError("a whiteout that reads as none")
    }
  }
}

@main enum Entry {
  static func main() { runFuzzer { fuzz($0, $1) } }
}
