import CTestCalls
import Foundation

/// What a run of the built command did.
struct Outcome {
  var status: Int32
  var output: String
  var error: String

  /// Standard error's lines; a failure has one.
  var errorLines: [Substring] { error.split(separator: "\n") }
}

/// Runs the built `unionfs-swift`, or another program, and reads all that it writes.
func spawn(
  _ arguments: [String], program: URL? = nil, directory: URL? = nil,
  environment: [String: String]? = nil
) throws -> Outcome {
  // In turn with the spawns of the mount tests: a child holds a copy of every open file, theirs too,
  // from its clone to its exec.
  ct_spawn_lock()
  var isLocked = true
  defer { if isLocked { ct_spawn_unlock() } }
  let process = Process()
  process.executableURL = program ?? builtProducts().appending(path: "unionfs-swift")
  process.arguments = arguments
  process.standardInput = FileHandle.nullDevice
  if let directory { process.currentDirectoryURL = directory }
  if let environment { process.environment = environment }
  let (output, error) = (Pipe(), Pipe())
  process.standardOutput = output
  process.standardError = error
  try process.run()
  ct_spawn_unlock()
  isLocked = false
  // Neither pipe's content comes near the size at which the other would block.
  let written = output.fileHandleForReading.readDataToEndOfFile()
  let failed = error.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return Outcome(
    status: process.terminationStatus, output: String(decoding: written, as: UTF8.self),
    error: String(decoding: failed, as: UTF8.self))
}

/// The directory that the test runner and the command were built into.
func builtProducts() -> URL {
  var directory = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
  // The runner may be a helper of the toolchain; the test bundle is among its arguments then.
  for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
    directory = URL(filePath: argument).deletingLastPathComponent()
  }
  return directory
}

/// A layer store of empty directories, removed with its last owner.
final class Store {
  let root: URL

  init(_ layers: [String: String]) throws {
    root = FileManager.default.temporaryDirectory
      .appending(path: "unionfs-command-\(UUID().uuidString)")
    try makeDirectory("layers")
    for (id, parents) in layers {
      try makeDirectory("diff/\(id)")
      try makeDirectory("mnt/\(id)")
      try write(parents, to: "layers/\(id)")
    }
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  func path(_ name: String) -> String { root.appending(path: name).path }

  func makeDirectory(_ name: String) throws {
    try FileManager.default.createDirectory(
      at: root.appending(path: name), withIntermediateDirectories: true)
  }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: root.appending(path: name))
  }

  func remove(_ name: String) throws {
    try FileManager.default.removeItem(at: root.appending(path: name))
  }
}
