internal import ArgumentParser
internal import Dockerfile
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// `unionfs-swift build`: an image by a Dockerfile.
struct Build: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "build", abstract: "Build an image from a Dockerfile.",
    usage: "unionfs-swift build [-t <name>[:<tag>]] [-f <file>] [<option> …] <dir>",
    discussion: """
      Each instruction makes an image of its own, which later builds use again. FROM takes images \
      of the store: nothing is fetched.

      EXAMPLES
        unionfs-swift build -t web:1 .
        unionfs-swift build -f Dockerfile.dev --build-arg V=2 --target test .
      """)

  @OptionGroup var store: StoreOptions
  @OptionGroup var runtime: RuntimeOptions
  @Option(
    name: .shortAndLong, help: ArgumentHelp("The image's name; may be repeated.", valueName: "name")
  )
  var tag: [String] = []
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("The Dockerfile; DIR/Dockerfile otherwise.", valueName: "file"))
  var file: CommandArgument?
  @Option(help: ArgumentHelp("A value for ARG.", valueName: "name=value"))
  var buildArg: [String] = []
  @Option(help: ArgumentHelp("The stage to end with.", valueName: "stage"))
  var target: String?
  @Flag(help: "Make every step anew.")
  var noCache = false
  @Flag(name: .shortAndLong, help: "Write the image's id alone.")
  var quiet = false
  @Argument(
    help: ArgumentHelp("The directory that COPY and ADD take from.", valueName: "dir"),
    completion: .directory)
  var directory: CommandArgument

  func run() throws {
    var references: [Reference] = []
    for text in tag { references.append(try Reference(text)) }
    let path = file?.path ?? directory.path.appending("Dockerfile")
    let dockerfile = try Dockerfile(try Self.read(path), path: "\(path)")
    let context = try BuildContext(
      directory.path, name: "the directory", ignored: try ignored(beside: path))
    let opened = try store.changing()
    let work = try LongWork(
      "building", quiet: quiet, ending: "nothing of the last step was kept")
    let quiet = quiet
    var options = Builder.Options()
    options.usesCache = !noCache
    options.network = runtime.network
    options.target = target
    options.arguments = try arguments()
    options.say = { line in
      work.end()
      if !quiet { Text.writeOutput(Text.terminal(Array(line.utf8)) + [0x0A]) }
    }
    for warning in dockerfile.warnings { Text.writeError("warning: \(warning)") }
    let state = opened.layout.own.appending("run")
    let runtime = runtime
    let builder = Builder(opened, context, path: "\(path)", options, work) {
      () throws(Failure) in try runtime.runtime(state: state)
    }
    let image = try work.run {
      let image = try builder.build(dockerfile)
      if !references.isEmpty {
        let transaction = try opened.transaction()
        try transaction.use(image.id)
        try transaction.publish { _, _, changes throws(Failure) in
          for reference in references { changes.tags.set(reference, to: image.id) }
        }
      }
      return image
    }
    if quiet { return Text.writeOutput(Array("\(image.id)\n".utf8)) }
    options.say("Successfully built \(image.id.short)")
    for reference in references { options.say("Successfully tagged \(reference)") }
  }

  private func arguments() throws(Failure) -> [String: String] {
    var arguments: [String: String] = [:]
    for text in buildArg {
      guard let setting = HostFiles.setting(text) else { continue }
      let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw Failure(.usage, "'\(text)' is no argument", advice: "write --build-arg NAME=VALUE")
      }
      arguments[String(parts[0])] = String(parts[1])
    }
    return arguments
  }

  private static func read(_ path: FilePath) throws(Failure) -> [UInt8] {
    do throws(Errno) {
      if let bytes = try Disk.read(path, limit: 16 << 20) { return bytes }
    } catch { throw Disk.failure(error, "\(path)") }
    throw Failure(.malformedInput, "\(path) is larger than 16 MiB, so it is no Dockerfile")
  }

  /// `FILE.dockerignore`, else the directory's own.
  private func ignored(beside file: FilePath) throws(Failure) -> IgnoreFile {
    let own = FilePath(bytes: file.pathBytes + Array(".dockerignore".utf8))
    for path in [own, directory.path.appending(".dockerignore")] {
      do throws(Errno) {
        if let bytes = try Disk.read(path, limit: 16 << 20) { return IgnoreFile(bytes) }
      } catch {
        if error != .noSuchFileOrDirectory { throw Disk.failure(error, "\(path)") }
      }
    }
    return IgnoreFile()
  }
}
