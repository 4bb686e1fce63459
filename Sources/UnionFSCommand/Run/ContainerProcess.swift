internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// A process in a root directory, by an image's or a container's configuration.
struct ContainerProcess {
  /// `Env`, `User`, `WorkingDir` …, as images have it.
  let config: JSONValue
  let arguments: [String]
  var hostname = ""
  var binds: [RuntimeSpec.Bind] = []
  var network = RuntimeSpec.Network.host
  var hasTerminal = false
  /// Beside the configuration's.
  var environment: [String] = []

  static let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  /// What a runtime is told.
  ///
  /// - Parameters:
  ///   - root: the mounted root directory.
  ///   - id: the container's.
  func spec(root: FilePath, id: String) throws(Failure) -> RuntimeSpec {
    let descriptor: CInt
    do throws(Errno) {
      descriptor = try FileSystemCall.open(path: root, OpenFlag.readOnly | OpenFlag.directory)
    } catch { throw Disk.failure(error, "\(root)") }
    defer { FileSystemCall.close(descriptor) }
    var spec = RuntimeSpec(
      root: root.string, arguments: arguments, environment: [],
      hostname: hostname.isEmpty ? String(id.prefix(12)) : hostname)
    spec.user = try ContainerUser(config["User"]?.string ?? "", root: descriptor)
    spec.directory = config["WorkingDir"]?.string.flatMap { $0.isEmpty ? nil : $0 } ?? "/"
    try RootedDirectory.make(spec.directory, root: descriptor)
    spec.environment = variables(spec.user.home, spec.hostname)
    spec.binds = binds
    spec.network = network
    spec.hasTerminal = hasTerminal
    let user = Invocation.effectiveUser
    if user != 0 { spec.rootless = .init(user: user, group: ProcessCall.effectiveGroup) }
    return spec
  }

  private func variables(_ home: String, _ hostname: String) -> [String] {
    let own = (config["Env"]?.strings ?? []) + environment
    var all: [String] = []
    func add(_ setting: String) {
      let name = setting.prefix { $0 != "=" }
      all.removeAll { $0.prefix { $0 != "=" } == name }
      all.append(setting)
    }
    add(Self.path)
    add("HOSTNAME=\(hostname)")
    if hasTerminal { add("TERM=xterm") }
    add("HOME=\(home)")
    own.forEach(add)
    return all
  }
}

/// Directories below a root directory, whose links are looked up as if it were `/`.
enum RootedDirectory {
  /// Makes a directory and those above it, 0755, where they are missing.
  static func make(_ path: String, root: CInt) throws(Failure) {
    FileSystemCall.close(try open(Array(path.utf8), root: root))
  }

  /// Opens a directory, which is made with those above it where it is missing.
  ///
  /// - Parameter made: called with the parent's descriptor and the name of each new one.
  static func open(
    _ path: [UInt8], root: CInt,
    made: (CInt, [CChar]) throws(Errno) -> Void = { _, _ in }
  ) throws(Failure) -> CInt {
    do throws(Errno) {
      var walked: [[UInt8]] = []
      var rest = Array(parts(path).reversed())
      var links = 0
      while let name = rest.popLast() {
        if name.elementsEqual("..".utf8) {
          _ = walked.popLast()
          continue
        }
        if let target = try step(walked, name, root, made) {
          // A link to what is not there yet: it is made where the link leads.
          links += 1
          if links > 40 { throw Errno.tooManySymbolicLinkLevels }
          if target.first == UInt8(ascii: "/") { walked = [] }
          rest += parts(target).reversed()
        } else {
          walked.append(name)
        }
      }
      return try openDirectory(walked, root)
    } catch {
      throw Failure(
        .failed, "\(Text.printable(path)) cannot be made in the container: \(error)")
    }
  }

  private static func parts(_ path: [UInt8]) -> [[UInt8]] {
    path.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }.map(Array.init)
  }

  private static func openDirectory(_ path: [[UInt8]], _ root: CInt) throws(Errno) -> CInt {
    let bytes = [UInt8(ascii: "/")] + path.joined(separator: [UInt8(ascii: "/")])
    return try FileSystemCall.open(
      inRoot: root, TreeCopy.cName(bytes), OpenFlag.path | OpenFlag.directory)
  }

  /// Makes sure of a directory in another one; where a link stands there that leads to nothing, its target.
  private static func step(
    _ above: [[UInt8]], _ name: [UInt8], _ root: CInt,
    _ made: (CInt, [CChar]) throws(Errno) -> Void
  ) throws(Errno) -> [UInt8]? {
    do throws(Errno) {
      FileSystemCall.close(try openDirectory(above + [name], root))
      return nil
    } catch { if error != .noSuchFileOrDirectory { throw error } }
    let parent = try openDirectory(above, root)
    defer { FileSystemCall.close(parent) }
    let name = TreeCopy.cName(name)
    if try FileSystemCall.type(at: parent, name) == .symbolicLink {
      return try TreeCopy.linkTarget(parent, name).dropLast().map { UInt8(bitPattern: $0) }
    }
    try FileSystemCall.makeDirectory(at: parent, name, mode: 0o755)
    try FileSystemCall.changeMode(at: parent, name, 0o755)
    try made(parent, name)
    return nil
  }
}
