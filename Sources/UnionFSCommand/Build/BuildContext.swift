internal import Dockerfile
internal import ImageArchive
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Files that COPY and ADD take from: the build's directory, or the root of an image.
final class BuildContext {
  let root: CInt
  /// What messages call it.
  let name: String
  let ignored: IgnoreFile
  private let real: FilePath?

  /// - Parameter ignored: what of it nobody sees.
  init(_ path: FilePath, name: String, ignored: IgnoreFile = IgnoreFile()) throws(Failure) {
    do throws(Errno) {
      root = try FileSystemCall.open(path: path, OpenFlag.readOnly | OpenFlag.directory)
      real = try? Invocation.realPath(path)
    } catch { throw Disk.failure(error, "\(name) \(path)") }
    self.name = name
    self.ignored = ignored
  }

  deinit { FileSystemCall.close(root) }

  /// An entry: its names from the root down.
  typealias Entry = [[UInt8]]

  /// What a source names: every match of its wildcards, sorted. A source never leads out of the root.
  func entries(of source: String) throws(Failure) -> [Entry] {
    var found: [Entry] = [[]]
    for part in source.utf8.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8)
    {
      if part.elementsEqual("..".utf8) {
        found = found.map { Array($0.dropLast()) }
        continue
      }
      found = try step(Array(part), from: found)
    }
    found = found.filter { $0.isEmpty || !ignored.leavesOut($0) || holdsShown($0) }
    if found.isEmpty {
      throw Failure(
        .missingInput, "\(source) is not in \(name)",
        advice: ignored.isEmpty ? "" : "see what .dockerignore leaves out")
    }
    return found
  }

  private func step(_ part: [UInt8], from places: [Entry]) throws(Failure) -> [Entry] {
    let isPattern = part.contains { "*?[\\".utf8.contains($0) }
    var found: [Entry] = []
    for place in places {
      if !isPattern {
        if status(place + [part]) != nil { found.append(place + [part]) }
        continue
      }
      guard let directory = try? open(place, OpenFlag.readOnly | OpenFlag.directory) else {
        continue
      }
      defer { FileSystemCall.close(directory) }
      for name in try TreeCopy.names(directory, place)
      where IgnoreFile.matchName(part[...], name[...]) {
        found.append(place + [name])
      }
    }
    return found
  }

  /// Whether a directory that is left out has something in it that is not.
  private func holdsShown(_ entry: Entry) -> Bool {
    ignored.hasExceptions && status(entry)?.isDirectory ?? false
  }

  /// What is at an entry, a final link followed; nil where nothing is.
  func status(_ entry: Entry) -> Attributes? {
    guard let descriptor = try? open(entry, OpenFlag.path) else { return nil }
    defer { FileSystemCall.close(descriptor) }
    return try? FileSystemCall.status(of: descriptor)
  }

  /// Opens an entry; links are looked up as if the root were `/`.
  func open(_ entry: Entry, _ flags: CInt) throws(Errno) -> CInt {
    let path = entry.isEmpty ? Array(".".utf8) : Array(entry.joined(separator: [0x2F]))
    return try FileSystemCall.open(inRoot: root, TreeCopy.cName(path), flags)
  }

  /// The entry that a final link stands for, and the directory that holds it.
  func resolved(_ entry: Entry) throws(Failure) -> (entry: Entry, parent: CInt) {
    do throws(Errno) {
      var entry = entry
      let descriptor = try open(entry, OpenFlag.path)
      defer { FileSystemCall.close(descriptor) }
      if let real, let path = ProcessTable.link(FilePath("/proc/self/fd/\(descriptor)")) {
        let (bytes, prefix) = (path.pathBytes, real.pathBytes)
        if bytes.starts(with: prefix + [UInt8(ascii: "/")]) {
          entry = bytes.dropFirst(prefix.count).split(separator: UInt8(ascii: "/")).map(Array.init)
        }
      }
      return (entry, try open(Array(entry.dropLast()), OpenFlag.path | OpenFlag.directory))
    } catch { throw Failure(.failed, "\(TreeCopy.text(entry)) cannot be read: \(error)") }
  }
}
