import Driver
@testable import UnionFSCommand

private func escaped(_ text: String) -> [UInt8] {
  text.utf8.flatMap { byte in ":,\\".utf8.contains(byte) ? [UInt8(ascii: "\\"), byte] : [byte] }
}

/// Options that are accepted, spelt anew, are the same.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let options = try? MountOptions(bytes.split(separator: 0).map { Array($0) }) else {
    return 0
  }
  let words = options.words(forUser: 0, readOnly: options.readOnly)
  precondition(words.first == "default_permissions")
  precondition(!options.flags.contains { $0.contains("=") })
  var lists = options.flags.map { Array($0.utf8) }
  lists += options.values.map { Array("\($0.key)=".utf8) + escaped($0.value) }
  lists.append(Array("sync=\(options.durability.rawValue)".utf8))
  lists.append(Array("rename=\(options.directoryRename.rawValue)".utf8))
  if options.readOnly { lists.append(Array("ro".utf8)) }
  if let branches = options.branches { lists.append(Array("br:".utf8) + branches) }
  guard let again = try? MountOptions(lists) else { fatalError("what was spelt is refused") }
  precondition(again.flags == options.flags && again.values == options.values)
  precondition(again.readOnly == options.readOnly && again.branches == options.branches)
  precondition(again.durability == options.durability)
  precondition(again.directoryRename == options.directoryRename)
  return 0
}

@main enum Entry {
  static func main() { runFuzzer { fuzz($0, $1) } }
}
