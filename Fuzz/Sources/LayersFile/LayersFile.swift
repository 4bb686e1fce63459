import Driver
import UnionCore

/// A layers file that is accepted, written anew, is the same.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let id = try? LayerID(Array("app".utf8)),
    let file = try? LayersFile(bytes, of: id, path: "layers/app")
  else { return 0 }
  let ids = file.parents.map(\.id)
  precondition(Set(ids).count == ids.count && !ids.contains(id))
  precondition(zip(file.parents, file.parents.dropFirst()).allSatisfy { $0.line < $1.line })
  let text = [UInt8](ids.map(\.bytes).joined(separator: [0x0A]))
  guard let again = try? LayersFile(text, of: id, path: "layers/app") else {
    fatalError("what was written is refused")
  }
  precondition(again.parents.map(\.id) == ids)
  precondition(again.parents.map(\.line) == Array(1..<(ids.count + 1)))
  return 0
}

@main enum Entry {
  static func main() { runFuzzer { fuzz($0, $1) } }
}
