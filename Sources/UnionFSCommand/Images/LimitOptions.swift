internal import ArgumentParser
internal import ImageArchive
internal import UnionCore

/// How much an archive may become.
struct LimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The most bytes that an archive may become; k, M, G, T may follow.", valueName: "bytes"))
  var maxSize: String?
  @Option(help: ArgumentHelp("The most entries of an archive.", valueName: "number"))
  var maxEntries: Int64?
  @Option(
    help: ArgumentHelp(
      "The most bytes for each compressed one, beyond the first GiB; 0 for any.",
      valueName: "factor"))
  var maxExpansion: Int64?

  func limits() throws(Failure) -> ArchiveLimits {
    var limits = ArchiveLimits()
    if let maxSize { limits.bytes = try Self.bytes(maxSize) }
    if let maxEntries {
      guard maxEntries > 0 else { throw Self.wrong("--max-entries") }
      limits.entries = maxEntries
    }
    if let maxExpansion {
      guard maxExpansion >= 0 else { throw Self.wrong("--max-expansion") }
      limits.expansion = maxExpansion == 0 ? .max : maxExpansion
    }
    return limits
  }

  private static func wrong(_ option: String) -> Failure {
    Failure(.usage, "\(option) is out of range", advice: "give a positive number")
  }

  private static func bytes(_ text: String) throws(Failure) -> Int64 {
    let units: [Character: Int64] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
    let unit = text.last.flatMap { units[Character($0.lowercased())] }
    let digits = unit == nil ? text[...] : text.dropLast()
    guard let number = Int64(digits), number > 0 else { throw wrong("--max-size") }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
    return overflow ? .max : bytes
  }
}
