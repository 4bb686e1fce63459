import Glibc
import TestSupport
import Testing

// Every `expect(view:)` and every test's end also compare d_ino with st_ino, and the numbers with
// those after a remount.
@Suite(.mounts) struct InodeNumbers {
  @Test func numbersLastOverCopyUpRenameAndRemount() throws {
    try withUnion(lower: [
      .file("d/f", "F"), .symlink("d/l", to: "x"), .special("d/p", .fifo), .directory("d/s"),
    ]) { u throws in
      let names: [Path] = ["d/f", "d/l", "d/p", "d/s", "d"]
      let before = try names.map { try (u / $0).stat().inode }
      for name in names { try (u / name).setTimes(modified: Moment(5)) }
      #expect(try names.map { try (u / $0).stat().inode } == before, "after the copy-up")
      try (u / "d/f").rename(to: u / "d/g")
      try u.remount()
      let moved: [Path] = ["d/g", "d/l", "d/p", "d/s", "d"]
      #expect(try moved.map { try (u / $0).stat().inode } == before, "after a remount")
      try (u / "d").rename(to: u / "e")
      let last: [Path] = ["e/g", "e/l", "e/p", "e/s", "e"]
      #expect(try last.map { try (u / $0).stat().inode } == before, "after the directory's rename")
      try u.remount()
      #expect(try last.map { try (u / $0).stat().inode } == before, "after another remount")
    }
  }

  @Test func numbersOfSeveralFileSystemsAreDistinct() throws {
    // Fresh tmpfs file systems give the same numbers.
    let items = (0..<50).map { Item.file("FILE\($0)", "x") }
    func renamed(_ prefix: String) -> [Item] {
      items.indices.map { .file("\(prefix)\($0)", "x") }
    }
    try withUnion([
      .rw(renamed("a")).onTmpfs(), .lower(renamed("b")).onTmpfs(), .lower(renamed("c")).onTmpfs(),
      .lower(renamed("d")),
    ]) { u throws in
      let nodes = try u.viewNodes()
      #expect(nodes.count == 200)
      #expect(Set(nodes.map(\.status.inode)).count == 200)
      #expect(Set(nodes.map(\.status.device)).count == 1)
      let before = Dictionary(uniqueKeysWithValues: nodes.map { ($0.path, $0.status.inode) })
      for name in ["b1", "c2", "d3"] { try (u / Path(name)).append("+") }
      for node in try u.viewNodes() { #expect(before[node.path] == node.status.inode) }
    }
  }

  @Test func theDeviceIsTheMountsEverywhere() throws {
    try withUnion([
      .rw([.file("t"), .directory("d")]).onTmpfs(), .lower([.file("l"), .directory("d/e")]),
    ]) { u throws in
      let device = try u.mnt.stat().device
      for name: Path in ["t", "l", "d", "d/e"] {
        #expect(try (u / name).stat().device == device, "\(name)")
      }
      let branches = try u.branches.map { try $0.stat().device }
      #expect(!branches.contains(device))
    }
  }

  @Test func aNewFileHasANumberOfItsOwn() throws {
    try withUnion(lower: [.file("f", "F"), .file("g", "G")]) { u throws in
      let (f, g) = (try (u / "f").stat().inode, try (u / "g").stat().inode)
      let old = try u.open("f", O_RDONLY)
      try (u / "f").unlink()
      try (u / "f").write("new")
      let new = try (u / "f").stat().inode
      #expect(new != f && new != g)
      #expect(try old.stat().inode == f)
    }
  }

  @Test func descriptorsNamesAndListingsAgree() throws {
    try withUnion(top: [.file("d/t")], lower: [.file("d/l"), .directory("d/s")]) { u throws in
      for entry in try (u / "d").entries() {
        let file = try u.open("d" / entry.name, O_RDONLY)
        let (named, opened) = (try (u / "d" / entry.name).stat(), try file.stat())
        #expect(entry.inode == named.inode && named.inode == opened.inode, "\(entry.name)")
      }
      try (u / "d/l").append("x")
      for entry in try (u / "d").entries() {
        let named = try (u / "d" / entry.name).stat()
        #expect(entry.inode == named.inode, "\(entry.name) after the copy-up")
      }
    }
  }

  @Test func aCopiedUpFileKeepsItsNumberAfterARemountThoughAnotherBranchHoldsTheNameToo() throws {
    try withUnion(lower: [.file("f", "1")], [.file("f", "2")]) { u throws in
      let before = try (u / "f").stat().inode
      try (u / "f").append("+")
      try u.remount()
      #expect(try (u / "f").stat().inode == before)
      try (u / "f").unlink()
      try u.remount()
      #expect(throws: Errno.missing) { try (u / "f").stat() }
    }
  }
}
