import CCounters
import Glibc

/// Times UnionCore's rules, and prints a Markdown table. With an argument: only what holds it.
@main enum Micro {
  static func main() throws {
    let filter = CommandLine.arguments.dropFirst().first ?? ""
    let disks = [1, 8, 128].compactMap(DiskBranches.init)
    defer { for disk in disks { disk.remove() } }
    let all =
      nameBenchmarks() + ruleBenchmarks() + disks.flatMap(diskBenchmarks) + indexBenchmarks()
      + mergeBenchmarks()
    print("| One operation | ns | fastest–slowest | allocations | bytes | retains | releases |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for benchmark in all where filter.isEmpty || benchmark.name.contains(filter) {
      print(row(benchmark.name, try benchmark.measure()))
      fflush(nil)
    }
  }

  private static func row(_ name: String, _ result: Measurement) -> String {
    let references = counters_sees_references() != 0
    let cells = [
      name, text(result.median), "\(text(result.fastest))–\(text(result.slowest))",
      text(result.allocations), text(result.bytes), references ? text(result.retains) : "unknown",
      references ? text(result.releases) : "unknown",
    ]
    return "| \(cells.joined(separator: " | ")) |"
  }

  /// Three digits or a little more; 0 is exact.
  private static func text(_ value: Double) -> String {
    if value == value.rounded() || value >= 100 { return "\(Int(value.rounded()))" }
    let scale = value >= 10 ? 10.0 : value >= 1 ? 100.0 : 10000.0
    return "\((value * scale).rounded() / scale)"
  }
}
