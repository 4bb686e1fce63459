import Glibc
import SystemCalls
import SystemPackage
import UnionCore

/// A name as each branch holds it, in memory: the rule without its system calls.
private struct MemoryProbe: BranchProbe {
  let kinds: [FileKind?]
  let whiteout: Int?

  var count: Int { kinds.count }
  func entry(at position: Int) throws(Errno) -> FileKind? { kinds[position] }
  func hidesBelow(at position: Int) throws(Errno) -> Bool { position == whiteout }
}

private func probe(_ count: Int, _ kind: FileKind?, at positions: [Int], whiteout: Int? = nil)
  -> MemoryProbe
{
  MemoryProbe(
    kinds: (0..<count).map { positions.contains($0) ? kind : nil }, whiteout: whiteout)
}

func ruleBenchmarks() -> [Benchmark] {
  var benchmarks: [Benchmark] = []
  for count in [1, 8, 128] {
    let probes: [(String, MemoryProbe)] = [
      ("a file in the lowest", probe(count, .regular, at: [count - 1])),
      ("a name that none has", probe(count, nil, at: [])),
      ("a directory in all", probe(count, .directory, at: Array(0..<count))),
    ]
    for (title, probe) in probes {
      benchmarks.append(
        Benchmark("the rule over \(count): \(title)", operations: 1000) {
          for _ in 0..<1000 { use(try resolve(probe)) }
        })
    }
  }
  return benchmarks
}

/// Directories on a disk, one for each branch, with `here` in the lowest; gone with `remove`.
struct DiskBranches {
  let path: String
  let directories: [(descriptor: CInt, honoursWhiteouts: Bool)]

  /// nil where there is no room for them.
  init?(_ count: Int) {
    let place = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
    var template = Array("\(place)/micro.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    var directories: [(descriptor: CInt, honoursWhiteouts: Bool)] = []
    for branch in 0..<count {
      guard mkdir("\(path)/\(branch)", 0o755) == 0 else { return nil }
      directories.append((open("\(path)/\(branch)", O_RDONLY | O_DIRECTORY), true))
    }
    close(open("\(path)/\(count - 1)/here", O_CREAT | O_WRONLY, 0o644))
    self.directories = directories
  }

  func remove() {
    for directory in directories { close(directory.descriptor) }
    unlink("\(path)/\(directories.count - 1)/here")
    for branch in directories.indices { rmdir("\(path)/\(branch)") }
    rmdir(path)
  }
}

func diskBenchmarks(_ branches: DiskBranches) -> [Benchmark] {
  let names = NameList(["here", "gone"])
  let count = branches.directories.count
  return [("here", "a file in the lowest"), ("gone", "a name that none has")].enumerated().map {
    let (index, (_, title)) = $0
    return Benchmark("look up over \(count) on disk: \(title)") {
      use(try resolve(DirectoryProbe(names.name(index), in: branches.directories)))
    }
  }
}
