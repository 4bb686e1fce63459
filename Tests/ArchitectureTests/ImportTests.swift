import Foundation
import Testing

/// Imports run downward only. Each row is all that a module may import of the package and of the
/// system; docs/architecture.md has the picture.
let allowedImports: [String: Set<String>] = [
  "SystemCalls": ["CSystemCalls", "Glibc", "SystemPackage", "Synchronization"],
  "FUSE": ["CFuse", "SystemCalls", "SystemPackage", "Synchronization"],
  "UnionCore": ["SystemCalls", "SystemPackage", "Synchronization"],
  "UnionFS": ["FUSE", "UnionCore", "SystemCalls", "SystemPackage", "Synchronization"],
  "JSONValue": ["FoundationEssentials"],
  "ImageArchive": [
    "CArchive", "JSONValue", "UnionCore", "SystemCalls", "SystemPackage", "Synchronization",
    "Crypto",
  ],
  "Dockerfile": ["JSONValue", "UnionCore"],
  "LayerStore": ["JSONValue", "UnionCore", "SystemCalls", "SystemPackage", "Synchronization"],
  "UnionFSCommand": [
    "UnionFS", "UnionCore", "FUSE", "SystemCalls", "SystemPackage", "Synchronization",
    "LayerStore", "ImageArchive", "JSONValue", "Dockerfile", "ArgumentParser", "Logging",
  ],
  "unionfs-swift": ["UnionFSCommand"],
]

/// The same for the package in Snapshotter/, of which the main package knows nothing. Only what is
/// generated from the protocol may have gRPC's and Protobuf's own ways; only the store's metadata SQLite's.
let allowedSnapshotterImports: [String: Set<String>] = [
  "ContainerdAPI": ["Foundation", "GRPCCore", "GRPCProtobuf", "SwiftProtobuf"],
  "SnapshotStore": [
    "GRDB", "Logging", "Synchronization", "SystemCalls", "SystemPackage", "UnionCore",
  ],
  "SnapshotService": [
    "ContainerdAPI", "GRPCCore", "GRPCNIOTransportHTTP2", "Logging", "NIOCore", "NIOPosix",
    "SnapshotStore", "SwiftProtobuf", "SystemCalls", "SystemPackage", "UnionCore",
  ],
  "unionfs-swift-snapshotter": [
    "ArgumentParser", "Logging", "SnapshotService", "SnapshotStore", "Synchronization",
    "SystemCalls", "SystemPackage", "UnionCore",
  ],
]

@Suite struct ImportTests {
  static let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  static let sources = repository.appending(path: "Sources")

  @Test func theSnapshottersImportsRunDownwardToo() throws {
    let files = try Self.swiftFiles(Self.repository.appending(path: "Snapshotter/Sources"))
    #expect(files.count > 10)
    for (module, file) in files {
      let allowed = try #require(allowedSnapshotterImports[module], "\(module) is not in the table")
      for imported in imports(in: try String(contentsOf: file, encoding: .utf8)) {
        #expect(
          allowed.contains(imported), "\(module)/\(file.lastPathComponent) imports \(imported)")
      }
    }
  }

  @Test func everyImportRunsDownwardAndSkipsNoWall() throws {
    let files = try Self.swiftFiles()
    #expect(files.count > 10)
    for (module, file) in files {
      guard let allowed = allowedImports[module] else {
        Issue.record("Sources/\(module) is not in the table of import directions")
        continue
      }
      for imported in imports(in: try String(contentsOf: file, encoding: .utf8)) {
        #expect(
          allowed.contains(imported), "\(module)/\(file.lastPathComponent) imports \(imported)")
      }
    }
  }

  @Test(arguments: [
    ("import Glibc", ["Glibc"]),
    ("  public import SystemPackage // why", ["SystemPackage"]),
    ("@testable import A\n@_implementationOnly import B", ["A", "B"]),
    ("@_spi(Internal) @preconcurrency internal import C", ["C"]),
    ("import struct Foundation.URL", ["Foundation"]),
    ("import Foundation.NSFoo; import D", ["Foundation", "D"]),
    ("#if canImport(Glibc)\nimport `Glibc`\n#endif", ["Glibc"]),
    ("// import E\nlet importance = 1\n/* import F */ import G", ["G"]),
    ("@preconcurrency\nimport H", ["H"]),
  ])
  func importLinesAreReadWithAttributesAndAccessLevels(_ text: String, _ modules: [String]) {
    #expect(imports(in: text) == modules)
  }

  static func swiftFiles(_ sources: URL = sources) throws -> [(module: String, file: URL)] {
    let depth = sources.pathComponents.count
    let enumerator = FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)
    return try #require(enumerator).compactMap { $0 as? URL }
      .filter { $0.pathExtension == "swift" }
      .map { ($0.pathComponents[depth], $0) }
  }
}

/// The modules that a file imports, whatever stands before `import`.
func imports(in text: String) -> [String] {
  // A computed property, since Regex is not Sendable.
  let statement =
    /^(?:@\w+(?:\([^)]*\))?\s*)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:typealias|struct|class|enum|protocol|let|var|func)\s+)?`?(\w+)/
  let withoutComments = text.replacing(/\/\*(?s:.*?)\*\//, with: " ")
  return withoutComments.split(whereSeparator: { $0.isNewline || $0 == ";" }).compactMap { line in
    let code = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)
    let trimmed = code.first.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
    return trimmed.firstMatch(of: statement).map { String($0.1) }
  }
}
