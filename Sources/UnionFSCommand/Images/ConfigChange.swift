internal import Dockerfile
internal import JSONValue
internal import UnionCore

/// `--change` of import and commit, and what the same instructions do in a build: they change an image's
/// configuration.
struct ConfigChange {
  private(set) var config: JSONValue
  /// What a substitution sees beside the environment.
  var arguments: [String: String] = [:]

  init(_ config: JSONValue?) { self.config = config ?? [:] }

  /// `NAME=VALUE` of the image.
  var environment: [String] { config["Env"]?.strings ?? [] }
  var directory: String { config["WorkingDir"]?.string ?? "" }
  var shell: [String] { config["Shell"]?.strings ?? ["/bin/sh", "-c"] }

  func value(of name: String) -> String? {
    for setting in environment.reversed() {
      let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.first.map({ $0 == name }) ?? false {
        return parts.count == 2 ? String(parts[1]) : ""
      }
    }
    return arguments[name]
  }

  func substitution(_ place: String) -> Substitution {
    Substitution(place: place) { value(of: $0) }
  }

  /// Reads and applies the instructions of `--change`.
  mutating func apply(_ changes: [String]) throws(Failure) {
    for change in changes {
      let instruction = try Dockerfile.trigger(change, path: "--change '\(change)'")
      guard try apply(instruction, "--change '\(change)'") else {
        throw Failure(
          .usage, "'\(change)' cannot be a change",
          advice: "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, "
            + "VOLUME and WORKDIR can")
      }
    }
  }

  /// Applies an instruction that changes nothing but the configuration.
  ///
  /// - Returns: false for another one.
  mutating func apply(_ instruction: Instruction, _ place: String) throws(Failure) -> Bool {
    let words = substitution(place)
    switch instruction.kind {
    case .env(let pairs):
      // Those of one instruction do not see each other.
      var settings: [(String, String)] = []
      for pair in pairs {
        settings.append((try words.word(pair.name), try words.word(pair.value)))
      }
      for (name, value) in settings { setEnvironment(name, value) }
    case .label(let pairs):
      var labels = config["Labels"]?.object ?? [:]
      for pair in pairs { labels[try words.word(pair.name)] = .string(try words.word(pair.value)) }
      config["Labels"] = .object(labels)
    case .workdir(let path): config["WorkingDir"] = .string(resolve(try words.word(path)))
    case .user(let user): config["User"] = .string(try words.word(user))
    case .expose(let ports): try expose(ports, words)
    case .volume(let paths):
      var volumes = config["Volumes"]?.object ?? [:]
      for path in paths { volumes[try words.word(path)] = [:] }
      config["Volumes"] = .object(volumes)
    case .cmd(let command): config["Cmd"] = list(line(of: command))
    case .entrypoint(let command):
      config["Entrypoint"] = list(line(of: command))
      // What the image below would run is no argument of this.
      if !hasOwnCommand { config["Cmd"] = .null }
    case .shell(let shell): config["Shell"] = list(shell)
    case .stopSignal(let signal): config["StopSignal"] = .string(try words.word(signal))
    case .healthCheck(let check): config["Healthcheck"] = try Self.healthCheck(check, shell, place)
    case .onBuild(let text):
      config["OnBuild"] = list((config["OnBuild"]?.strings ?? []) + [text])
    case .maintainer, .from, .run, .copy, .add, .arg: return false
    }
    if case .cmd = instruction.kind { hasOwnCommand = true }
    return true
  }

  /// Whether a CMD has come in this stage.
  private var hasOwnCommand = false

  mutating func takeTriggers() -> [String] {
    let triggers = config["OnBuild"]?.strings ?? []
    config["OnBuild"] = .null
    return triggers
  }

  mutating func setEnvironment(_ name: String, _ value: String) {
    var settings = environment
    let new = "\(name)=\(value)"
    if let index = settings.firstIndex(where: { $0.hasPrefix("\(name)=") || $0 == name }) {
      settings[index] = new
    } else {
      settings.append(new)
    }
    config["Env"] = list(settings)
  }

  /// A path from the working directory, without `.` and `..`.
  func resolve(_ path: String) -> String {
    var parts: [Substring] = []
    for part in (path.hasPrefix("/") ? path : "\(directory)/\(path)").split(separator: "/") {
      if part == ".." { _ = parts.popLast() } else if part != "." { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  /// The program and its arguments.
  func line(of command: Instruction.Command) -> [String] {
    switch command {
    case .exec(let words): words
    case .shell(let line): shell + [line]
    }
  }

  private func list(_ strings: [String]) -> JSONValue { .array(strings.map { .string($0) }) }

  private mutating func expose(_ ports: [String], _ words: Substitution) throws(Failure) {
    var exposed = config["ExposedPorts"]?.object ?? [:]
    for text in ports {
      for port in try words.words(text) {
        exposed[port.contains("/") ? port.lowercased() : "\(port)/tcp"] = [:]
      }
    }
    config["ExposedPorts"] = .object(exposed)
  }

  private static func healthCheck(
    _ check: Instruction.HealthCheck, _ shell: [String], _ place: String
  ) throws(Failure) -> JSONValue {
    guard let command = check.command else { return ["Test": ["NONE"]] }
    var health: JSONValue
    switch command {
    case .exec(let words): health = ["Test": .array((["CMD"] + words).map { .string($0) })]
    case .shell(let line): health = ["Test": ["CMD-SHELL", .string(line)]]
    }
    for option in check.options {
      if option.name == "retries" {
        guard let number = Int64(option.value), number >= 0 else {
          throw Failure(.malformedInput, "\(place): '\(option.value)' is no number")
        }
        health["Retries"] = .integer(number)
        continue
      }
      let names = [
        "interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
        "start-interval": "StartInterval",
      ]
      health[names[option.name] ?? option.name] = .integer(
        try nanoseconds(option.value, place))
    }
    return health
  }

  /// Go's durations: `1h30m`, `5s`, `100ms`.
  private static func nanoseconds(_ text: String, _ place: String) throws(Failure) -> Int64 {
    let units: [(String, Double)] = [
      ("ms", 1e6), ("us", 1e3), ("ns", 1), ("h", 3.6e12), ("m", 6e10), ("s", 1e9),
    ]
    var rest = text[...]
    var total = 0.0
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isNumber || $0 == "." }
      let tail = rest.dropFirst(digits.count)
      guard let number = Double(digits), let unit = units.first(where: { tail.hasPrefix($0.0) })
      else {
        throw Failure(
          .malformedInput, "\(place): '\(text)' is no duration", advice: "write 30s or 1m30s")
      }
      total += number * unit.1
      rest = tail.dropFirst(unit.0.count)
    }
    return Int64(exactly: total.rounded()) ?? .max
  }
}
