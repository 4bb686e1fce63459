import Driver
import Glibc
import SystemPackage
@testable import UnionCore

/// A folder of this run.
private let folder: (path: String, descriptor: CInt) = {
  var template = Array("/tmp/unionfs-fuzz.XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil else { fatalError("no folder can be made") }
  let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  atexit {
    unlink("\(folder.path)/inodes")
    rmdir(folder.path)
  }
  return (path, open(path, O_RDONLY | O_DIRECTORY))
}()

/// Records with right sums, made of the input: guessing a sum is not what is tested.
private func records(_ input: ArraySlice<UInt8>) -> [UInt8] {
  var bytes = InodeTable.magic
  var rest = input
  while let first = rest.popFirst() {
    guard let kind = InodeTable.Kind(rawValue: UInt32(first & 3)), rest.count >= 3 else {
      bytes += rest.prefix(Int(first))
      rest = rest.dropFirst(Int(first))
      continue
    }
    let words = rest.prefix(3).map { UInt64($0) }
    rest = rest.dropFirst(3)
    bytes += InodeTable.encode(kind, words[0], words[1], words[2])
  }
  return bytes
}

private func survey(_ bytes: [UInt8]) -> InodeTableSurvey? {
  try? InodeTableSurvey(size: Int64(bytes.count)) { (room, offset) throws(Errno) in
    let rest = bytes.dropFirst(Int(offset)).prefix(room.count)
    room.copyBytes(from: rest)
    return rest.count
  }
}

private func content() -> [UInt8] {
  let file = openat(folder.descriptor, "inodes", O_RDONLY)
  defer { close(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  let count = read(file, &bytes, bytes.count)
  return Array(bytes.prefix(max(0, count)))
}

/// A mount reads what a check reads, and what it leaves is sound and says the same.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = UnsafeBufferPointer(start: start, count: count)
  guard let first = input.first else { return 0 }
  let bytes = first & 1 == 0 ? Array(input.dropFirst()) : records(Array(input)[1...])
  guard let before = survey(bytes) else { fatalError("bytes in memory cannot be read") }
  let file = openat(folder.descriptor, "inodes", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  precondition(write(file, bytes, bytes.count) == bytes.count)
  close(file)
  guard let table = try? InodeTable(in: folder.descriptor) else { fatalError("it is refused") }
  for (inode, origin) in before.origins {
    precondition(table.number(ofTop: inode) == origin.number)
  }
  for (number, links) in before.links { precondition(table.linkCount(of: number) == links) }
  precondition(table.isEmpty == before.origins.isEmpty)
  guard var after = survey(content()) else { fatalError("bytes in memory cannot be read") }
  precondition(after.condition == .sound)
  after.condition = before.condition
  precondition(after == before)
  return 0
}

@main enum Entry {
  static func main() { runFuzzer { fuzz($0, $1) } }
}
