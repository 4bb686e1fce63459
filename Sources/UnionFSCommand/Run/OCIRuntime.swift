internal import JSONValue
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// The program that runs containers: runc, crun, or another that takes the same words.
struct OCIRuntime {
  let program: FilePath
  /// Where it keeps what it knows of running containers.
  let state: FilePath

  /// - Parameter name: what `--runtime` named: a name on PATH or a path.
  init(named name: String?, state: FilePath) throws(Failure) {
    let names = name.map { [$0] } ?? ["runc", "crun"]
    for name in names {
      if let found = Program.find(name) {
        program = found
        self.state = state
        return
      }
    }
    throw Failure(
      .missingInput,
      name.map { "there is no runtime '\($0)'" } ?? "neither runc nor crun is on the PATH",
      advice: "install one ('apt-get install runc'), or name one with --runtime")
  }

  /// Runs a container to its end: its process's exit status, 128 and the signal's number where that
  /// ended it.
  ///
  /// - Parameters:
  ///   - bundle: an existing directory, which gets the specification.
  ///   - signals: what comes by it goes to the container.
  ///   - whenSignalled: where it is given, a signal ends the container instead, after this was called.
  func run(
    _ spec: RuntimeSpec, id: String, bundle: FilePath, input: Program.Stream,
    output: Program.Stream = .descriptor(1), errors: Program.Stream = .descriptor(2),
    signals: CInt, whenSignalled: (() -> Void)? = nil
  ) throws(Failure) -> Int32 {
    try write(spec, bundle.appending("config.json"))
    let words: [FilePath] = [
      program, "--root", state, "run", "--bundle", bundle, FilePath(id),
    ]
    do throws(Errno) {
      let process = try Program.start(words, input: input, output: output, errors: errors)
      switch try wait(for: process, id, signals, whenSignalled) {
      case .exited(let status): return status
      case .killed(let signal): return 128 + signal
      }
    } catch {
      throw Failure(.failed, "\(program) cannot be run: \(error)")
    }
  }

  private func wait(
    for process: Int32, _ id: String, _ signals: CInt, _ whenSignalled: (() -> Void)?
  ) throws(Errno) -> Daemon.Ending {
    guard let whenSignalled else {
      return try Program.wait(for: process, forwarding: signals)
    }
    // The first process of a container need not listen to signals.
    return try Program.wait(for: process, signals: signals) {
      whenSignalled()
      delete(id: id)
    }
  }

  /// Ends a container that may still run, and makes the runtime forget it.
  func delete(id: String) {
    guard
      let process = try? Program.start(
        [program, "--root", state, "delete", "--force", FilePath(id)], output: .nothing,
        errors: .nothing)
    else { return }
    _ = try? Daemon.wait(for: process)
  }

  private func write(_ spec: RuntimeSpec, _ path: FilePath) throws(Failure) {
    do {
      let file = try FileDescriptor.open(
        path, .writeOnly, options: [.create, .truncate, .closeOnExec],
        permissions: FilePermissions(rawValue: 0o600))
      try file.closeAfter { _ = try file.writeAll(spec.json.bytes) }
    } catch {
      throw Disk.failure(error as? Errno ?? .ioError, "\(path)")
    }
  }
}
