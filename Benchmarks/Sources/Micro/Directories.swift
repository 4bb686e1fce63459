import SystemCalls
import UnionCore

/// Merges branches that list `names` in turn, every hundredth of them hidden by the branch above.
private func merged(
  _ names: NameList, branches: Int, everyBranchHoldsAll: Bool = false
) -> NameIndex {
  var merge = Merge()
  for branch in 0..<branches {
    merge.begin(branch: UInt16(branch), isTop: branch == 0, honoursWhiteouts: true)
    for index in 0..<names.count {
      if everyBranchHoldsAll || index % branches == branch {
        merge.add(
          names.bytes(index), type: index % 10 == 0 ? .directory : .regular, inode: UInt64(index))
      } else if index % 100 == 0 {
        merge.addWhiteout(of: names.bytes(index))
      }
    }
    merge.endBranch()
  }
  return merge.finish()
}

func indexBenchmarks() -> [Benchmark] {
  var benchmarks: [Benchmark] = []
  for count in [100, 40_000] {
    let names = NameList(count, "a-file-of-some-length")
    let others = NameList(count, "another-file-of-its-own")
    let index = merged(names, branches: 8)
    benchmarks += [
      Benchmark("find a name among \(count), hit", operations: count) {
        for number in 0..<count { use(index.find(names.name(number))) }
      },
      Benchmark("find a name among \(count), miss", operations: count) {
        for number in 0..<count { use(index.find(others.name(number))) }
      },
      Benchmark("append a name, up to \(count)", operations: count) {
        var index = NameIndex()
        for number in 0..<count {
          index.setTop(names.name(number), type: .regular, inode: 1, branches: [])
        }
        use(index)
      },
    ]
  }
  let names = NameList(1000, "a-file-of-some-length")
  var index = merged(names, branches: 8)
  benchmarks.append(
    Benchmark("hide a name and show it again, of 1000", operations: names.count) {
      for number in 0..<names.count {
        index.hide(names.name(number), whiteout: true)
        index.setTop(names.name(number), type: .regular, inode: 1, branches: [])
      }
    })
  return benchmarks
}

func mergeBenchmarks() -> [Benchmark] {
  var benchmarks: [Benchmark] = []
  for branches in [1, 8, 128] {
    let names = NameList(12_800, "a-file-of-some-length")
    benchmarks.append(
      Benchmark("merge 12800 names over \(branches) branches, a name", operations: names.count) {
        use(merged(names, branches: branches))
      })
  }
  let names = NameList(1000, "a-file-of-some-length")
  benchmarks.append(
    Benchmark("merge 1000 names that 8 branches hold, an entry", operations: 8 * names.count) {
      use(merged(names, branches: 8, everyBranchHoldsAll: true))
    })
  return benchmarks
}
