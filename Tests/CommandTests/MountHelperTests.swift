import Testing

@testable import UnionFSCommand

@Suite struct MountHelperTests {
  @Test(arguments: [
    ["none", "/mnt", "-o", "br:/a=rw:/b=ro"],
    ["union", "/mnt", "-o", "rw,dev,suid,br=/a"],
    ["union", "/mnt", "-odirs=/a"],
    ["/store/layers/x", "/mnt", "-o", "ro"],
    ["none", "/mnt", "-n", "-o", "rw", "-o", "noatime,br:/a"],
  ])
  func aCallOfMountFuseIsKnown(_ arguments: [String]) {
    #expect(MountHelper.isAskedFor(by: arguments))
    #expect(
      ProgramName.arguments(calledAs: "unionfs-swift", arguments) == [MountHelper.verb] + arguments)
  }

  @Test(arguments: [
    [], ["mount"], ["mount", "--branch", "/a=rw", "/mnt"], ["mout", "/a"],
    ["mount", "/mnt", "-o", "br:/a"], ["help", "/mnt", "-o", "br:/a"],
    ["mout", "/mnt", "-o", "ro"], ["none", "-o", "br:/a", "/mnt"], ["-o", "br:/a", "/mnt"],
  ])
  func aVerbIsNeverTakenForASource(_ arguments: [String]) {
    #expect(!MountHelper.isAskedFor(by: arguments))
    #expect(ProgramName.arguments(calledAs: "unionfs-swift", arguments) == arguments)
  }

  @Test func anyCallByAHelpersNameIsAHelpers() {
    for name in ["mount.unionfs-swift", "mount.fuse.unionfs-swift"] {
      #expect(ProgramName.arguments(calledAs: name, ["mount", "/m"]).first == MountHelper.verb)
    }
  }

  @Test(arguments: [(0, 0), (64, 1), (77, 1), (1, 32), (65, 32), (66, 32), (69, 32), (75, 32)])
  func statusesBecomeThoseOfMount(_ ours: Int32, _ theirs: Int32) {
    #expect(ProgramName.status(ours, of: [MountHelper.verb]) == theirs)
    #expect(ProgramName.status(ours, of: ["mount"]) == ours)
  }
}
