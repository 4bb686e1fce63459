import Foundation
import Testing

/// Whether there is a browser; `scripts/test-pages` installs one.
private let hasBrowser =
  FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium")
  && FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")

@Suite struct PageTests {
  /// scripts/pages.py says what is shown.
  @Test(.enabled(if: hasBrowser, "needs chromium and python3; scripts/test-pages installs them"))
  func thePageOfLayersWorksInABrowser() throws {
    let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "scripts/pages.py")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/python3")
    process.arguments = [script.path, builtProducts().appending(path: "unionfs-swift").path]
    process.standardInput = FileHandle.nullDevice
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let failures = said.split(separator: "\n").filter { !$0.hasPrefix("ok: ") }
    #expect(process.terminationStatus == 0, "\(failures.joined(separator: "\n"))")
  }
}
