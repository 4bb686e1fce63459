import SystemPackage
import UnionCore

/// Names that live as long as the program, NUL-terminated, as requests bring them.
struct NameList {
  let pointers: [UnsafePointer<CChar>]
  let counts: [Int]

  init(_ texts: [String]) {
    pointers = texts.map { text in
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.utf8.count + 1)
      for (index, byte) in text.utf8.enumerated() { copy[index] = CChar(bitPattern: byte) }
      copy[text.utf8.count] = 0
      return UnsafePointer(copy)
    }
    counts = texts.map { $0.utf8.count }
  }

  /// `count` names of one kind.
  init(_ count: Int, _ stem: String) { self.init((0..<count).map { "\(stem)-\($0).txt" }) }

  var count: Int { pointers.count }

  func bytes(_ index: Int) -> UnsafeBufferPointer<CChar> {
    UnsafeBufferPointer(start: pointers[index], count: counts[index])
  }

  func name(_ index: Int) -> Name { Name(unchecked: pointers[index], count: counts[index]) }
}

func nameBenchmarks() -> [Benchmark] {
  let plain = NameList(1000, "a-file-of-some-length")
  let whiteouts = NameList((0..<1000).map { ".wh.a-file-of-some-length-\($0)" })
  let markers = NameList([
    ".wh..wh..opq", ".wh..wh.aufs", ".wh..wh.long.00112233445566778899aabbccddeeff", ".wh..wh.plnk",
  ])
  let long = NameList([String(repeating: "n", count: 255)])
  return [
    Benchmark("parse a caller's name", operations: plain.count) {
      for pointer in plain.pointers { use(try Name(pointer)) }
    },
    Benchmark("refuse `.wh.NAME` from a caller", operations: whiteouts.count) {
      for pointer in whiteouts.pointers {
        do throws(Errno) { use(try Name(pointer)) } catch { use(error) }
      }
    },
    Benchmark("tell a branch's name: ordinary", operations: plain.count) {
      for index in 0..<plain.count { use(DiskName(plain.bytes(index))) }
    },
    Benchmark("tell a branch's name: whiteout", operations: whiteouts.count) {
      for index in 0..<whiteouts.count { use(DiskName(whiteouts.bytes(index))) }
    },
    Benchmark("tell a branch's name: marker", operations: markers.count) {
      for index in 0..<markers.count { use(DiskName(markers.bytes(index))) }
    },
    Benchmark("make a whiteout's name", operations: plain.count) {
      for index in 0..<plain.count { plain.name(index).withWhiteoutName { use($0) } }
    },
    Benchmark("make a long whiteout's name") { long.name(0).withWhiteoutName { use($0) } },
    Benchmark("hash a name", operations: plain.count) {
      for index in 0..<plain.count { use(plain.bytes(index).nameHash) }
    },
  ]
}
