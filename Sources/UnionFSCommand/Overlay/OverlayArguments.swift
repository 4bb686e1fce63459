internal import UnionCore

/// The words of a fuse-overlayfs command line. Options may stand before and after the operands, and `-o`
/// may come several times; it is no table of this program's own options, so that what a client passes
/// and nobody knows is no error.
struct OverlayArguments: Equatable {
  /// What follows each `-o`.
  var optionLists: [[UInt8]] = []
  /// The last operand. One before it is a source, as mount(8) passes it.
  var mountPoint: [UInt8]?
  var isInForeground = false
  var isDebugging = false
  var wantsHelp = false
  var wantsVersion = false
  /// For the log: what was not understood.
  var warnings: [String] = []

  init(_ words: [CommandArgument]) throws(Failure) {
    var operands: [[UInt8]] = []
    var index = 0
    while index < words.count {
      let word = words[index].bytes
      index += 1
      if word.elementsEqual("--".utf8) {
        operands += words[index...].map(\.bytes)
        break
      }
      if word.elementsEqual("-o".utf8) {
        guard index < words.count else {
          throw Failure(.usage, "-o has no options", advice: "write -o lowerdir=DIR")
        }
        optionLists.append(words[index].bytes)
        index += 1
      } else if word.starts(with: "-o".utf8) {
        optionLists.append(Array(word.dropFirst(2)))
      } else if word.first == UInt8(ascii: "-"), word.count > 1 {
        take(option: String(decoding: word, as: UTF8.self))
      } else {
        operands.append(word)
      }
    }
    mountPoint = operands.last
    if operands.count > 2 {
      throw Failure(
        .usage, "'\(Text.printable(operands[2]))' is one operand too many",
        advice: "the operands are a source, which means nothing, and the mount point")
    }
  }

  private mutating func take(option: String) {
    switch option {
    case "-f": isInForeground = true
    case "-d", "--debug":
      isDebugging = true
      isInForeground = true
    case "-h", "--help": wantsHelp = true
    case "-V", "--version": wantsVersion = true
    // libfuse's: one thread. As many as are of use are anyway.
    case "-s": break
    default:
      warnings.append("'\(Text.printable(Array(option.utf8)))' is unknown and ignored")
    }
  }
}
