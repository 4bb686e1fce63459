internal import Dockerfile
internal import ImageArchive
internal import JSONValue
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Builds an image: a step an instruction, each an image of its own, as Docker up to 1.9 did.
final class Builder {
  struct Options {
    var usesCache = true
    var network = RuntimeSpec.Network.host
    var target: String?
    var arguments: [String: String] = [:]
    /// Writes what a step says.
    var say: (String) -> Void = { _ in }
  }

  let store: LayerStore
  let options: Options
  let runtime: () throws(Failure) -> OCIRuntime
  let work: LongWork
  private let path: String
  let context: BuildContext
  private var stages: [BuildStage] = []
  /// ARGs before the first FROM.
  private var globals: [String: String] = [:]
  private var step = 0
  private var stepCount = 0

  init(
    _ store: LayerStore, _ context: BuildContext, path: String, _ options: Options,
    _ work: LongWork, runtime: @escaping () throws(Failure) -> OCIRuntime
  ) {
    self.store = store
    self.context = context
    self.path = path
    self.options = options
    self.work = work
    self.runtime = runtime
  }

  /// - Returns: the last image.
  func build(_ file: Dockerfile) throws -> Image {
    stepCount = file.instructions.count
    for instruction in file.instructions {
      try work.checkpoint()
      if case .from = instruction.kind, let target = options.target, isTarget(target) { break }
      try perform(instruction)
    }
    if let target = options.target, !isTarget(target) {
      throw Failure(
        .usage, "\(path) has no stage '\(target)'", advice: "--target names one of 'FROM … AS NAME'"
      )
    }
    guard let image = stages.last?.image else {
      throw Failure(
        .malformedInput, "\(path): nothing is built on scratch",
        advice: "add an instruction after FROM scratch")
    }
    return image
  }

  private func isTarget(_ target: String) -> Bool {
    guard let stage = stages.last else { return false }
    return stage.name == target.lowercased() || String(stage.number) == target
  }

  /// A part of this step that may take its time.
  func beginPart(_ part: String) { work.begin("step \(step)/\(stepCount): \(part)") }

  private func perform(_ instruction: Instruction) throws {
    step += 1
    options.say("Step \(step)/\(stepCount) : \(instruction.text)")
    let place = "\(path) line \(instruction.line)"
    do {
      switch instruction.kind {
      case .from(let image, let name, _): try begin(image, name, place)
      case .arg(let arguments): try declare(arguments, place)
      default: try extend(instruction, place)
      }
    } catch let failure as Failure {
      // Which line, whatever went wrong.
      if failure == Failure.cancelled || failure.message.hasPrefix(path) { throw failure }
      throw Failure(failure.code, "\(place): \(failure.message)", advice: failure.advice)
    }
    if let image = stages.last?.image { options.say(" ---> \(image.id.short)") }
  }

  // MARK: FROM and ARG

  private func begin(_ text: String, _ name: String?, _ place: String) throws {
    let words = Substitution(place: place) { [globals] in globals[$0] }
    let source = try words.word(text)
    let number = stages.count
    if let earlier = stage(source) {
      stages.append(BuildStage(earlier.image, name: name, number: number))
    } else if source == "scratch" {
      stages.append(BuildStage(nil, name: name, number: number))
    } else {
      let image = try self.image(source)
      stages.append(BuildStage(image, name: name, number: number))
    }
    for trigger in takeTriggers() {
      options.say("# Executing a trigger: \(trigger)")
      try extend(try Dockerfile.trigger(trigger, path: "ONBUILD of \(source)"), place)
    }
  }

  private func takeTriggers() -> [String] {
    stages.isEmpty ? [] : stages[stages.count - 1].settings.takeTriggers()
  }

  /// An earlier stage by its name or number.
  private func stage(_ name: String) -> BuildStage? {
    stages.last { $0.name == name.lowercased() }
      ?? Int(name).flatMap { stages.indices.contains($0) ? stages[$0] : nil }
  }

  /// An earlier stage's image, or one of the store.
  func imageOrStage(_ name: String) throws(Failure) -> Image {
    guard let stage = stage(name) else { return try image(name) }
    guard let image = stage.image else {
      throw Failure(.malformedInput, "the stage '\(name)' has nothing in it")
    }
    return image
  }

  private func image(_ name: String) throws(Failure) -> Image {
    do throws(Failure) { return try store.catalog().image(name) } catch {
      throw Failure(
        error.code, error.message,
        advice: "'load' or 'import' it first: images are not fetched from registries")
    }
  }

  /// What every build has without ARG.
  private static let predefined: Set<String> = [
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY",
    "no_proxy", "ALL_PROXY", "all_proxy",
  ]

  private func declare(_ arguments: [Instruction.Argument], _ place: String) throws(Failure) {
    for argument in arguments {
      let given = options.arguments[argument.name]
      guard !stages.isEmpty else {
        let words = Substitution(place: place) { [globals] in globals[$0] }
        var value = given
        if value == nil, let text = argument.value { value = try words.word(text) }
        if let value { globals[argument.name] = value }
        continue
      }
      let words = stages[stages.count - 1].settings.substitution(place)
      var value = given
      if value == nil, let text = argument.value { value = try words.word(text) }
      guard let value = value ?? globals[argument.name] else { continue }
      stages[stages.count - 1].arguments.removeAll { $0.name == argument.name }
      stages[stages.count - 1].arguments.append((argument.name, value))
      stages[stages.count - 1].settings.arguments[argument.name] = value
    }
  }

  // MARK: The others

  private func extend(_ instruction: Instruction, _ place: String) throws {
    guard var stage = stages.last else { return }
    switch instruction.kind {
    case .run(let command, let documents):
      stage.image = try run(command, documents, stage, place)
    case .copy(let transfer): stage.image = try copy(transfer, "COPY", stage, place)
    case .add(let transfer): stage.image = try copy(transfer, "ADD", stage, place)
    case .maintainer(let author):
      stage.image = try describe(stage, ["#(nop) MAINTAINER \(author)"], author: author)
    case .workdir:
      _ = try stage.settings.apply(instruction, place)
      stage.image = try enter(stage)
    default:
      guard try stage.settings.apply(instruction, place) else { break }
      stage.image = try describe(stage, ["#(nop) \(instruction.text)"])
    }
    stages[stages.count - 1] = stage
  }

  /// The command as the history has it.
  private static func shell(_ words: [String]) -> [String] { ["/bin/sh", "-c"] + words }

  /// A step that changes the configuration alone.
  private func describe(
    _ stage: BuildStage, _ words: [String], author: String? = nil
  ) throws(Failure) -> Image {
    let command = Self.shell(words)
    if let known = try cached(stage, command) { return known }
    let transaction = try store.transaction()
    if let parent = stage.image { try transaction.use(parent.id) }
    let layer = try transaction.makeLayer(on: stage.image?.id.layer)
    return try publish(transaction, layer, stage, command, author: author, isEmpty: true)
  }

  /// WORKDIR: the directory is made where it is missing.
  private func enter(_ stage: BuildStage) throws -> Image {
    let directory = stage.settings.directory
    let command = Self.shell(["#(nop) WORKDIR \(directory)"])
    if let known = try cached(stage, command) { return known }
    let transaction = try store.transaction()
    if let parent = stage.image { try transaction.use(parent.id) }
    let layer = try StepLayer(transaction, on: stage.image?.id, below: try layers(below: stage))
    try RootedDirectory.make(directory, root: layer.root)
    try layer.finish()
    return try publish(transaction, layer.new, stage, command)
  }

  /// The layers of a stage's image, topmost first.
  func layers(below stage: BuildStage) throws(Failure) -> [LayerID] {
    guard let image = stage.image else { return [] }
    return [image.id.layer] + (try store.layersFile(of: image.id.layer).parents.map(\.id))
  }

  // MARK: Images

  /// What an image of this step would say that it was made by.
  private func containerConfig(_ stage: BuildStage, _ command: [String]) -> JSONValue {
    var config = stage.settings.config
    config["Cmd"] = .array(command.map { .string($0) })
    return config
  }

  /// The image that this step made the last time.
  func cached(_ stage: BuildStage, _ command: [String]) throws(Failure) -> Image? {
    guard options.usesCache else { return nil }
    let wanted = containerConfig(stage, command)
    let catalog = try store.catalog()
    let candidates = catalog.images.values.filter {
      $0.parent == stage.image?.id && $0.json["container_config"] == wanted
        && $0.json["config"] == stage.settings.config
    }
    guard let newest = candidates.max(by: { Self.time($0) < Self.time($1) }) else { return nil }
    options.say(" ---> Using cache")
    return newest
  }

  private static func time(_ image: Image) -> (Int64, UInt32) {
    (image.created?.seconds ?? 0, image.created?.nanoseconds ?? 0)
  }

  /// Shows a step's layer as an image.
  func publish(
    _ transaction: Transaction, _ layer: NewLayer, _ stage: BuildStage, _ command: [String],
    author: String? = nil, isEmpty: Bool = false
  ) throws(Failure) -> Image {
    let size = isEmpty ? 0 : try store.measure(layer.id.layer).total
    var json = NewImage.json(
      parent: stage.image?.id, created: Timestamp.now.rfc3339, createdBy: command,
      config: stage.settings.config,
      author: author ?? stage.image?.json["author"]?.string ?? "", size: size)
    json["container_config"] = containerConfig(stage, command)
    json["id"] = .string(layer.id.hex)
    if isEmpty { json["throwaway"] = true }
    _ = try transaction.stageImage(
      layer.id, parent: stage.image?.id, json: json.bytes, layerSize: size)
    try work.checkpoint()
    try transaction.publish(flushing: !isEmpty)
    return try store.catalog().image(layer.id.hex)
  }
}

// MARK: RUN

extension Builder {
  private func run(
    _ command: Instruction.Command, _ documents: [Instruction.HereDocument], _ stage: BuildStage,
    _ place: String
  ) throws -> Image {
    guard stage.image != nil else {
      throw Failure(
        .malformedInput, "nothing can run on scratch", advice: "COPY a root file system first")
    }
    let words = Self.line(command, documents, stage)
    let variables = stage.variables
    // Docker's form: the arguments count for the cache.
    let recorded = variables.isEmpty ? words : ["|\(variables.count)"] + variables + words
    if let known = try cached(stage, recorded) { return known }
    let transaction = try store.transaction()
    guard let image = stage.image else { throw Failure(.failed, "the stage has no image") }
    try transaction.use(image.id)
    // The placeholders' layer belongs to nobody afterwards.
    let scratch = try store.transaction()
    defer { scratch.abandon() }
    let container = try scratch.makeContainerLayers(on: image)
    let layer = try StepLayer(
      transaction, on: image.id,
      below: [container.id.initLayer] + (try layers(below: stage)))
    options.say(" ---> Running in \(container.id.short)")
    let status = try execute(words, variables, stage, layer, container.id)
    if status != 0 {
      try work.checkpoint()
      throw Failure(
        .failed, "\(place): the command '\(words.joined(separator: " "))' returned \(status)",
        advice: "nothing of this step was kept")
    }
    try layer.finish()
    options.say("Removing intermediate container \(container.id.short)")
    return try publish(transaction, layer.new, stage, recorded)
  }

  /// The program and its arguments. A here-document alone is the script.
  private static func line(
    _ command: Instruction.Command, _ documents: [Instruction.HereDocument], _ stage: BuildStage
  ) -> [String] {
    guard case .shell(let text) = command, let first = documents.first else {
      return stage.settings.line(of: command)
    }
    let script: String
    if documents.count == 1, text.hasPrefix("<<"), !text.contains(where: \.isWhitespace) {
      script = first.content
    } else {
      script =
        text + "\n" + documents.map { $0.content + $0.name + "\n" }.joined()
    }
    return stage.settings.shell + [script]
  }

  private func execute(
    _ words: [String], _ variables: [String], _ stage: BuildStage, _ layer: StepLayer,
    _ id: ObjectID
  ) throws -> Int32 {
    guard let point = layer.point else { throw Failure(.failed, "the step is not mounted") }
    let run = store.layout.own.appending("run")
    let bundle = try RunDirectory(id.hex, below: run)
    defer { bundle.remove() }
    var process = ContainerProcess(config: stage.settings.config, arguments: words)
    process.environment = variables
    process.network = options.network
    process.binds = try HostFiles.binds(in: bundle.path, hostname: id.short)
    return try runtime().run(
      try process.spec(root: point, id: id.hex), id: id.hex, bundle: bundle.path,
      input: .nothing, output: .descriptor(1), errors: .descriptor(2), signals: work.signals,
      whenSignalled: work.callOff)
  }
}
