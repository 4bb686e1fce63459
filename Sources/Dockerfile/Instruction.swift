/// One instruction of a Dockerfile, its words as they stand there: nothing is substituted yet.
public struct Instruction: Sendable, Equatable {
  /// What RUN, CMD and ENTRYPOINT run: a line for the stage's shell, or a program and its arguments.
  public enum Command: Sendable, Equatable {
    case shell(String)
    case exec([String])
  }

  /// What COPY and ADD take where.
  public struct Transfer: Sendable, Equatable {
    public var sources: [String]
    public var destination: String
    /// `--from`: a stage's name or number, or an image.
    public var from: String?
    /// `--chown`.
    public var owner: String?
    /// `--chmod`.
    public var mode: String?
    /// Files whose content stands in the Dockerfile itself.
    public var documents: [HereDocument] = []
  }

  /// `<<NAME` and the lines that follow.
  public struct HereDocument: Sendable, Equatable {
    public var name: String
    public var content: String
    /// Whether variables in it are replaced: not where the name was quoted.
    public var expands: Bool
  }

  public struct Pair: Sendable, Equatable {
    public var name: String
    public var value: String
    public init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
  }

  public struct Argument: Sendable, Equatable {
    public var name: String
    /// nil where the caller has to give it.
    public var value: String?
  }

  public struct HealthCheck: Sendable, Equatable {
    /// nil for NONE.
    public var command: Command?
    /// `interval`, `timeout`, `start-period`, `retries` as they were given.
    public var options: [Pair]
  }

  public enum Kind: Sendable, Equatable {
    case from(image: String, stage: String?, platform: String?)
    case run(Command, documents: [HereDocument])
    case copy(Transfer)
    case add(Transfer)
    case env([Pair])
    case arg([Argument])
    case label([Pair])
    case workdir(String)
    case user(String)
    case expose([String])
    case volume([String])
    case cmd(Command)
    case entrypoint(Command)
    case shell([String])
    case stopSignal(String)
    case maintainer(String)
    case healthCheck(HealthCheck)
    case onBuild(String)
  }

  public var kind: Kind
  /// The line of the file on which it begins, from 1.
  public var line: Int
  /// The instruction on one line, as `build` shows it and `history` keeps it.
  public var text: String
}
