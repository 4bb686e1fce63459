internal import SystemCalls
internal import SystemPackage

/// What an inode table holds, read without changing it.
struct InodeTableSurvey: Sendable, Equatable {
  enum Condition: Sendable, Equatable {
    case sound
    /// Of another program or version.
    case foreign
    /// From this offset on, in bytes, nothing can be read.
    case torn(at: Int64)
  }

  var condition = Condition.sound
  /// The union's number, and the birth time, of each inode of the top branch.
  var origins: [UInt64: (birth: Int64, number: UInt64)] = [:]
  var links: [UInt64: UInt64] = [:]

  static func == (a: InodeTableSurvey, b: InodeTableSurvey) -> Bool {
    a.condition == b.condition && a.links == b.links
      && a.origins.mapValues(\.number) == b.origins.mapValues(\.number)
      && a.origins.mapValues(\.birth) == b.origins.mapValues(\.birth)
  }

  /// - Parameter read: fills a buffer from an offset; 0 at the end.
  init(
    size: Int64,
    read: (UnsafeMutableRawBufferPointer, Int64) throws(Errno) -> Int
  ) throws(Errno) {
    var head = [UInt8](repeating: 0, count: InodeTable.magic.count)
    var count = try head.withMutableBytes { room throws(Errno) in try read(room, 0) }
    // One that was being made.
    if count == 0 { return }
    guard count == head.count, head == InodeTable.magic else {
      condition = .foreign
      return
    }
    var offset = Int64(count)
    var piece = [UInt8](repeating: 0, count: InodeTable.recordSize * 4096)
    repeat {
      count = try piece.withMutableBytes { room throws(Errno) in try read(room, offset) }
      var taken = 0
      while taken + InodeTable.recordSize <= count {
        let record = piece.withUnsafeBytes { InodeTable.Record($0, at: taken) }
        guard let record else { break }
        apply(record)
        taken += InodeTable.recordSize
      }
      offset += Int64(taken)
      if taken < piece.count { break }
    } while true
    if offset != size { condition = .torn(at: offset) }
  }

  private mutating func apply(_ record: InodeTable.Record) {
    switch record.kind {
    case .origin: origins[record.a] = (Int64(bitPattern: record.b), record.c)
    case .forget: origins[record.a] = nil
    case .links: links[record.a] = record.b == 0 ? nil : record.b
    // Made up for at the next mount.
    case .pending, .markers: break
    }
  }
}
