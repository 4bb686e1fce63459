import Glibc
import TestSupport
import Testing
import UnionCore

/// Which file systems show no name without its content after a crash.
@Suite(.mounts) struct JournalOrderTests {
  struct Kind: Sendable, CustomTestStringConvertible {
    let program: String
    var options: [String] = []
    var mounted = "loop"
    let isKept: Bool
    var testDescription: String { ([program] + options + [mounted]).joined(separator: " ") }
  }

  static let kinds = [
    Kind(program: "mkfs.ext4", isKept: true),
    Kind(program: "mkfs.ext4", options: ["-O", "^has_journal"], isKept: false),
    Kind(program: "mkfs.ext4", mounted: "loop,data=writeback", isKept: true),
    Kind(
      program: "mkfs.ext4", mounted: "loop,data=writeback,journal_async_commit", isKept: false),
    Kind(program: "mkfs.xfs", isKept: true),
    Kind(program: "mkfs.btrfs", isKept: false),
  ].filter { has(program: $0.program) }

  @Test(arguments: kinds) func aFileSystemIsKnownByItsJournal(kind: Kind) throws {
    try withUnion([.rw(), .lower()], mounted: false, checks: []) { u throws in
      let image = u.folder / "image"
      try image.write("")
      try image.truncate(400 << 20)
      _ = try run([kind.program, "-q"] + kind.options + ["\(image)"])
      try shell("mount", "-o", kind.mounted, "\(image)", "\(u.top)")
      defer { try? u.top.umount(lazily: true) }
      #expect(try isKept(by: u.top) == kind.isKept)
      // What is copied up there is whole.
      try (u.lower / "f").write("F")
      try u.mount()
      try (u / "f").append("+")
      #expect(try (u.top / "f").text() == "F+")
      try u.unmount()
    }
  }

  @Test func whatHasNoDiskHasNoJournal() throws {
    try withUnion([.rw(), .lower()], mounted: false, checks: []) { u throws in
      try u.top.mount(source: "tmpfs", type: "tmpfs", data: "mode=0755")
      defer { try? u.top.umount(lazily: true) }
      #expect(try !isKept(by: u.top))
    }
  }

  private func isKept(by path: Path) throws -> Bool {
    let directory = try path.open(O_RDONLY)
    defer { directory.close() }
    return JournalOrder.isKept(by: directory.descriptor)
  }
}
