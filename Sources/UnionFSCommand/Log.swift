internal import ArgumentParser
internal import Logging
internal import Synchronization
internal import SystemCalls
internal import UnionCore

/// The log: standard error while a terminal may read it, the system log once detached.
enum Log {
  private static let detached = Atomic(false)

  /// Makes the process's logger; call once.
  static func start(level: LogLevel) -> Logger {
    LoggingSystem.bootstrap { _ in Handler(logLevel: level.value) }
    return Logger(label: "unionfs-swift")
  }

  /// From now on everything goes to syslog(3).
  static func detach() {
    SystemLog.open(name: "unionfs-swift")
    detached.store(true, ordering: .releasing)
  }

  /// A server's last word: the command's error line, or the system log's once detached.
  static func fail(_ failure: Failure, _ logger: Logger) {
    if detached.load(ordering: .acquiring) {
      logger.error("\(failure)")
    } else {
      Text.writeError(failure.description)
    }
  }

  struct Handler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      if detached.load(ordering: .acquiring) {
        SystemLog.write(event.message.description, priority: Self.priority(of: event.level))
      } else {
        Text.writeError("\(event.level): \(event.message)")
      }
    }

    static func priority(of level: Logger.Level) -> SystemLog.Priority {
      switch level {
      case .trace, .debug: .debug
      case .info: .information
      case .notice: .notice
      case .warning: .warning
      case .error: .error
      case .critical: .critical
      }
    }
  }
}

/// `--log-level`.
struct LogLevel: ExpressibleByArgument {
  let value: Logger.Level

  init(_ value: Logger.Level) { self.value = value }

  init?(argument: String) {
    guard let value = Logger.Level(rawValue: argument) else { return nil }
    self.value = value
  }

  static var allValueStrings: [String] { Logger.Level.allCases.map(\.rawValue) }

  var defaultValueDescription: String { value.rawValue }
}
