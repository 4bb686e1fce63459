internal import Glibc

/// A layer's tar as a program wrote it whose order and padding are not ours, and what a Docker keeps of it.
public struct LayerTar {
  public let tar: Path
  /// `sha256:…` of the tar.
  public let diffID: String
  /// Tar-split's description, compressed.
  public let tarSplit: Path
  /// Bytes of the files' content.
  public let size: Int

  /// Makes the tar of a folder, its names from last to first.
  ///
  /// - Parameter place: what the files are called, without an ending.
  public init(of folder: Path, _ place: Path) throws {
    tar = Path("\(place).tar")
    let nodes = try walk(folder)
    // A directory comes before what is in it, as it must.
    let order = nodes.map { "\($0.path)".split(separator: "/").map { String($0) } }.sorted {
      one, other in
      guard let index = zip(one, other).enumerated().first(where: { $1.0 != $1.1 })?.offset else {
        return one.count < other.count
      }
      return one[index] > other[index]
    }
    try shell(
      ["tar", "--format=gnu", "--no-recursion", "-b", "40", "-C", "\(folder)", "-cf", "\(tar)"]
        + order.map { "./" + $0.joined(separator: "/") })
    diffID = "sha256:" + String(try shell(["sha256sum", "\(tar)"]).prefix(64))
    let lines = Path("\(place).json")
    try lines.write(tarSplitLines(of: try tar.bytesOfFile()))
    try shell(["gzip", "-nf", "\(lines)"])
    tarSplit = Path("\(lines).gz")
    size = nodes.reduce(0) { $0 + ($1.status.kind == .file ? Int($1.status.size) : 0) }
  }
}

@discardableResult
private func shell(_ words: [String]) throws -> String {
  let end = try run(words)
  try end.requireSuccess(words.joined(separator: " "))
  return end.output
}
