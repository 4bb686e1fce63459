import Glibc
import TestSupport
import Testing

/// A small lower file is with the kernel once it has been read: whoever opens it then to read needs no
/// descriptor of the server's, until the kernel has dropped its pages.
@Suite(.mounts) struct GivenContent {
  /// A reader that came after the content was given; `change` is done to the file, then its pages are dropped.
  private func withReader(
    _ items: [Item] = [.file("d/f", "text", mode: 0o640)],
    _ body: (Union, File, _ dropPages: () throws -> Void) throws -> Void
  ) throws {
    try withUnion(lower: items) { u throws in
      #expect(try (u / "d/f").text() == "text")
      let reader = try u.open("d/f", O_RDONLY)
      try body(u, reader) {
        let result = posix_fadvise(reader.descriptor, 0, 0, POSIX_FADV_DONTNEED)
        #expect(result == 0)
      }
    }
  }

  @Test func readersTakeNoDescriptors() throws {
    let count = 40
    try withUnion(lower: (0..<count).map { .file(Path("f\($0)"), "text \($0)") }) { u throws in
      for number in 0..<count { #expect(try (u / "f\(number)").text() == "text \(number)") }
      let server = try #require(Server.processes(serving: u.mnt).first)
      let readers = try (0..<count).map { try u.open(Path("f\($0)"), O_RDONLY) }
      for (number, reader) in readers.enumerated() {
        #expect(try reader.text() == "text \(number)")
      }
      // Through a mount of the server's own a path is one in the branch.
      let open = {
        Server.descriptors(of: server).filter {
          $0.split(separator: "/").last?.first == "f" && !$0.hasPrefix("/dev/")
        }
      }
      #expect(open() == [])
      // What the kernel drops is read by one again.
      posix_fadvise(readers[0].descriptor, 0, 0, POSIX_FADV_DONTNEED)
      #expect(try readers[0].text() == "text 0")
      #expect(open().count == 1 && open().first?.hasSuffix("/f0") ?? false)
      for reader in readers { reader.close() }
    }
  }

  /// Each of them may need a descriptor at any time, so a client that opens very many is told so when it opens,
  /// and takes none from others.
  @Test(.rulesOfAufs, .enabled(if: has(program: "prlimit"), "needs prlimit"))
  func whoOpensTooManyIsToldAtOnce() throws {
    let count = 120
    let items = (0..<count).map { Item.file(Path("f\($0)"), "text \($0)") } + [.file("d/g", "G")]
    try withUnion([.rw(), .lower(items)], mounted: false) { u throws in
      u.launcher = ["prlimit", "--nofile=400:400", "--"]
      try u.mount()
      for number in 0..<count { #expect(try (u / "f\(number)").text() == "text \(number)") }
      var readers: [File] = []
      defer { for reader in readers { reader.close() } }
      let told = #expect(throws: Errno.self) {
        for number in 0..<count { readers.append(try (u / "f\(number)").open(O_RDONLY)) }
      }
      #expect(told == Errno(EMFILE) && readers.count >= 60)
      // All that are open can be read without what the kernel has.
      for (number, reader) in readers.enumerated() {
        posix_fadvise(reader.descriptor, 0, 0, POSIX_FADV_DONTNEED)
        #expect(try reader.text() == "text \(number)")
      }
      // What takes none goes on.
      #expect(try u.mnt.names().count == count + 1)
      try (u / "d").rename(to: u / "e")
      try (u / "f0").chmod(0o600)
      try (u / "new").mkdir()
      #expect(try readers[0].stat().mode == 0o600)
      let last = readers.removeLast()
      last.close()
      // Nobody waits for a RELEASE: an open that comes at once may be there first.
      let again = (0..<10_000).lazy.compactMap { _ in try? (u / "e/g").text() }.first
      #expect(again == "G")
    }
  }

  @Test func itIsReadAfterItsNameIsGone() throws {
    try withReader { u, reader, dropPages in
      let number = try reader.stat().inode
      try (u / "d/f").unlink()
      try dropPages()
      #expect(try reader.text() == "text")
      let status = try reader.stat()
      #expect(status.links == 0 && status.inode == number && status.mode == 0o640)
      try u.expect(view: ["d/"], top: ["d/", "d/.wh.f"])
    }
  }

  @Test func itIsReadAfterItsDirectoryIsGone() throws {
    try withReader { u, reader, dropPages in
      try shell("rm", "-r", "\(u / "d")")
      try dropPages()
      #expect(try reader.text() == "text")
      #expect(try reader.stat().links == 0)
      try u.expect(view: [], top: [".wh.d"])
    }
  }

  @Test func itIsReadAfterAnotherFileTookItsName() throws {
    try withReader { u, reader, dropPages in
      try (u / "new").write("new")
      try (u / "new").rename(to: u / "d/f")
      try dropPages()
      #expect(try reader.text() == "text")
      #expect(try (u / "d/f").text() == "new")
    }
  }

  @Test func itIsReadAfterItWasCopiedUpAndItsNameIsGone() throws {
    try withReader { u, reader, dropPages in
      try (u / "d/f").chmod(0o600)
      try (u / "d/f").unlink()
      try dropPages()
      #expect(try reader.text() == "text")
      let status = try reader.stat()
      #expect(status.links == 0 && status.mode == 0o600)
    }
  }

  @Test(.enabled(if: Modes.readersAreCoherent, "needs coherent readers"))
  func itShowsWhatIsWrittenLater() throws {
    try withReader { u, reader, dropPages in
      try (u / "d/f").append(" and more")
      try dropPages()
      #expect(try reader.text() == "text and more")
      try (u / "d/f").truncate(2)
      try dropPages()
      #expect(try reader.text() == "te")
    }
  }

  @Test func aNamelessOneCanStillBeChanged() throws {
    try withReader { u, reader, dropPages in
      try (u / "d/f").unlink()
      try reader.chmod(0o604)
      try dropPages()
      let status = try reader.stat()
      #expect(status.mode == 0o604 && status.links == 0)
      #expect(try reader.text() == "text")
      try u.expect(view: ["d/"], top: ["d/", "d/.wh.f"])
    }
  }

  @Test func aNamelessOneCanBeOpenedOnceMore() throws {
    try withReader { u, reader, dropPages in
      try (u / "d/f").unlink()
      let again = u.keep(try Path("/proc/self/fd/\(reader.descriptor)").open(O_RDWR))
      try again.write("T", at: 0)
      #expect(try again.text() == "Text")
      try dropPages()
      #expect(try again.text() == "Text")
      #expect(try (u.lower / "d/f").text() == "text")
    }
  }

  @Test func aNamelessOneThatNobodyHasOpenIsNotOpened() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      #expect(try (u / "f").text() == "text")
      let handle = try u.open("f", openPath)
      try (u / "f").unlink()
      // As where the content was never given: nothing leads to the file any more.
      #expect(throws: Errno.self) {
        try Path("/proc/self/fd/\(handle.descriptor)").open(O_RDONLY)
      }
    }
  }

  @Test func aHardLinkedOneIsReadAfterTheNameThatWasOpenedIsGone() throws {
    try withReader([.file("d/f", "text"), .hardLink("d/g", of: "d/f")]) { u, reader, dropPages in
      try (u / "d/f").unlink()
      try dropPages()
      #expect(try reader.text() == "text")
      #expect(try (u / "d/g").text() == "text")
      #expect(try reader.stat().links == 1)
    }
  }

  @Test func aMappingSeesItsPagesComeBack() throws {
    try withReader { u, reader, dropPages in
      try (u / "d/f").unlink()
      try dropPages()
      let map = mmap(nil, 4096, PROT_READ, MAP_PRIVATE, reader.descriptor, 0)
      let bytes = try #require(map != MAP_FAILED ? map : nil)
      defer { munmap(bytes, 4096) }
      #expect(bytes.load(as: UInt8.self) == UInt8(ascii: "t"))
    }
  }
}
