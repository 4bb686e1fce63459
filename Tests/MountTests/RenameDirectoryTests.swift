import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct RenameDirectory {
  @Test func aDirectoryOfTheTopIsRenamedAsItIs() throws {
    try withUnion(top: [.file("d/f", "F")], lower: [.file("x")]) { u throws in
      try (u / "d").rename(to: u / "e")
      try u.expect(view: ["e/", "e/f=F", "x="], top: ["e/", "e/f=F"])
    }
  }

  @Test func aLowerDirectoryMovesWithAllThatIsInIt() throws {
    let script = Item.file("d/s/run", "#!", mode: 0o4755).owned(7, 8).attribute("user.k", "v")
    try withUnion(lower: [
      .file("d/a", "A"), script, .symlink("d/l", to: "a"), .special("d/p", .fifo),
      .directory("d/empty", mode: 0o1777),
    ]) { u throws in
      let before = try u.viewNodes()
      try (u / "d").rename(to: u / "e")
      let expected = [
        "e/", "e/a=A", "e/empty/", "e/l->a", "e/p|fifo", "e/s/", "e/s/run=#!",
      ]
      try u.expect(view: expected, top: expected + [".wh.d"])
      let after = try u.viewNodes()
      #expect(after.map(\.status.inode) == before.map(\.status.inode))
      #expect(
        after.map { $0.detail.dropFirst(1) } == before.map { $0.detail.dropFirst(1) },
        "owners, modes, times and xattrs")
    }
  }

  @Test(.formatOfAufs) func aMergedDirectoryMovesAsItLooks() throws {
    try withUnion(
      top: [.file("d/top", "0"), .whiteout("d/gone"), .opaque("d/o"), .file("d/o/new", "0")],
      lower: [.file("d/gone", "1"), .file("d/one", "1"), .file("d/o/old", "1")],
      [.file("d/two", "2"), .file("d/one", "2"), .file("d/s/three", "2")]
    ) { u throws in
      try (u / "d").rename(to: u / "e")
      let expected = [
        "e/", "e/o/", "e/o/new=0", "e/one=1", "e/s/", "e/s/three=2", "e/top=0", "e/two=2",
      ]
      try u.expect(view: expected)
      #expect(!Backend.isOurs || (u.top / ".wh.d").exists)
      try shell("rm", "-r", "\(u / "e")")
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func onAnEmptyLowerDirectoryTheMovedOneIsOpaque() throws {
    try withUnion(lower: [.file("d/f", "F"), .directory("e")]) { u throws in
      try (u / "d").rename(to: u / "e")
      try u.expect(
        view: ["e/", "e/f=F"], top: ["e/", "e/.wh..wh..opq", "e/f=F", ".wh.d"])
    }
  }

  @Test func onAnEmptiedDirectoryItsOldChildrenStayHidden() throws {
    try withUnion(
      top: [.file("d/f", "F"), .whiteout("e/x")], lower: [.file("e/x", "old")]
    ) { u throws in
      try (u / "d").rename(to: u / "e")
      try u.expect(view: ["e/", "e/f=F"], top: ["e/", "e/.wh..wh..opq", "e/f=F"])
    }
  }

  @Test func onAWhitedOutDirectoryTheMovedOneIsOpaque() throws {
    try withUnion(
      top: [.file("d/f", "F"), .whiteout("e")], lower: [.file("e/x", "old")]
    ) { u throws in
      try (u / "d").rename(to: u / "e")
      try u.expect(view: ["e/", "e/f=F"], top: ["e/", "e/.wh..wh..opq", "e/f=F"])
    }
  }

  @Test func thereAndBackTheDirectoryHidesItsLowerSelf() throws {
    try withUnion(lower: [.file("d/f", "F")]) { u throws in
      try (u / "d").rename(to: u / "e")
      try (u / "e/f").unlink()
      try (u / "e").rename(to: u / "d")
      try u.expect(view: ["d/"], top: ["d/", "d/.wh..wh..opq"])
    }
  }

  @Test func aMoveIntoAnotherDirectoryLeavesOneWhiteout() throws {
    try withUnion(lower: [.file("a/d/f", "F"), .file("b/keep")]) { u throws in
      try (u / "a/d").rename(to: u / "b/d")
      try u.expect(
        view: ["a/", "b/", "b/d/", "b/d/f=F", "b/keep="],
        top: ["a/", "a/.wh.d", "b/", "b/d/", "b/d/f=F"])
      #expect(try same(u / "b/d/..", u / "b"))
    }
  }

  @Test func hardLinksInAMovedDirectoryStayOneFile() throws {
    try withUnion(
      lower: [.file("d/a", "A"), .hardLink("d/b", of: "d/a"), .hardLink("out", of: "d/a")],
      checks: [.lowerUnchanged, .remount, .whiteouts]
    ) { u throws in
      let before = try (u / "d/a").stat()
      #expect(before.links == 3)
      try (u / "d").rename(to: u / "e")
      for name: Path in ["e/a", "e/b", "out"] {
        let status = try (u / name).stat()
        #expect(status.inode == before.inode && status.links == 3, "\(name)")
      }
      try (u / "e/a").append("more")
      #expect(try (u / "out").text() == "Amore")
      #expect(try (u / "e/b").text() == "Amore")
    }
  }

  @Test func openFilesInsideGoAlong() throws {
    try withUnion(lower: [.file("d/s/f", "F"), .file("d/s/g", "G")]) { u throws in
      let (reader, writer) = (try u.open("d/s/f", O_RDONLY), try u.open("d/s/g", O_RDWR))
      let folder = try u.open("d/s", O_RDONLY)
      try (u / "d").rename(to: u / "e")
      try writer.write("new", at: 0)
      try (u / "e/s/f").append("+")
      #expect(try reader.text() == "F+")
      try folder.mkdir("made")
      try u.expect(view: ["e/", "e/s/", "e/s/f=F+", "e/s/g=new", "e/s/made/"])
    }
  }

  @Test func theClassicAnswerCanBeAskedFor() throws {
    try withUnion(
      top: [.file("own/f", "0")], lower: [.file("d/f", "F"), .directory("empty")],
      options: ["rename=exdev"]
    ) { u throws in
      #expect(throws: Errno.otherDevice) { try (u / "d").rename(to: u / "e") }
      try u.expect(view: ["d/", "d/f=F", "empty/", "own/", "own/f=0"], top: ["own/", "own/f=0"])
      try (u / "own").rename(to: u / "moved")
      try shell("mv", "\(u / "d")", "\(u / "e")")
      try u.expect(
        view: ["e/", "e/f=F", "empty/", "moved/", "moved/f=0"],
        top: ["e/", "e/f=F", "moved/", "moved/f=0", ".wh.d"])
    }
  }

  @Test(.formatOfAufs) func anObserverSeesOneOfTheTwoNamesComplete() throws {
    let items = (0..<200).map { Item.file("d/f\($0)", "\($0)") }
    try withUnion(lower: items) { u throws in
      let (old, new, done) = (u / "d", u / "e", Shared(false))
      let errors = concurrently(2) { which in
        if which == 0 {
          defer { done.change { $0 = true } }
          return try old.rename(to: new)
        }
        // Once the old name is gone the new one must be there, with everything.
        while old.exists && !done.now {}
        let count = try new.names().count
        guard count == 200 else { throw Seen("\(count) names") }
      }
      #expect(errors == [])
      try u.expect(view: items.indices.map { "e/f\($0)=\($0)" } + ["e/"])
      #expect(!Backend.isOurs || (u.top / ".wh.d").exists)
    }
  }

  @Test func aSparseFileInsideStaysSparse() throws {
    let bytes = [UInt8](repeating: 7, count: 4096)
    try withUnion(lower: [.sparse("d/big", size: 1 << 30, data: [(1 << 29, bytes)])]) { u throws in
      try (u / "d").rename(to: u / "e")
      #expect(try (u / "e/big").stat().blocks <= 64)
      #expect(!Backend.isOurs || (u.top / "e/big").exists)
      #expect(try u.open("e/big", O_RDONLY).read(4096, at: 1 << 29) == bytes)
    }
  }

  @Test func aDirectoryAtTheBottomOfThreeLayersMovesTwice() throws {
    try withUnion(lower: [], [.whiteout("x")], [.file("d/s/f", "F"), .file("x")]) { u throws in
      try (u / "d/s").rename(to: u / "s")
      try (u / "s").rename(to: u / "x")
      try u.expect(view: ["d/", "x/", "x/f=F"], top: ["d/", "d/.wh.s", "x/", "x/f=F"])
    }
  }

  /// Enough for several threads: files and links in folders of folders, names of one file in different ones.
  private var manyEntries: [Item] {
    var items: [Item] = []
    for folder in 0..<8 {
      let path = "d/s\(folder % 2)/t\(folder)"
      for file in 0..<30 {
        items.append(
          .file(Path("\(path)/f\(file)"), "\(folder) \(file)", mode: 0o600 + UInt32(file)))
      }
      items.append(.symlink(Path("\(path)/l"), to: "f1"))
      items.append(.directory(Path("\(path)/empty"), mode: 0o1777))
      if folder > 0 { items.append(.hardLink(Path("\(path)/same"), of: "d/s0/t0/f0")) }
    }
    return items
  }

  @Test func manyFilesMoveAtOnce() throws {
    try withUnion(lower: manyEntries) { u throws in
      let before = try u.viewNodes()
      try (u / "d").rename(to: u / "e")
      let after = try u.viewNodes()
      #expect(after.map(\.status.inode) == before.map(\.status.inode))
      #expect(
        after.map { $0.detail.dropFirst(1) } == before.map { $0.detail.dropFirst(1) },
        "owners, modes, times and content")
      #expect(try (u / "e/s0/t0/f0").stat().links == 8)
      #expect(!Backend.isOurs || (u.top / "e/s1/t7/f29").exists)
      try shell("rm", "-r", "\(u / "e")")
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func whileManyFilesMoveOthersChangeThem() throws {
    try withUnion(lower: manyEntries) { u throws in
      let mount = u.mnt
      // A name is found at one place or at the other, as the folder moves meanwhile.
      let errors = concurrently(4) { thread in
        if thread == 0 { return try (mount / "d").rename(to: mount / "e") }
        for file in 0..<30 {
          for folder in 0..<8 {
            let rest = "s\(folder % 2)/t\(folder)/f\(file)"
            let change = { (path: Path) throws in
              switch thread {
              case 1: try path.append("+")
              case 2: try path.chmod(0o666)
              default: _ = try path.text()
              }
            }
            do { try change(mount / Path("d/\(rest)")) } catch let error as Errno
              where error == .missing
            {
              try change(mount / Path("e/\(rest)"))
            }
          }
        }
      }
      #expect(errors == [])
      for folder in 0..<8 {
        for file in 0..<30 {
          let path = u / Path("e/s\(folder % 2)/t\(folder)/f\(file)")
          // The file with eight names is one.
          let text = folder == 0 && file == 0 ? "0 0+" : "\(folder) \(file)+"
          #expect(try path.text() == text)
          #expect(try path.stat().mode == 0o666)
        }
      }
    }
  }
}
