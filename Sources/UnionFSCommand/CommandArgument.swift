internal import ArgumentParser
internal import SystemPackage
internal import UnionCore

/// An argument that names a file: bytes, which need not be UTF-8.
///
/// The argument parser works on strings and Swift repairs what is not UTF-8, so that the name would be
/// lost. `all` spells each such byte as a scalar of the last private-use page; this type reads it back.
struct CommandArgument: ExpressibleByArgument, Equatable {
  let bytes: [UInt8]

  init(bytes: [UInt8]) { self.bytes = bytes }

  init(argument: String) { bytes = Self.decode(argument) }

  /// The path it names, as it was given.
  var path: FilePath { FilePath(bytes: bytes) }

  static var defaultCompletionKind: CompletionKind { .file() }

  var defaultValueDescription: String { Text.printable(bytes) }

  private static let page: UInt32 = 0x10FF00

  /// The process's arguments without its name.
  static var all: [String] {
    var arguments: [String] = []
    for index in 0..<Int(CommandLine.argc) {
      guard index > 0, let argument = CommandLine.unsafeArgv[index] else { continue }
      arguments.append(encode(FilePathBytes.bytes(of: argument)))
    }
    return arguments
  }

  /// The last component of the name by which the process was called.
  static var programName: String {
    guard CommandLine.argc > 0, let name = CommandLine.unsafeArgv[0] else { return "" }
    return FilePath(platformString: name).lastComponent?.string ?? ""
  }

  static func encode(_ bytes: [UInt8]) -> String {
    var text = ""
    var iterator = bytes.makeIterator()
    var parser = Unicode.UTF8.ForwardParser()
    var position = 0
    while true {
      switch parser.parseScalar(from: &iterator) {
      case .valid(let encoded):
        let scalar = Unicode.UTF8.decode(encoded)
        if scalar.value < page {
          text.unicodeScalars.append(scalar)
        } else {
          appendEscaped(bytes[position..<(position + encoded.count)], to: &text)
        }
        position += encoded.count
      case .error(let length):
        appendEscaped(bytes[position..<(position + length)], to: &text)
        position += length
      case .emptyInput: return text
      }
    }
  }

  static func decode(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      if scalar.value >= page {
        bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      } else {
        bytes += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
      }
    }
    return bytes
  }

  private static func appendEscaped(_ bytes: ArraySlice<UInt8>, to text: inout String) {
    for byte in bytes {
      if let scalar = Unicode.Scalar(page + UInt32(byte)) { text.unicodeScalars.append(scalar) }
    }
  }
}

/// The bytes of a C string.
enum FilePathBytes {
  static func bytes(of string: UnsafePointer<CChar>) -> [UInt8] {
    FilePath(platformString: string).pathBytes
  }
}
