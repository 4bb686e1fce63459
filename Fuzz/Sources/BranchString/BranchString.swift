import Driver
import SystemPackage
import UnionCore

/// A branch string that is accepted, spelt anew, is the same.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let stack = try? BranchString(aufs: bytes) else { return 0 }
  precondition(!stack.branches.isEmpty)
  _ = try? stack.checkOrder()
  var spelling: [UInt8] = []
  for branch in stack.branches {
    if !spelling.isEmpty { spelling.append(UInt8(ascii: ":")) }
    for byte in branch.path.pathBytes {
      if ":,\\".utf8.contains(byte) { spelling.append(UInt8(ascii: "\\")) }
      spelling.append(byte)
    }
    spelling += Array("=\(branch.permissionSpelling)".utf8)
  }
  guard let again = try? BranchString(aufs: spelling) else {
    fatalError("what was spelt is refused")
  }
  precondition(again.branches == stack.branches)
  return 0
}

@main enum Entry {
  static func main() { runFuzzer { fuzz($0, $1) } }
}
