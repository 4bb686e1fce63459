internal import CTestCalls
import Foundation
internal import Glibc

/// The built program, and the process that serves a mount point.
public enum Server {
  /// `UNIONFS_SWIFT_BINARY`, or the program beside the test bundle.
  public static let binary: String = {
    if let given = currentEnvironment["UNIONFS_SWIFT_BINARY"] { return given }
    var folder = (try? Path("/proc/self/exe").readlink())?.parent ?? "."
    if let bundle = CommandLine.arguments.first(where: { $0.hasSuffix(".xctest") }) {
      folder = Path(bundle).parent
    }
    return "\(folder)/unionfs-swift"
  }()

  /// The processes that run our program for this mount point.
  public static func processes(serving mountPoint: Path) -> [Int32] {
    let names = (try? Path("/proc").entries().map(\.name.string)) ?? []
    return names.compactMap { Int32($0) }.filter { pid in
      guard let words = try? Path("/proc/\(pid)/cmdline").bytesOfFile().split(separator: 0),
        let program = words.first
      else { return false }
      return Path(bytes: Array(program)).name == Array("unionfs-swift".utf8)
        && words.contains { $0.elementsEqual(mountPoint.bytes) }
    }
  }

  /// The processes of a program that was started by a path in a folder, whatever its name there.
  public static func processes(startedIn folder: Path) -> [Int32] {
    let names = (try? Path("/proc").entries().map(\.name.string)) ?? []
    let start = folder.bytes + Array("/".utf8)
    return names.compactMap { Int32($0) }.filter { pid in
      (try? Path("/proc/\(pid)/cmdline").bytesOfFile())?.starts(with: start) ?? false
    }
  }

  /// The line of /proc/self/mountinfo for a mount point: its fields after the separator, joined.
  public static func mountInformation(_ mountPoint: Path) -> (options: String, source: String)? {
    let text = (try? Path("/proc/self/mountinfo").bytesOfFile()) ?? []
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: " "))
      guard fields.count > 6, fields[4].elementsEqual(mountPoint.bytes) else { continue }
      let tail = fields.drop { !$0.elementsEqual("-".utf8) }.dropFirst()
      return (
        String(decoding: fields[5], as: UTF8.self),
        tail.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
      )
    }
    return nil
  }

  public static func isMounted(_ mountPoint: Path) -> Bool { mountInformation(mountPoint) != nil }

  /// Regular files in one of the folders that a process still holds open, as paths.
  public static func openFiles(of process: Int32, in folders: [Path]) -> [String] {
    descriptors(of: process).filter { link in
      folders.contains { link.hasPrefix("\($0)/") } && !link.contains("/.wh..wh.unionfs")
        && (link.hasSuffix(" (deleted)") || (try? Path(link).stat().kind) == .file)
    }.sorted()
  }

  /// Where the descriptors of a process lead.
  public static func descriptors(of process: Int32) -> [String] {
    let table = Path("/proc/\(process)/fd")
    return (try? table.entries().compactMap { try? (table / $0.name).readlink().string }) ?? []
  }

  /// Waits for a process's end; nil at the time limit, else its status where it was ours.
  public static func waitForEnd(of process: Int32, seconds: Int32 = 30) -> Int32? {
    TestSupport.waitForEnd(of: process, seconds: seconds)
  }

  /// Whether a process ends within that time; of no use for its status.
  public static func waitForEnd(of process: Int32, milliseconds: Int32) -> Bool {
    let pidfd = ct_pidfd_open(process)
    guard pidfd >= 0 else { return true }
    defer { _ = ct_close(pidfd) }
    return ct_poll(pidfd, Int16(POLLIN), milliseconds) != 0
  }

  public static func signal(_ process: Int32, _ number: Int32) { _ = ct_kill(process, number) }

  /// Orphaned servers come to this process, so that their exit status can be asserted.
  public static let adoptsOrphans: Bool = ct_become_subreaper() >= 0
}

/// Kills a mount's server when a test takes too long: its blocked system calls then fail, and the
/// run goes on.
final class Watchdog: Sendable {
  private let bell: File

  init(mountPoint: Path, seconds: Int32) throws(Errno) {
    let bell = File(descriptor: try check(ct_eventfd()))
    self.bell = bell
    Thread.detachNewThread {
      guard ct_poll(bell.descriptor, Int16(POLLIN), seconds * 1000) == 0 else { return }
      for process in Server.processes(serving: mountPoint) { Server.signal(process, SIGKILL) }
    }
  }

  /// The test has ended.
  func stop() { _ = try? bell.write([1, 0, 0, 0, 0, 0, 0, 0]) }
}
