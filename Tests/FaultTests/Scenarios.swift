import Glibc
import TestSupport

private let rich = Item.file("a", "text of a", mode: 0o4711).owned(3, 4)
  .attribute("user.k", "v").attribute("trusted.t", "w")
private let holes = Item.sparse("a", size: 1 << 20, data: [(0, [1, 2]), (1 << 19, [3])])
  .owned(3, 4).attribute("user.k", "v")
private let linked: [Item] = [
  .file("a", "shared").attribute("user.k", "v"), .hardLink("b", of: "a"),
  .hardLink("e/c", of: "a"),
]
private let tree: [Item] = [
  .file("d/f", "F"), .file("d/e/g", "G"), .symlink("d/l", to: "f"),
]

private func openAndClose(_ path: Path, _ flags: Int32) throws { try path.open(flags).close() }

private func write(_ path: Path) throws {
  let file = try path.open(O_WRONLY)
  defer { file.close() }
  try file.write("W", at: 1)
}

// One change each; what a change begins with is on the top branch or on one of two lower ones.
extension Scenario {
  static let changes: [Scenario] =
    making + removing + renaming + movingDirectories + exchanging
    + linking + copyingUp + truncating

  private static let making: [Scenario] = [
    Scenario("create") { try openAndClose($0 / "n", O_CREAT | O_EXCL | O_RDWR) },
    Scenario("create over a whiteout", top: [.whiteout("n")], lower: [.file("n", "old")]) {
      try openAndClose($0 / "n", O_CREAT | O_EXCL | O_RDWR)
    }.always,
    Scenario("create in a lower directory of a lower one", lower: [.directory("d/e")]) {
      try openAndClose($0 / "d/e/n", O_CREAT | O_RDWR)
    },
    Scenario("mkdir") { try ($0 / "d").mkdir() },
    Scenario(
      "mkdir over a whiteout", top: [.whiteout("d")], lower: tree, bottom: [.file("d/z")]
    ) { try ($0 / "d").mkdir() }.always,
    Scenario("mkdir over a whited-out file", top: [.whiteout("d")], lower: [.file("d")]) {
      try ($0 / "d").mkdir()
    },
    Scenario("symlink") { try ($0 / "l").symlink(to: "target") },
    Scenario("symlink over a whiteout", top: [.whiteout("l")], lower: [.file("l")]) {
      try ($0 / "l").symlink(to: "target")
    },
    Scenario("mknod fifo") { try ($0 / "p").mknod(.fifo) },
    Scenario("mknod fifo over a whiteout", top: [.whiteout("p")], lower: [.file("p")]) {
      try ($0 / "p").mknod(.fifo)
    },
  ]

  private static let removing: [Scenario] = [
    Scenario("unlink lower", lower: [rich]) { try ($0 / "a").unlink() },
    Scenario("unlink upper", top: [rich]) { try ($0 / "a").unlink() },
    Scenario("unlink upper over lower", top: [rich], lower: [.file("a", "old")]) {
      try ($0 / "a").unlink()
    }.always,
    Scenario("unlink a lower name of several", lower: linked) { try ($0 / "a").unlink() },
    Scenario("rmdir lower", lower: [.directory("d")]) { try ($0 / "d").rmdir() },
    Scenario(
      "rmdir merged with whiteouts", top: [.whiteout("d/f"), .whiteout("d/e")],
      lower: [.file("d/f"), .file("d/e/g")], bottom: [.directory("d")]
    ) { try ($0 / "d").rmdir() }.always,
    Scenario("rmdir upper", top: [.directory("d")]) { try ($0 / "d").rmdir() },
    Scenario("rmdir opaque over lower", top: [.opaque("d")], lower: tree) {
      try ($0 / "d").rmdir()
    },
  ]

  private static let renaming: [Scenario] = [
    Scenario("rename lower", lower: [rich]) { try ($0 / "a").rename(to: $0 / "b") },
    Scenario("rename upper", top: [rich]) { try ($0 / "a").rename(to: $0 / "b") },
    Scenario("rename upper over lower", top: [rich], lower: [.file("a", "old"), .file("b")]) {
      try ($0 / "a").rename(to: $0 / "b")
    },
    Scenario("rename lower over lower", lower: [rich, .file("b", "old")]) {
      try ($0 / "a").rename(to: $0 / "b")
    }.always,
    Scenario("rename lower over upper", top: [.file("b", "old")], lower: [rich]) {
      try ($0 / "a").rename(to: $0 / "b")
    },
    Scenario("rename over a whiteout", top: [.whiteout("b")], lower: [rich, .file("b", "old")]) {
      try ($0 / "a").rename(to: $0 / "b")
    },
    Scenario("rename across lower directories", lower: [.file("d/a", "A"), .directory("e")]) {
      try ($0 / "d/a").rename(to: $0 / "e/b")
    },
    Scenario("rename a lower name of several", lower: linked) {
      try ($0 / "a").rename(to: $0 / "n")
    },
    Scenario("rename over a lower name of several", lower: linked + [.file("f", "F")]) {
      try ($0 / "f").rename(to: $0 / "a")
    },
    Scenario("rename a lower symlink", lower: [.symlink("l", to: "x")]) {
      try ($0 / "l").rename(to: $0 / "m")
    },
    Scenario("rename a lower fifo", lower: [.special("p", .fifo)]) {
      try ($0 / "p").rename(to: $0 / "q")
    },
  ]

  private static let movingDirectories: [Scenario] = [
    Scenario("rename an upper directory", top: tree) { try ($0 / "d").rename(to: $0 / "t") },
    Scenario("rename a lower directory", lower: tree) {
      try ($0 / "d").rename(to: $0 / "t")
    }.always,
    Scenario(
      "rename a merged directory", top: [.file("d/h", "H"), .whiteout("d/f")], lower: tree,
      bottom: [.file("d/z", "Z")]
    ) { try ($0 / "d").rename(to: $0 / "t") },
    Scenario(
      "rename a directory over an empty merged one", top: [.whiteout("t/x")],
      lower: [.file("t/x"), .file("d/y", "Y")]
    ) { try ($0 / "d").rename(to: $0 / "t") },
    Scenario(
      "rename an upper directory over an empty merged one",
      top: [.whiteout("t/x"), .file("d/y", "Y")], lower: [.file("t/x")]
    ) { try ($0 / "d").rename(to: $0 / "t") },
    Scenario("rename a directory over an empty lower one", lower: tree + [.directory("t")]) {
      try ($0 / "d").rename(to: $0 / "t")
    },
    Scenario(
      "rename an upper directory over a whiteout", top: [.whiteout("t"), .file("d/y", "Y")],
      lower: [.file("t/x")]
    ) { try ($0 / "d").rename(to: $0 / "t") },
    Scenario(
      "rename an opaque directory", top: [.opaque("d"), .file("d/y", "Y")], lower: tree
    ) { try ($0 / "d").rename(to: $0 / "t") },
    Scenario("rename a lower directory to another", lower: tree + [.directory("t")]) {
      try ($0 / "d/e").rename(to: $0 / "t/e")
    },
  ]

  private static let exchanging: [Scenario] = [
    Scenario("exchange lower files", lower: [rich, .file("b", "B")]) {
      try ($0 / "a").rename(to: $0 / "b", flags: renameExchange)
    },
    Scenario("exchange an upper and a lower file", top: [.file("b", "B")], lower: [rich]) {
      try ($0 / "a").rename(to: $0 / "b", flags: renameExchange)
    },
    Scenario("exchange a lower directory and file", lower: tree + [.file("b", "B")]) {
      try ($0 / "d").rename(to: $0 / "b", flags: renameExchange)
    },
    Scenario("exchange lower directories", lower: tree + [.file("t/x", "X")]) {
      try ($0 / "d").rename(to: $0 / "t", flags: renameExchange)
    },
    Scenario(
      "exchange an upper and a lower directory", top: [.file("t/x", "X")], lower: tree
    ) { try ($0 / "d").rename(to: $0 / "t", flags: renameExchange) },
    Scenario(
      "exchange merged directories", top: [.file("t/x", "X"), .whiteout("d/f")],
      lower: tree + [.file("t/y", "Y")]
    ) { try ($0 / "d").rename(to: $0 / "t", flags: renameExchange) },
  ]

  private static let linking: [Scenario] = [
    Scenario("link lower", lower: [rich]) { try ($0 / "a").link(to: $0 / "n") },
    Scenario("link upper", top: [rich]) { try ($0 / "a").link(to: $0 / "n") },
    Scenario("link a lower name of several", lower: linked) {
      try ($0 / "a").link(to: $0 / "n")
    }.always,
    Scenario("link over a whiteout", top: [.whiteout("n")], lower: [rich, .file("n")]) {
      try ($0 / "a").link(to: $0 / "n")
    },
    Scenario("link an unnamed file", lower: [.directory("d")]) { folder in
      let file = try (folder / "d").open(openTemporary | O_RDWR)
      defer { file.close() }
      try file.link(to: folder / "d/n")
    },
  ]

  private static let copyingUp: [Scenario] = [
    Scenario("write to a lower file with holes", lower: [holes]) { try write($0 / "a") }.always,
    Scenario("write to a lower name of several", lower: linked) { try write($0 / "e/c") },
    Scenario("chmod lower", lower: [rich]) { try ($0 / "a").chmod(0o600) },
    Scenario("chmod a lower name of several", lower: linked) { try ($0 / "a").chmod(0o600) },
    Scenario("chmod a lower directory", lower: tree) { try ($0 / "d/e").chmod(0o700) },
    Scenario("chmod a lower fifo", lower: [.special("p", .fifo)]) { try ($0 / "p").chmod(0o600) },
    Scenario(
      "chmod a lower fifo of several names",
      lower: [.special("p", .fifo), .hardLink("q", of: "p")]
    ) { try ($0 / "q").chmod(0o600) },
    Scenario("chown lower", lower: [rich]) { try ($0 / "a").chown(7, 8) },
    Scenario("chown a lower symlink", lower: [.symlink("l", to: "x")]) {
      try ($0 / "l").chown(7, 8)
    },
    Scenario("utimens lower", lower: [rich]) { try ($0 / "a").setTimes(modified: Moment(5, 6)) },
    Scenario("setxattr lower", lower: [rich]) { try ($0 / "a").setAttribute("user.n", "w") },
    Scenario("setxattr of a lower directory", lower: tree) {
      try ($0 / "d").setAttribute("user.n", "w")
    },
    Scenario("removexattr lower", lower: [rich]) { try ($0 / "a").removeAttribute("user.k") },
    Scenario("chmod upper", top: [rich]) { try ($0 / "a").chmod(0o600) },
    Scenario("write to an upper file", top: [rich]) { try write($0 / "a") },
  ]

  private static let truncating: [Scenario] = [
    Scenario("truncate lower", lower: [rich]) { try ($0 / "a").truncate(2) },
    Scenario("truncate a lower name of several", lower: linked) { try ($0 / "a").truncate(2) },
    Scenario("open lower with O_TRUNC", lower: [rich]) {
      try openAndClose($0 / "a", O_WRONLY | O_TRUNC)
    },
    Scenario("open a lower name of several with O_TRUNC", lower: linked) {
      try openAndClose($0 / "a", O_WRONLY | O_TRUNC)
    },
    Scenario("truncate upper", top: [rich]) { try ($0 / "a").truncate(2) },
    Scenario("open upper with O_TRUNC", top: [rich]) {
      try openAndClose($0 / "a", O_WRONLY | O_TRUNC)
    },
  ]

  static let readings: [Scenario] = [
    Scenario(reading: "stat lower", lower: [rich]) { "\(try ($0 / "a").stat().size)" },
    Scenario(reading: "stat upper", top: [rich], lower: [.file("a")]) {
      "\(try ($0 / "a").stat().size)"
    },
    Scenario(reading: "stat of a whiteout", top: [.whiteout("a")], lower: [.file("a")]) {
      do throws(Errno) { return "\(try ($0 / "a").stat())" } catch {
        if error != .missing { throw error }
        return "\(error)"
      }
    },
    Scenario(reading: "stat of a lower name of several", lower: linked) {
      "\(try ($0 / "e/c").stat().links)"
    },
    Scenario(
      reading: "list merged", top: [.file("d/h"), .whiteout("d/f")], lower: tree,
      bottom: [.file("d/z")]
    ) { try ($0 / "d").names().joined(separator: " ") }.always,
    Scenario(reading: "list lower", lower: tree) {
      try ($0 / "d").names().joined(separator: " ")
    },
    Scenario(reading: "read lower", lower: [rich]) { try ($0 / "a").text() }.always,
    Scenario(reading: "read upper", top: [rich]) { try ($0 / "a").text() },
    Scenario(reading: "readlink", lower: [.symlink("l", to: "x")]) {
      "\(try ($0 / "l").readlink())"
    },
    Scenario(reading: "getxattr", lower: [rich]) { "\(try ($0 / "a").attribute("user.k"))" },
    Scenario(reading: "listxattr", lower: [rich]) { "\(try ($0 / "a").attributes())" },
    Scenario(reading: "open lower to write", lower: [rich]) {
      try openAndClose($0 / "a", O_RDWR)
      return ""
    },
  ]
}
