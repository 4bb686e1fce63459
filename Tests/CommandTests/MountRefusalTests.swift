import Foundation
import Testing

/// Mounts that never come to be: nothing here needs /dev/fuse.
@Suite struct MountRefusalTests {
  func refused(_ arguments: [String], _ status: Int32, _ message: String) throws {
    let run = try spawn(["mount"] + arguments)
    #expect(run.status == status)
    #expect(run.errorLines.count == 1)
    #expect(run.error.contains(message), "\(run.error)")
  }

  @Test func aMissingLayersFileIsNamed() throws {
    let store = try Store([:])
    try refused([store.path("layers/app")], 66, "layers/app does not exist")
  }

  @Test func aMissingLayerIsNamedWithItsLine() throws {
    let store = try Store(["app": "mid\n\nbase\n", "mid": "base\n"])
    try refused([store.path("layers/app")], 66, "layers/app line 3: the layer has no directory")
  }

  @Test func aLayerThatIsNoDirectoryIsNamed() throws {
    let store = try Store(["app": "base\n", "base": ""])
    try store.remove("diff/base")
    try store.write("", to: "diff/base")
    try refused([store.path("layers/app")], 66, "line 1: the layer has no directory")
  }

  @Test(arguments: [
    ("base\nbase\n", "line 2: repeats"), ("base\n../../etc\n", "line 2: '../../etc'"),
    ("app\n", "line 1: names the layer itself"),
  ])
  func aMalformedLayersFileIsNamedWithItsLine(_ text: String, _ message: String) throws {
    let store = try Store(["app": text, "base": ""])
    try refused([store.path("layers/app")], 65, message)
  }

  @Test func aCycleThroughAParentsFileIsRefused() throws {
    let store = try Store(["app": "base\n", "base": "app\n"])
    try refused([store.path("layers/app")], 65, "layers/base line 1: names 'app'")
  }

  @Test func aGigabyteIsRefusedWithoutBeingRead() throws {
    let store = try Store(["app": ""])
    let file = try FileHandle(forWritingTo: store.root.appending(path: "layers/app"))
    try file.truncate(atOffset: 1 << 30)
    try file.close()
    let start = ContinuousClock.now
    try refused([store.path("layers/app")], 65, "is larger than 1048576 bytes")
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func aLayersFileThatIsADirectoryIsRefused() throws {
    let store = try Store(["app": ""])
    try store.makeDirectory("layers/dir")
    try refused([store.path("layers/dir")], 1, "layers/dir")
  }

  @Test func aLayersFileThatIsAFIFOIsRefused() throws {
    let store = try Store(["app": ""])
    #expect(mkfifo(store.path("layers/fifo"), 0o600) == 0)
    try refused([store.path("layers/fifo")], 65, "layers/fifo is no regular file")
  }

  @Test func aFileOutsideALayersDirectoryNeedsTheDiffDirectory() throws {
    let store = try Store(["app": ""])
    try store.write("", to: "app")
    try refused([store.path("app")], 64, "does not lie in a directory 'layers'")
    try refused(
      ["--diff-dir", store.path("diff"), store.path("app")], 64, "no mount point is given")
  }

  @Test func aMissingMountPointIsNamed() throws {
    let store = try Store(["app": ""])
    try refused([store.path("layers/app"), store.path("nowhere")], 66, "mount point ")
    try store.remove("mnt/app")
    try refused([store.path("layers/app")], 66, "mnt/app does not exist")
  }

  @Test func aMissingBranchIsNumbered() throws {
    let store = try Store(["app": ""])
    try refused(
      ["--branch", store.path("diff/app"), "--branch", store.path("gone"), store.path("mnt/app")],
      66, "directory of branch 2, \(store.path("gone")) does not exist")
  }

  @Test func aSecondWritableBranchIsRefused() throws {
    let store = try Store(["app": ""])
    let branches = "br:\(store.path("diff/app"))=rw:\(store.path("diff"))=rw"
    try refused(["-o", branches, store.path("mnt/app")], 69, "only the top branch can be written")
  }

  @Test func anUpperOnAReadOnlyMountIsRefused() throws {
    let store = try Store(["app": ""])
    try refused(
      ["-o", "ro", "--upper", store.path("mnt"), store.path("layers/app")], 64, "exclude each other"
    )
  }

  @Test func aRelativeLayersFileIsFoundFromTheWorkingDirectory() throws {
    let store = try Store(["app": "gone\n"])
    let run = try spawn(
      ["mount", "app"], directory: store.root.appending(path: "layers"))
    #expect(run.status == 66)
    #expect(run.error.contains("/layers/app line 1"))
  }
}

@Suite struct UnmountAndWhichRefusalTests {
  @Test func whatIsNotMountedIsNamed() throws {
    let store = try Store(["app": ""])
    let run = try spawn(["umount", store.path("mnt/app")])
    #expect(run.status == 66)
    #expect(run.error.contains("is not mounted"))
  }

  @Test func mountsOfOtherProgramsAreLeftAlone() throws {
    let run = try spawn(["umount", "/proc"])
    #expect(run.status == 64)
    #expect(run.error.contains("/proc is a mount of type proc"))
  }

  @Test func everyMountPointIsTriedAndTheFirstFailureCounts() throws {
    let run = try spawn(["umount", "/proc", "/does/not/exist"])
    #expect(run.status == 64)
    #expect(run.errorLines.count == 2)
  }

  @Test func aPathOutsideAUnionIsNamed() throws {
    let run = try spawn(["which", "/proc/self"])
    #expect(run.status == 64)
    #expect(run.error.contains("/proc/self does not lie in a mount of unionfs-swift"))
  }

  @Test func jsonStaysJSONWhenNothingWasFound() throws {
    let run = try spawn(["which", "--json", "/proc/self"])
    #expect(run.output == "[]\n")
  }
}
