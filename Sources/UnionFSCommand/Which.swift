internal import ArgumentParser
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift which`: asks a union's server which branch each name comes from.
struct Which: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "which",
    abstract: "Show the branch that each name comes from, and what hides the others.",
    usage: "unionfs-swift which [--json] <path> …",
    discussion: """
      Names that are deleted or never existed may be asked for too. For each branch that has \
      something to say, top first: visible (the mount shows it), merged (a lower part of the \
      directory), hidden, whiteout or opaque (hides what lies below), the branch's permission and \
      the real path.

      EXAMPLES
        unionfs-swift which /mnt/etc/hosts
        unionfs-swift which --json /mnt/etc /mnt/bin/sh
      """)

  @Flag(help: "Write a JSON array with an object for each path.")
  var json = false

  @Argument(help: ArgumentHelp("A name inside a mount.", valueName: "path"))
  var paths: [CommandArgument]

  func run() throws {
    var first: Failure?
    var objects: [[UInt8]] = []
    let table = try MountTable.current()
    for argument in paths {
      do throws(Failure) {
        let answer = try Self.ask(argument.path, table)
        if json {
          objects.append(WhichReport.json(argument.bytes, answer))
        } else {
          Text.writeOutput(WhichReport.text(argument.bytes, answer))
        }
        if answer.entries.isEmpty && answer.omitted == 0 {
          throw Failure(.missingInput, "no branch holds \(argument.path), nor a whiteout of it")
        }
      } catch {
        Text.writeError(error.description)
        first = first ?? error
      }
    }
    if json { Text.writeOutput(WhichReport.array(objects)) }
    if let first { throw SilentExit(status: first.code.rawValue) }
  }

  static func ask(_ path: FilePath, _ table: MountTable) throws(Failure) -> WhichProtocol.Answer {
    let (directory, name) = try question(path, table)
    do throws(Errno) {
      let descriptor = try open(directory)
      defer { try? descriptor.close() }
      guard try Mounts.isFUSE(descriptor) else { throw .inappropriateIOCTLForDevice }
      var buffer = name + [UInt8](repeating: 0, count: WhichProtocol.bufferSize - name.count)
      try Mounts.control(descriptor, command: WhichProtocol.command, buffer: &buffer)
      guard let answer = WhichProtocol.parse(buffer) else { throw .badMessage }
      return answer
    } catch .inappropriateIOCTLForDevice, .noFunction, .invalidArgument, .notSupported {
      throw Failure(
        .usage, "\(path) does not lie in a mount of unionfs-swift",
        advice: "'findmnt -t fuse.unionfs-swift' lists them")
    } catch {
      throw Disk.failure(error, "directory of \(path)")
    }
  }

  /// The directory to ask and the name in it, empty for the directory itself: for a mount's root, and
  /// where the path ends in `.` or `..`.
  private static func question(
    _ path: FilePath, _ table: MountTable
  ) throws(Failure) -> (FilePath, [UInt8]) {
    guard let name = path.lastComponent, name.kind == .regular else { return (path, []) }
    let parent = path.removingLastComponent()
    let directory: FilePath = parent.isEmpty ? "." : parent
    do {
      let real = try Invocation.realPath(directory).appending(name)
      if table.topmost(at: real)?.isOurs ?? false { return (path, []) }
    } catch {
      throw Disk.failure(error, "directory of \(path)")
    }
    let bytes = FilePath(root: nil, [name]).pathBytes
    if bytes.count > 255 {
      throw Failure(.usage, "the last name of \(path) is longer than 255 bytes")
    }
    return (directory, bytes)
  }

  private static func open(_ directory: FilePath) throws(Errno) -> FileDescriptor {
    do {
      return try FileDescriptor.open(directory, .readOnly, options: [.directory, .closeOnExec])
    } catch {
      throw error as? Errno ?? .ioError
    }
  }
}
