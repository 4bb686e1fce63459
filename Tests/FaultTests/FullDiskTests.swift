import Glibc
import TestSupport
import Testing

/// What was acknowledged on a small top branch: path to content.
private typealias Acknowledged = [Path: [UInt8]]

@Suite struct FullDiskTests {
  private static let writers = 4

  /// Four writers until well after the disk is full: new files, appends to lower files (copy-ups),
  /// overwriting, removal. What a write acknowledged reads back, now and after a new mount.
  @Test func aFullTopBranchLosesNoAcknowledgedByte() throws {
    let lower = (0..<Self.writers).flatMap { writer in
      (0..<8).map { Item.file("w\(writer)/low\($0)", bytes: content(writer, $0, 100_000)) }
    }
    try withUnion([.rw().onTmpfs(size: "8m"), .lower(lower)]) { u throws in
      let kept = Shared<Acknowledged>([:])
      let refusals = Shared(0)
      let mnt = u.mnt
      let errors = concurrently(Self.writers) { index in
        var writer = Writer(folder: mnt / "w\(index)", index: index)
        try writer.run()
        let (files, refused) = (writer.files, writer.refusals)
        kept.change { $0.merge(files) { $1 } }
        refusals.change { $0 += refused }
      }
      #expect(errors == [])
      #expect(refusals.now > 20, "the disk was full and stayed so")
      try check(kept.now, in: u, "at once")
      try u.remount()
      try check(kept.now, in: u, "after a new mount")
      #expect(try u.leftovers() == [])
      try roomComesBack(kept.now, in: u)
    }
  }

  private func check(_ files: Acknowledged, in u: Union, _ when: Comment) throws {
    for (path, bytes) in files.sorted(by: { $0.key < $1.key }) {
      let found = try path.bytesOfFile()
      if found == bytes { continue }
      let first = zip(found, bytes).enumerated().first { $1.0 != $1.1 }?.offset
      Issue.record(
        "\(when.rawValue): \(path) has \(found.count) bytes of \(bytes.count), differs at \(first ?? -1)"
      )
    }
    let found = try (0..<Self.writers).map { try (u / "w\($0)").entries().count }
    #expect(found.reduce(0, +) == files.count, when)
  }

  /// On a full disk names can be removed, lower ones too, and there is room again.
  private func roomComesBack(_ files: Acknowledged, in u: Union) throws {
    for path in files.keys { try path.unlink() }
    try (u / "w0/new").write(bytes: content(9, 9, 1 << 20))
    #expect(try (u / "w0/new").bytesOfFile() == content(9, 9, 1 << 20))
  }
}

/// Bytes that tell where they come from, eight at a time.
private func content(_ writer: Int, _ file: Int, _ count: Int) -> [UInt8] {
  var state = UInt64(writer * 1000 + file + 1) &* 0x9e37_79b9_7f4a_7c15
  var bytes = [UInt8](repeating: 0, count: (count + 7) / 8 * 8)
  bytes.withUnsafeMutableBytes { room in
    for offset in stride(from: 0, to: room.count, by: 8) {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      room.storeBytes(of: state, toByteOffset: offset, as: UInt64.self)
    }
  }
  return Array(bytes.prefix(count))
}

/// One process's worth of load; knows what each of its files holds.
private struct Writer {
  let folder: Path
  let index: Int
  var files: Acknowledged = [:]
  var refusals = 0

  mutating func run() throws {
    for number in 0..<8 { files[folder / "low\(number)"] = content(index, number, 100_000) }
    for turn in 0..<120 {
      switch turn % 6 {
      case 0, 1: try writeNew(turn)
      case 2: try append(to: folder / "low\(turn / 6 % 8)", turn)
      case 3: try overwrite(turn)
      case 4: try append(to: oldest(turn), turn)
      default: if turn % 4 == 1 { try remove(turn) }
      }
    }
  }

  private func oldest(_ turn: Int) -> Path {
    let names = files.keys.sorted()
    return names[turn * 7 % names.count]
  }

  private mutating func writeNew(_ turn: Int) throws {
    let path = folder / "new\(turn)"
    do throws(Errno) {
      try path.open(O_WRONLY | O_CREAT | O_EXCL).close()
    } catch { return try refused(error) }
    files[path] = []
    for part in 0..<6 { try append(to: path, turn * 10 + part) }
  }

  private mutating func append(to path: Path, _ turn: Int) throws {
    // It may have been removed.
    guard files[path] != nil else { return }
    let bytes = content(index, turn + 100, 20_000)
    do throws(Errno) {
      let file = try path.open(O_WRONLY | O_APPEND)
      defer { file.close() }
      let count = try file.write(bytes)
      files[path, default: []] += bytes.prefix(count)
    } catch { try refused(error) }
  }

  private mutating func overwrite(_ turn: Int) throws {
    let path = oldest(turn)
    let bytes = content(index, turn + 200, 3000)
    do throws(Errno) {
      let file = try path.open(O_RDWR)
      defer { file.close() }
      let count = try file.write(bytes, at: 1000)
      var old = files[path, default: []]
      if old.count < 1000 + count {
        old += [UInt8](repeating: 0, count: 1000 + count - old.count)
      }
      old.replaceSubrange(1000..<(1000 + count), with: bytes.prefix(count))
      files[path] = old
    } catch { try refused(error) }
  }

  private mutating func remove(_ turn: Int) throws {
    let path = oldest(turn)
    do throws(Errno) { try path.unlink() } catch { return try refused(error) }
    files[path] = nil
  }

  /// ENOSPC is what this is about; anything else is an error.
  private mutating func refused(_ error: Errno) throws(Errno) {
    guard error == .noSpace else { throw error }
    refusals += 1
  }
}
