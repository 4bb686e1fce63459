internal import CTestCalls
internal import Glibc

/// A program that ran to its end.
public struct Finished: Sendable {
  /// The exit code, or the negated signal.
  public let status: Int32
  public let output: String
  public let errors: String
}

public enum CommandFailure: Error, CustomStringConvertible {
  case neverEnded([String], output: String)
  case failed([String], Finished)

  public var description: String {
    switch self {
    case .neverEnded(let words, let output):
      "\(words.joined(separator: " ")): not finished in time, or its output was never closed"
        + " (so far: \(output))"
    case .failed(let words, let end):
      "\(words.joined(separator: " ")): status \(end.status): \(end.errors)\(end.output)"
    }
  }
}

/// A started program with its two output pipes.
public final class Spawned: Sendable {
  public let process: Int32
  let output: File
  let errors: File
  private let words: [String]

  public init(_ words: [String], environment: [String: String] = [:]) throws(Errno) {
    self.words = words
    let (output, outputEnd) = try pipe()
    let (errors, errorsEnd) = try pipe()
    var variables = currentEnvironment
    for (name, value) in environment { variables[name] = value }
    let arguments = CStrings(words)
    let settings = CStrings(variables.map { "\($0.key)=\($0.value)" })
    process = try check(
      ct_spawn(
        arguments.pointers, settings.pointers, nil, outputEnd.descriptor, errorsEnd.descriptor))
    outputEnd.close()
    errorsEnd.close()
    (self.output, self.errors) = (output, errors)
  }

  public func signal(_ number: Int32) { _ = ct_kill(process, number) }

  /// Reads one line of its output, waiting at most so long.
  public func line(seconds: Int32 = 30) throws -> String {
    var bytes: [UInt8] = []
    while bytes.last != UInt8(ascii: "\n") {
      guard ct_poll(output.descriptor, Int16(POLLIN), seconds * 1000) > 0 else {
        throw CommandFailure.neverEnded(words, output: escaped(bytes))
      }
      let more = try output.read(1)
      if more.isEmpty { break }
      bytes += more
    }
    return String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }

  /// Both pipes' end of file, then the exit; kills it at the time limit.
  public func finish(seconds: Int32 = 60) throws -> Finished {
    var texts: [[UInt8]] = [[], []]
    for (index, pipe) in [output, errors].enumerated() {
      while true {
        guard ct_poll(pipe.descriptor, Int16(POLLIN), seconds * 1000) > 0 else {
          signal(SIGKILL)
          throw CommandFailure.neverEnded(words, output: escaped(texts[0] + texts[1]))
        }
        let more = try pipe.read(1 << 16)
        if more.isEmpty { break }
        texts[index] += more
      }
    }
    guard let status = waitForEnd(of: process, seconds: seconds) else {
      signal(SIGKILL)
      throw CommandFailure.neverEnded(words, output: escaped(texts[0] + texts[1]))
    }
    return Finished(
      status: status, output: String(decoding: texts[0], as: UTF8.self),
      errors: String(decoding: texts[1], as: UTF8.self))
  }
}

/// Runs a program to its end, whatever its status.
public func run(_ words: [String], environment: [String: String] = [:], seconds: Int32 = 60) throws
  -> Finished
{
  try Spawned(words, environment: environment).finish(seconds: seconds)
}

/// Runs a program that must succeed; answers its output.
@discardableResult
public func shell(_ words: String...) throws -> String {
  let end = try run(words)
  if end.status != 0 { throw CommandFailure.failed(words, end) }
  return end.output
}

/// Whether a program of that name is on the PATH.
public func has(program: String) -> Bool {
  let folders = (currentEnvironment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
  return folders.contains { (try? Path("\($0)/\(program)").access(X_OK)) != nil }
}

/// The exit code (or the negated signal) of a child, or of an orphan that came to us; nil at the
/// time limit.
func waitForEnd(of process: Int32, seconds: Int32) -> Int32? {
  let pidfd = ct_pidfd_open(process)
  if pidfd >= 0 {
    defer { _ = ct_close(pidfd) }
    guard ct_poll(pidfd, Int16(POLLIN), seconds * 1000) > 0 else { return nil }
  }
  var status: Int32 = 0
  // Nobody of ours: it has ended, and somebody else has its status.
  guard ct_reap(process, 0, &status) > 0 else { return 0 }
  return status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
}

func pipe() throws(Errno) -> (reads: File, writes: File) {
  var ends: (Int32, Int32) = (-1, -1)
  try check(ct_pipe(&ends.0, &ends.1))
  return (File(descriptor: ends.0), File(descriptor: ends.1))
}

/// NULL-terminated arrays of C strings.
final class CStrings {
  let pointers: UnsafeMutablePointer<UnsafePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    pointers = .allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() {
      (pointers + index).initialize(to: UnsafePointer(strdup(string)))
    }
    (pointers + strings.count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { free(UnsafeMutableRawPointer(mutating: pointers[index])) }
    pointers.deallocate()
  }
}

/// The environment of this process, as it was at the first use.
public let currentEnvironment: [String: String] = {
  let bytes = (try? Path("/proc/self/environ").bytesOfFile()) ?? []
  var found: [String: String] = [:]
  for entry in bytes.split(separator: 0) {
    let parts = entry.split(
      separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2 {
      found[String(decoding: parts[0], as: UTF8.self)] = String(decoding: parts[1], as: UTF8.self)
    }
  }
  return found
}()

extension Finished {
  /// Throws what the program said unless it exited with 0.
  public func requireSuccess(_ words: String...) throws {
    if status != 0 { throw CommandFailure.failed(words, self) }
  }
}
