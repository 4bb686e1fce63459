internal import UnionCore

/// Sees a tar's bytes as they are read and tells headers and padding from file content. Writes tar-split's
/// file, where it is wanted.
///
/// What libarchive has read ahead waits in a queue until it is known what it is: everything before an
/// entry's data is a segment; its data are too, unless they are a file's content as it is on disk.
final class ArchiveRecorder {
  /// Whether the last entry's headers have a character that conversion may drop from a name.
  private(set) var hasTagCharacters = false

  private var isInHeader = false
  /// The last three bytes of the headers.
  private var window: UInt32 = 0
  private unowned let reader: TarReader
  private let output: Output?
  private var queue: [UInt8] = []
  /// Used up of the queue.
  private var head = 0
  /// Where in the archive the queue's head lies.
  private var position: Int64 = 0
  /// Bytes of a file's content that are still to come.
  private var content: Int64 = 0
  private var file: File?

  private struct File {
    var size: Int64
    var checksum = Checksum64()
  }

  /// tar-split's file.
  private final class Output {
    let sink: CompressingSink
    var position = 0
    init(_ sink: CompressingSink) { self.sink = sink }

    func add(_ entry: TarSplitEntry) throws(Failure) {
      try sink.write(entry.line(position: position))
      position += 1
    }
  }

  init(_ reader: TarReader, tarData: (any ByteSink)?) throws(Failure) {
    self.reader = reader
    if let tarData {
      output = Output(try CompressingSink(tarData, .gzip, level: 1))
    } else {
      output = nil
    }
  }

  // MARK: What the reader tells

  func read(_ block: UnsafeRawBufferPointer) throws(Failure) {
    let dropped = Int(min(content, Int64(block.count)))
    if dropped > 0 {
      // The queue is empty then.
      content -= Int64(dropped)
      position += Int64(dropped)
    }
    if file == nil { try flush(to: reader.position) }
    queue.append(contentsOf: block[dropped...])
  }

  /// The next bytes are an entry's headers, or padding before them.
  func beginHeader() {
    hasTagCharacters = false
    window = 0
    isInHeader = true
  }

  /// An entry's headers end there; its data follow.
  func header(to end: Int64) throws(Failure) {
    try flush(to: end)
    isInHeader = false
  }

  /// U+E0000 to U+E007F, which iconv drops without a word.
  private func lookForTags(_ bytes: ArraySlice<UInt8>) {
    for byte in bytes {
      window = (window << 8 | UInt32(byte)) & 0xFF_FFFF
      if window & 0xFF_FFFE == 0xF3_A080 { hasTagCharacters = true }
    }
  }

  // MARK: What the extractor tells

  /// The entry's data are a file's content, which `update` sees.
  func beginFile(size: Int64) {
    file = File(size: size)
    let waiting = Int64(queue.count - head)
    let dropped = min(size, waiting)
    drop(Int(dropped))
    content = size - dropped
  }

  func update(_ bytes: UnsafeRawBufferPointer) {
    if output != nil { file?.checksum.update(bytes) }
  }

  func endEntry(_ name: UnsafePointer<CChar>) throws(Failure) {
    defer { file = nil }
    guard let output else { return }
    let checksum = file?.checksum.bytes ?? []
    try output.add(.file(name: bytes(of: name), size: file?.size ?? 0, checksum: checksum))
  }

  /// After the last block.
  func finish() throws(Failure) {
    try flush(to: .max)
    try output?.sink.close()
  }

  // MARK: The queue

  private func drop(_ count: Int) {
    head += count
    position += Int64(count)
    if head == queue.count {
      queue.removeAll(keepingCapacity: true)
      head = 0
    } else if head > 1 << 20 {
      queue.removeSubrange(..<head)
      head = 0
    }
  }

  /// Everything before a place is a segment.
  private func flush(to end: Int64) throws(Failure) {
    while position < end && head < queue.count {
      let count = Int(min(end - position, Int64(queue.count - head), 1 << 20))
      if isInHeader { lookForTags(queue[head..<(head + count)]) }
      try output?.add(.segment(Array(queue[head..<(head + count)])))
      drop(count)
    }
  }
}
