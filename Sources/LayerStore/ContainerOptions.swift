internal import JSONValue
internal import UnionCore

/// What `create` is told, and the container's configuration that follows from it and the image's.
public struct ContainerOptions: Sendable {
  /// Without a slash; nil for a random one.
  public var name: String?
  /// Empty: the image's.
  public var command: [String] = []
  /// nil: the image's; empty: none.
  public var entrypoint: [String]?
  /// `NAME=VALUE`.
  public var environment: [String] = []
  public var workingDirectory: String?
  public var user: String?
  public var hostname: String?
  /// `HOST:PLACE[:ro|rw]`, or `PLACE` alone.
  public var volumes: [String] = []
  /// `NAME=VALUE`.
  public var labels: [String] = []
  public var hasTerminal = false
  public var isInteractive = false
  public var network = "default"
  /// The image as the caller named it.
  public var imageName = ""

  public init() {}

  /// Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
  public static func isName(_ text: String) -> Bool {
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
    guard text.utf8.count > 1, text.utf8.count < 256, let first = text.utf8.first,
      isAlphanumeric(first)
    else { return false }
    return text.utf8.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
  }

  func check() throws(Failure) {
    if let name, !Self.isName(name) {
      throw Failure(
        .usage, "Invalid container name (\(name))",
        advice: "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, two at least")
    }
    for setting in environment + labels where setting.hasPrefix("=") || setting.isEmpty {
      throw Failure(.usage, "'\(setting)' has no name", advice: "write NAME=VALUE")
    }
    if let workingDirectory, !workingDirectory.hasPrefix("/") {
      throw Failure(
        .usage, "The working directory '\(workingDirectory)' is invalid",
        advice: "it needs to be an absolute path")
    }
    _ = try mounts()
  }
}

/// Volumes.
extension ContainerOptions {
  struct Mount {
    /// nil where the container brings its own directory.
    let source: String?
    let destination: String
    let mode: String
    var isWritable: Bool { !mode.split(separator: ",").contains("ro") }
  }

  func mounts() throws(Failure) -> [Mount] {
    var found: [Mount] = []
    for volume in volumes {
      let parts = volume.split(separator: ":", omittingEmptySubsequences: false).map { String($0) }
      let mount =
        parts.count == 1
        ? Mount(source: nil, destination: parts[0], mode: "")
        : Mount(source: parts[0], destination: parts[1], mode: parts.count > 2 ? parts[2] : "")
      if let source = mount.source, Self.isName(source) {
        throw Failure(
          .usage,
          "'\(volume)' asks for the volume '\(source)', and volumes with names are not kept",
          advice: "name a directory of the host: /HOST/DIRECTORY:\(mount.destination)")
      }
      let isMode =
        mount.mode.isEmpty
        || mount.mode.split(separator: ",").allSatisfy { word in
          ["ro", "rw", "z", "Z"].contains(word)
        }
      guard parts.count < 4, isMode, mount.destination.hasPrefix("/"), mount.destination != "/",
        mount.source?.hasPrefix("/") ?? true
      else {
        throw Failure(
          .usage, "Invalid volume specification '\(volume)'",
          advice: "write /HOST/DIRECTORY:/PLACE[:ro]")
      }
      if found.contains(where: { $0.destination == mount.destination }) {
        throw Failure(.usage, "Duplicate mount point: \(mount.destination)")
      }
      found.append(mount)
    }
    return found
  }
}

/// Merging with the image's configuration, as Docker up to 1.9 does.
extension ContainerOptions {
  /// The container's `Config`.
  func config(of image: JSONValue?, hostname: (String, domain: String)) throws(Failure) -> JSONValue
  {
    let strings = { (name: String) -> [String] in image?[name]?.strings ?? [] }
    let text = { (name: String) -> String in image?[name]?.string ?? "" }
    var command = command
    var entrypoint = entrypoint
    if entrypoint?.isEmpty ?? true {
      if command.isEmpty { command = strings("Cmd") }
      if entrypoint == nil { entrypoint = image?["Entrypoint"]?.strings }
    }
    var config = image ?? [:]
    for (name, value) in Self.defaults where config[name] == nil { config[name] = value }
    config["Hostname"] = .string(hostname.0)
    config["Domainname"] = .string(hostname.domain)
    config["User"] = .string(user ?? text("User"))
    config["Env"] = Self.list(Self.merge(environment, strings("Env")))
    config["Cmd"] = Self.list(command)
    config["Entrypoint"] = entrypoint.flatMap { $0.isEmpty ? nil : $0 }.map(Self.list) ?? .null
    config["WorkingDir"] = .string(workingDirectory ?? text("WorkingDir"))
    config["Image"] = .string(imageName)
    config["Tty"] = .bool(hasTerminal)
    config["OpenStdin"] = .bool(isInteractive)
    config["StdinOnce"] = .bool(isInteractive)
    for name in ["AttachStdin", "AttachStdout", "AttachStderr"] { config[name] = false }
    var places = image?["Volumes"]?.object ?? [:]
    for mount in try mounts() where mount.source == nil { places[mount.destination] = [:] }
    config["Volumes"] = places.isEmpty ? .null : .object(places)
    var all = image?["Labels"]?.object ?? [:]
    for label in labels {
      let (name, value) = Self.split(label)
      all[name] = .string(value ?? "")
    }
    config["Labels"] = .object(all)
    return config
  }

  private static let defaults: [String: JSONValue] = [
    "NetworkDisabled": false, "MacAddress": "", "OnBuild": .null, "PublishService": "",
    "VolumeDriver": "", "StopSignal": "SIGTERM",
  ]

  private static func list(_ strings: [String]) -> JSONValue { .array(strings.map { .string($0) }) }

  private static func split(_ setting: String) -> (name: String, value: String?) {
    guard let equals = setting.firstIndex(of: "=") else { return (setting, nil) }
    return (String(setting[..<equals]), String(setting[setting.index(after: equals)...]))
  }

  /// The container's own, then what the image has beside them.
  static func merge(_ own: [String], _ image: [String]) -> [String] {
    var merged: [String] = []
    for setting in own {
      merged.removeAll { split($0).name == split(setting).name }
      merged.append(setting)
    }
    let names = Set(merged.map { split($0).name })
    return merged + image.filter { !names.contains(split($0).name) }
  }

  /// The program and its arguments.
  static func program(of config: JSONValue) throws(Failure) -> (path: String, arguments: [String]) {
    let all = (config["Entrypoint"]?.strings ?? []) + (config["Cmd"]?.strings ?? [])
    guard let path = all.first else {
      throw Failure(
        .failed, "No command specified", advice: "the image has none either: add one after it")
    }
    return (path, Array(all.dropFirst()))
  }
}
