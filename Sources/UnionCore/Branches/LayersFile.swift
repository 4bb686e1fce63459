/// Docker's `layers/<id>`: the parents of a layer, one id a line, nearest first, without the layer
/// itself; blank lines are ignored and an empty file is a base layer's.
///
/// As Docker's own reader has it, the last line needs no newline and a line may end in CR LF.
public struct LayersFile: Sendable, Equatable {
  /// More than this is no layers file: 16,000 parents of Docker's length.
  public static let byteLimit = 1 << 20

  /// A parent and the line (from 1) that names it.
  public struct Parent: Sendable, Equatable {
    public let id: LayerID
    public let line: Int
  }

  public let id: LayerID
  public let parents: [Parent]

  /// Reads the bytes of `layers/<id>`. `path` is what the errors call the file.
  public init(
    _ bytes: [UInt8], of id: LayerID, path: String
  ) throws(Failure) {
    if bytes.count > Self.byteLimit { throw Self.tooLarge(path) }
    var parents: [Parent] = []
    var lines: [LayerID: Int] = [:]
    var number = 0
    for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      let name = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      if name.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) { continue }
      let parent = try Self.parse(name, path: path, line: number)
      if parent == id { throw Self.cycle(path, number, "names the layer itself, '\(id)'") }
      if let first = lines[parent] {
        throw Self.malformed(
          path, number, "repeats the layer '\(parent)' of line \(first)", "remove one of the two")
      }
      lines[parent] = number
      parents.append(Parent(id: parent, line: number))
    }
    self.id = id
    self.parents = parents
  }

  static func parse(
    _ name: some Collection<UInt8>, path: String, line: Int
  ) throws(Failure) -> LayerID {
    do {
      return try LayerID(name)
    } catch {
      throw malformed(
        path, line, "'\(printable(name))' is not a layer's name: \(error.explanation)",
        "a layers file has one parent id a line")
    }
  }

  /// The refusal of a file that is larger than `byteLimit`; a reader need not read it whole.
  public static func tooLarge(_ path: String) -> Failure {
    Failure(
      .malformedInput, "\(path) is larger than \(byteLimit) bytes, so it is no layers file",
      advice: "name ROOT/layers/ID, not the layer's content")
  }

  static func cycle(_ path: String, _ line: Int, _ what: String) -> Failure {
    malformed(path, line, "\(what): a cycle", "a layers file lists a layer's parents only")
  }

  static func malformed(
    _ path: String, _ line: Int, _ what: String, _ advice: String
  ) -> Failure {
    Failure(.malformedInput, "\(path) line \(line): \(what)", advice: advice)
  }
}

/// Bytes for a message: one line, at most 80 characters, control characters as `\ooo`.
func printable(_ bytes: some Collection<UInt8>) -> String {
  let shown = OctalEscape.escape(bytes.prefix(80), where: { $0 < 0x20 || $0 == 0x7F })
  return String(decoding: shown, as: UTF8.self) + (bytes.count > 80 ? "…" : "")
}
