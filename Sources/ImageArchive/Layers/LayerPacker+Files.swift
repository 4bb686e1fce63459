internal import SystemCalls
internal import SystemPackage
internal import UnionCore

extension LayerPacker {
  private static var seekData: CInt { 3 }
  private static var seekHole: CInt { 4 }

  /// A regular file with its data, without its holes.
  func packFile(
    _ name: CName, in directory: CInt, _ attributes: Attributes, _ header: TarHeader
  ) throws(Failure) {
    var header = header
    let path = header.path
    let (sum, overflow) = size.addingReportingOverflow(attributes.size)
    if overflow { throw Failure(.failed, "\(shown(path)): the sizes of the files are too large") }
    size = sum
    header.size = attributes.size
    let file = try open(name, in: directory, path)
    defer { FileSystemCall.close(file) }
    try check(file, attributes, path)
    header.data = try read(path) { () throws(Errno) in
      try Self.data(of: file, size: attributes.size)
    }
    try begin(header)
    var end: Int64 = 0
    for range in header.data ?? [0..<attributes.size] {
      try writeHole(range.lowerBound - end)
      try writeData(of: file, range, path)
      end = range.upperBound
    }
    // The map of a file that is a hole only is written with the first zeros.
    if end == 0 && header.data != nil { try writeHole(min(attributes.size, Int64(zeros.count))) }
    try writer.endEntry()
    try check(file, attributes, path)
  }

  /// Only what is a regular file is opened, without waiting and without a new time of access.
  private func open(_ name: CName, in directory: CInt, _ path: [UInt8]) throws(Failure) -> CInt {
    try read(path) { () throws(Errno) in
      let flags = OpenFlag.readOnly | OpenFlag.noFollow | OpenFlag.nonBlocking
      do throws(Errno) {
        return try FileSystemCall.open(at: directory, name, flags | OpenFlag.noAccessTime)
      } catch {
        guard error == .notPermitted else { throw error }
        return try FileSystemCall.open(at: directory, name, flags)
      }
    }
  }

  /// Throws where the file is no more what it was.
  private func check(_ file: CInt, _ before: Attributes, _ path: [UInt8]) throws(Failure) {
    let now = try read(path) { () throws(Errno) in try FileSystemCall.status(of: file) }
    guard now.inode == before.inode, now.size == before.size, now.modified == before.modified,
      now.changed == before.changed
    else { throw changed(path) }
  }

  /// Where a file's data lie; nil where it has no hole.
  private static func data(of file: CInt, size: Int64) throws(Errno) -> [Range<Int64>]? {
    guard let first = try? FileSystemCall.seek(file, 0, whence: seekHole), first < size else {
      return nil
    }
    var ranges: [Range<Int64>] = []
    var offset: Int64 = 0
    while offset < size {
      let start: Int64
      do throws(Errno) { start = try FileSystemCall.seek(file, offset, whence: seekData) } catch {
        // Only a hole is left.
        if error == .noSuchAddressOrDevice { break }
        throw error
      }
      if start >= size { break }
      let end = min(try FileSystemCall.seek(file, start, whence: seekHole), size)
      // A file that is cut off meanwhile; the check after it tells.
      guard start >= offset, end > start else { break }
      ranges.append(start..<end)
      offset = end
    }
    return ranges
  }

  /// The writer wants a hole's zeros and leaves them out.
  private func writeHole(_ count: Int64) throws(Failure) {
    var rest = count
    while rest > 0 {
      let part = Int(min(rest, Int64(zeros.count)))
      try writer.write(UnsafeRawBufferPointer(rebasing: zeros[..<part]))
      rest -= Int64(part)
    }
  }

  private func writeData(
    of file: CInt, _ range: Range<Int64>, _ path: [UInt8]
  ) throws(Failure) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let wanted = Int(min(Int64(buffer.count), range.upperBound - offset))
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
      let count = try read(path) { () throws(Errno) in
        try FileSystemCall.read(file, into: room, at: offset)
      }
      if count == 0 { throw changed(path) }
      try writer.write(UnsafeRawBufferPointer(rebasing: room[..<count]))
      offset += Int64(count)
      try pause()
    }
  }
}
