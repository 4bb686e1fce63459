import Glibc
import TestSupport
import Testing

/// Mounts by fuse-overlayfs's command line.
@Suite(.mounts) struct OverlayTests {
  /// Directories in a folder of their own, and a link named `fuse-overlayfs` to the program.
  private final class Place {
    let folder: Path

    init() throws {
      folder = Path("/var/tmp/unionfs-swift-test.\(UInt32.random(in: 0 ... .max))")
      try folder.mkdir()
      for name: Path in ["lower", "base", "upper", "work", "mnt"] { try (folder / name).mkdir() }
      try (folder / "fuse-overlayfs").symlink(
        to: Path(shell("realpath", Server.binary).filter { $0 != "\n" }))
      try (folder / "lower/f").write("F")
      try (folder / "lower/d").mkdir()
      try (folder / "lower/d/g").write("G")
      try (folder / "base/old").write("old")
      try (folder / "base/two").write("one file")
      try (folder / "base/two").link(to: folder / "base/three")
      try (folder / "lower/.wh.old").write("")
    }

    deinit {
      if Server.isMounted(mnt) { try? mnt.umount(lazily: true) }
      try? folder.removeTree()
    }

    var mnt: Path { folder / "mnt" }

    /// In the folder, by a shell: the directories of the options are relative.
    func call(_ arguments: String...) throws -> Finished {
      _ = Server.adoptsOrphans
      return try run(
        [
          "sh", "-c", "cd \"$0\" && exec \"$@\"", folder.string,
          (folder / "fuse-overlayfs").string,
        ] + arguments)
    }

    func unmount() throws {
      let servers = Server.processes(startedIn: folder)
      #expect(servers.count == 1)
      try run([Server.binary, "umount", mnt.string]).requireSuccess("umount")
      for server in servers { #expect(Server.waitForEnd(of: server) == 0) }
    }

    static let whole = "lowerdir=lower:base,upperdir=upper,workdir=work"
  }

  @Test func theUpperDirectoryHoldsTheLayerAndNothingElse() throws {
    let place = try Place()
    let end = try place.call("-o", Place.whole, "mnt")
    #expect(end.status == 0 && end.errors.isEmpty && end.output.isEmpty, "\(end)")
    #expect(try place.mnt.names().sorted() == ["d", "f", "three", "two"])
    try (place.mnt / "f").unlink()
    try (place.mnt / "two").append("+")
    try (place.mnt / "d").rename(to: place.mnt / "moved")
    try (place.mnt / "made").mkdir()
    let number = try (place.mnt / "two").stat().inode
    #expect(try (place.mnt / "three").text() == "one file+")
    try place.unmount()
    // The copy of a file of two names lies under one of them.
    let layer = try (place.folder / "upper").names().sorted()
    #expect(layer.count == 5 && layer.prefix(4) == [".wh.d", ".wh.f", "made", "moved"], "\(layer)")
    #expect(layer.last == "two" || layer.last == "three")
    // What the union keeps for itself outlives the mount in the work directory.
    let again = try place.call("overlay", "mnt", "-o", Place.whole + ",dev,suid")
    #expect(again.status == 0, "\(again.errors)")
    #expect(try (place.mnt / "two").stat().inode == number)
    #expect(try (place.mnt / "three").text() == "one file+")
    #expect(try (place.mnt / "three").stat().links == 2)
    try place.unmount()
  }

  @Test func aWorkDirectoryOfAnotherUpperIsNotBelieved() throws {
    let place = try Place()
    try place.call("-o", Place.whole, "mnt").requireSuccess("mount")
    try (place.mnt / "two").append("+")
    try place.unmount()
    try (place.folder / "upper").removeTree()
    try (place.folder / "upper").mkdir()
    try place.call("-o", Place.whole, "mnt").requireSuccess("mount")
    #expect(try (place.mnt / "two").text() == "one file")
    #expect(try (place.mnt / "three").text() == "one file")
    #expect(try (place.mnt / "two").stat().links == 2)
    try place.unmount()
    #expect(try (place.folder / "upper").names().isEmpty)
  }

  @Test func withoutAnUpperDirectoryTheMountIsReadOnly() throws {
    let place = try Place()
    let end = try place.call("-o", "lowerdir=lower:base,nonsense", "mnt")
    #expect(end.status == 0)
    #expect(end.errors.contains("'nonsense' is unknown and ignored"))
    #expect(try place.mnt.names().sorted() == ["d", "f", "three", "two"])
    #expect(throws: Errno.readOnly) { try (place.mnt / "new").write("") }
    try place.unmount()
    #expect(try (place.folder / "lower").names().sorted() == [".wh.old", "d", "f"])
  }

  @Test(arguments: [
    ("lowerdir=lower,upperdir=upper,workdir=upper/in", "lies in the branch"),
    ("lowerdir=lower,upperdir=upper,workdir=upper", "lies in the branch"),
    ("lowerdir=lower,upperdir=upper,workdir=/proc", "is not on the mount"),
    ("lowerdir=lower,upperdir=upper,workdir=.", "lies in the work directory"),
    ("lowerdir=lower,upperdir=upper", "without workdir"),
    ("lowerdir=none,upperdir=upper,workdir=work", "lower directory none does not exist"),
  ])
  func whatIsNoOverlayIsStatusOneAndOneLine(options: String, message: String) throws {
    let place = try Place()
    try (place.folder / "upper/in").mkdir()
    let end = try place.call("-o", options, "mnt")
    #expect(end.status == 1)
    #expect(end.errors.contains(message), "\(end.errors)")
    #expect(end.errors.split(separator: "\n").count == 1)
    #expect(!Server.isMounted(place.mnt))
  }

  @Test func twoMountsDoNotShareAWorkDirectory() throws {
    let place = try Place()
    for name: Path in ["upper2", "mnt2"] { try (place.folder / name).mkdir() }
    try place.call("-o", Place.whole, "mnt").requireSuccess("mount")
    let end = try place.call("-o", "lowerdir=base,upperdir=upper2,workdir=work", "mnt2")
    #expect(end.status == 1 && end.errors.contains("the work directory"), "\(end.errors)")
    try place.unmount()
  }

  @Test func fiveHundredLowerDirectoriesMerge() throws {
    let place = try Place()
    let names = (0..<500).map { "layers-of-an-image-with-a-long-name-\($0)" }
    for (index, name) in names.enumerated() {
      try (place.folder / Path(name)).mkdir()
      try (place.folder / Path("\(name)/f\(index)")).write("\(index)")
      try (place.folder / Path("\(name)/same")).write("\(index)")
    }
    let list = names.joined(separator: ":")
    let end = try place.call("-o", "lowerdir=\(list),upperdir=upper,workdir=work", "mnt")
    #expect(end.status == 0, "\(end.errors)")
    #expect(try place.mnt.names().count == 501)
    #expect(try (place.mnt / "same").text() == "0")
    try (place.mnt / "f499").append("+")
    #expect(try (place.mnt / "f499").text() == "499+")
    try place.unmount()
    #expect(try (place.folder / "upper").names() == ["f499"])
  }
}
