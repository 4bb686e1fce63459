internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Whom a container's process runs as.
struct ContainerUser: Equatable {
  var id: UInt32 = 0
  var group: UInt32 = 0
  /// The groups that /etc/group adds.
  var others: [UInt32] = []
  var home = "/"

  init() {}

  /// `USER[:GROUP]`, each a name or a number, as the root directory's /etc/passwd and /etc/group have it.
  init(_ text: String, root: CInt) throws(Failure) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts.first ?? "")
    let accounts = Self.lines("etc/passwd", root).filter { $0.count >= 6 }
    let groups = Self.lines("etc/group", root).filter { $0.count >= 3 }
    let account = accounts.first { $0[0] == name } ?? accounts.first { $0[2] == name }
    if let account, let id = UInt32(account[2]), let group = UInt32(account[3]) {
      (self.id, self.group, home) = (id, group, account[5].isEmpty ? "/" : account[5])
      others = groups.filter {
        $0.count >= 4 && $0[3].split(separator: ",").contains { $0 == account[0] }
      }
      .compactMap { UInt32($0[2]) }
    } else if name.isEmpty {
      home = "/root"
    } else if let id = UInt32(name) {
      self.id = id
    } else {
      throw Failure(
        .missingInput, "the image has no user '\(name)'", advice: "its /etc/passwd names them")
    }
    if parts.count == 2 { try setGroup(String(parts[1]), groups) }
  }

  private mutating func setGroup(_ name: String, _ groups: [[String]]) throws(Failure) {
    others = []
    let row = groups.first { $0[0] == name } ?? groups.first { $0[2] == name }
    if let found = row.flatMap({ UInt32($0[2]) }) ?? UInt32(name) {
      group = found
    } else {
      throw Failure(
        .missingInput, "the image has no group '\(name)'", advice: "its /etc/group names them")
    }
  }

  /// A file's lines, their fields parted by colons; none where the image has no such file. No link leads
  /// out of the root directory.
  private static func lines(_ path: String, _ root: CInt) -> [[String]] {
    guard let text = RootedFile.text(path, root: root, limit: 16 << 20) else { return [] }
    return text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("#") }.map {
      $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    }
  }
}

/// Files below a root directory, whose links are looked up as if it were `/`.
enum RootedFile {
  /// The content as text; nil where there is no regular file or it is larger than `limit` bytes.
  static func text(_ path: String, root: CInt, limit: Int) -> String? {
    guard
      let raw = try? FileSystemCall.open(
        inRoot: root, path, OpenFlag.readOnly | OpenFlag.nonBlocking)
    else { return nil }
    defer { FileSystemCall.close(raw) }
    guard let status = try? FileSystemCall.status(of: raw), status.isRegular,
      status.size <= limit
    else { return nil }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count <= limit {
      let offset = Int64(bytes.count)
      let count = try? chunk.withMutableBytes { (room) throws(Errno) in
        try FileSystemCall.read(raw, into: room, at: offset)
      }
      guard let count else { return nil }
      if count == 0 { break }
      bytes += chunk.prefix(count)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
