import Foundation
import Glibc
import SnapshotTestSupport
import SystemPackage
import Testing

@testable import SnapshotStore

@Suite struct UsageTests {
  let fixture: StoreFixture

  init() throws { fixture = try StoreFixture() }

  /// What du(1) says: blocks, and inodes by `--inodes`.
  func du(_ folder: String, _ options: [String]) throws -> Int64 {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/du")
    process.arguments = ["-s"] + options + [fixture.scratch.path(folder).string]
    process.standardOutput = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return try #require(Int64(output.prefix { $0.isNumber }))
  }

  @Test func usageIsWhatDuSays() throws {
    _ = try fixture.store.create(.active, "a", parent: "", labels: [:])
    let root = "root/snapshots/1/fs"
    try fixture.scratch.make("\(root)/deep/er/still")
    try fixture.scratch.make("\(root)/empty")
    try fixture.scratch.write(String(repeating: "x", count: 70_000), to: "\(root)/deep/er/large")
    try fixture.scratch.write("small", to: "\(root)/small")
    let scratch = fixture.scratch
    #expect(
      link(scratch.path("\(root)/small").string, scratch.path("\(root)/deep/again").string) == 0)
    #expect(symlink("/etc", scratch.path("\(root)/deep/link").string) == 0)
    #expect(mkfifo(scratch.path("\(root)/fifo").string, 0o600) == 0)
    #expect(truncate(scratch.path("\(root)/small").string, 1 << 30) == 0)
    let usage = try fixture.store.usage("a")
    #expect(usage.bytes == (try du(root, ["--block-size=1"])))
    #expect(usage.inodes == (try du(root, ["--inodes"])))
    #expect(usage.inodes == 9)
    try fixture.store.commit("a", as: "b", labels: [:])
    // What was measured then is what is told, though the directory has changed.
    try scratch.write("more", to: "\(root)/more")
    #expect(try fixture.store.usage("b") == usage)
  }

  @Test func aTreeOfAnyDepthIsMeasuredAndDeleted() throws {
    _ = try fixture.store.create(.active, "a", parent: "", labels: [:])
    let top = open(fixture.scratch.path("root/snapshots/1/fs").string, O_RDONLY | O_DIRECTORY)
    var current = top
    // Deeper than a path may be long.
    for _ in 0..<3000 {
      #expect(mkdirat(current, "d", 0o755) == 0)
      let inside = openat(current, "d", O_RDONLY | O_DIRECTORY)
      close(current)
      current = inside
    }
    close(current)
    #expect(try fixture.store.usage("a").inodes == 3001)
    try fixture.store.remove("a")
    #expect(fixture.directories.isEmpty)
  }

  @Test func aViewTakesNothing() throws {
    try fixture.layer("one")
    _ = try fixture.store.create(.view, "v", parent: "one", labels: [:])
    #expect(try fixture.store.usage("v") == SnapshotUsage())
  }
}
