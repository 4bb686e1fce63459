public import Foundation
public import SystemPackage

/// A folder of a test's own, gone with it.
public final class Scratch: Sendable {
  public let url: URL

  public init() throws {
    let base = URL(filePath: "/var/tmp/unionfs-snapshotter-test.\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: base, withIntermediateDirectories: false)
    url = base
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  public func path(_ name: String) -> FilePath { FilePath(url.appending(path: name).path) }

  /// The names in a folder, sorted; none where it is not there.
  public func names(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path(folder).string)) ?? []).sorted()
  }

  public func make(_ folder: String) throws {
    try FileManager.default.createDirectory(
      at: url.appending(path: folder), withIntermediateDirectories: true)
  }

  public func write(_ text: String, to file: String) throws {
    try Data(text.utf8).write(to: url.appending(path: file))
  }

  public func text(_ file: String) -> String? {
    (try? Data(contentsOf: url.appending(path: file))).map { String(decoding: $0, as: UTF8.self) }
  }

  public func exists(_ name: String) -> Bool { (try? attributes(name)) != nil }

  /// The attributes of the name itself.
  public func attributes(_ name: String) throws -> [FileAttributeKey: Any] {
    try FileManager.default.attributesOfItem(atPath: path(name).string)
  }

  public func mode(_ name: String) throws -> Int? {
    (try attributes(name)[.posixPermissions] as? NSNumber)?.intValue
  }
}
