import Driver
import SystemPackage
import UnionCore

/// An answer that is accepted, written anew, is the same.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let plain = OctalEscape.unescape(bytes)
  precondition(OctalEscape.unescape(OctalEscape.escape(plain)) == plain)
  guard let answer = WhichProtocol.parse(bytes) else { return 0 }
  precondition(answer.omitted >= 0)
  for entry in answer.entries { _ = entry.realPath }
  let text = WhichProtocol.format(answer.entries)
  precondition(text.count <= WhichProtocol.bufferSize)
  guard let again = WhichProtocol.parse(text) else { fatalError("what was written is refused") }
  precondition(again.entries.count + again.omitted == answer.entries.count)
  precondition(again.entries == Array(answer.entries.prefix(again.entries.count)))
  return 0
}

@main enum Entry {
  static func main() { runFuzzer { fuzz($0, $1) } }
}
