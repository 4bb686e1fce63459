internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// tar-split: what of a layer's tar is not file content, so that the very same bytes can be made again from
/// the layer's directory (github.com/vbatts/tar-split, as Docker from 1.8 on keeps it). `Layer.extract`
/// writes it.
public enum TarSplit {
  /// Writes the tar that a layer came as. A file that has changed since is an error by name.
  ///
  /// - Parameters:
  ///   - tarData: the file, compressed.
  ///   - name: what messages call the layer.
  ///   - directory: the layer's, readable; it stays the caller's.
  public static func reassemble(
    _ tarData: any ByteSource, name: String, directory: CInt, to sink: any ByteSink,
    watch: Watch = Watch()
  ) throws(Failure) {
    let assembler = TarAssembler(name: name, directory, sink, watch)
    let lines = try LineReader(tarData, name: "\(name)'s tar-data")
    while let line = try lines.next() {
      guard let entry = TarSplitEntry(line) else {
        throw .malformed("\(name)'s tar-data: line \(lines.number) is damaged")
      }
      try assembler.add(entry)
    }
  }
}

private final class TarAssembler {
  private let name: String
  private let trail: DirectoryTrail
  private let sink: any ByteSink
  private let watch: Watch
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)

  init(name: String, _ directory: CInt, _ sink: any ByteSink, _ watch: Watch) {
    self.name = name
    self.sink = sink
    self.watch = watch
    trail = DirectoryTrail(root: directory)
  }

  deinit { room.deallocate() }

  func add(_ entry: TarSplitEntry) throws(Failure) {
    try watch.pause()
    switch entry {
    case .segment(let bytes): try sink.write(bytes)
    case .file(_, 0, _): break
    case .file(let path, let size, let checksum): try copy(path, size, checksum)
    }
  }

  private func changed(_ path: [UInt8], _ what: String) -> Failure {
    Failure(
      .failed, "\(name): \(shown(path)) \(what), so the tar that it came in cannot be made again",
      advice: "the layer was changed since it was loaded")
  }

  private func copy(_ path: [UInt8], _ size: Int64, _ checksum: [UInt8]) throws(Failure) {
    let file = try open(path)
    defer { FileSystemCall.close(file) }
    let status = try system("\(name): \(shown(path)) cannot be read") { () throws(Errno) in
      try FileSystemCall.status(of: file)
    }
    guard status.isRegular, status.size == size else { throw changed(path, "has another size") }
    var sum = Checksum64()
    var offset: Int64 = 0
    while offset < size {
      try watch.pause()
      let wanted = Int(min(Int64(room.count), size - offset))
      let part = UnsafeMutableRawBufferPointer(rebasing: room[..<wanted])
      let count = try system("\(name): \(shown(path)) cannot be read") { () throws(Errno) in
        try FileSystemCall.read(file, into: part, at: offset)
      }
      if count == 0 { throw changed(path, "became shorter") }
      let bytes = UnsafeRawBufferPointer(rebasing: part[..<count])
      sum.update(bytes)
      try sink.write(bytes)
      offset += Int64(count)
    }
    guard sum.bytes == checksum else { throw changed(path, "has another content") }
  }

  private func open(_ bytes: [UInt8]) throws(Failure) -> CInt {
    let text = bytes.map { CChar(bitPattern: $0) } + [0]
    let path = text.withUnsafeBufferPointer { try? EntryPath($0.baseAddress.unsafelyUnwrapped) }
    guard let path, !path.isRoot else {
      throw .malformed("\(name)'s tar-data names \(shown(bytes)), which is no file of the layer")
    }
    do throws(Errno) {
      let directory = try trail.open(path, count: path.count - 1)
      return try path.withPart(path.count - 1) { (last) throws(Errno) in
        try FileSystemCall.open(
          at: directory, last, OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking)
      }
    } catch {
      switch error {
      case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels:
        throw changed(bytes, "is missing")
      default: throw .system("\(name): \(shown(bytes)) cannot be read", error)
      }
    }
  }
}

/// Lines of a compressed file.
private final class LineReader {
  private static let limit = 1 << 26

  private let decoder: any Decoder
  private let name: String
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
  private var buffer: [UInt8] = []
  private var start = 0
  private(set) var number = 0

  init(_ source: any ByteSource, name: String) throws(Failure) {
    self.name = name
    let peeked = try PeekedSource(source, count: Compression.prefixLength)
    decoder = try makeDecoder(of: peeked, name: name).0
  }

  deinit { room.deallocate() }

  /// Without its newline; nil at the end.
  func next() throws(Failure) -> ArraySlice<UInt8>? {
    var searched = start
    while true {
      if let end = buffer[searched...].firstIndex(of: 0x0A) {
        let line = buffer[start..<end]
        start = end + 1
        number += 1
        return line
      }
      searched = buffer.count
      if searched - start > Self.limit { throw .malformed("\(name): a line is too long") }
      let used = start
      buffer.removeSubrange(..<used)
      start = 0
      searched -= used
      let count = try decoder.read(into: room)
      if count == 0 { break }
      buffer.append(contentsOf: room[..<count])
    }
    // The last line may lack its newline.
    guard !buffer.isEmpty else { return nil }
    let line = buffer[...]
    buffer = []
    number += 1
    return line
  }
}
