// swift-tools-version:6.2
import PackageDescription

// Imports run downward only; Tests/ArchitectureTests reads the import lines and fails on one that
// does not. See docs/architecture.md.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
  name: "unionfs-swift",
  products: [
    .executable(name: "unionfs-swift", targets: ["unionfs-swift"]),
    .library(name: "UnionCore", targets: ["UnionCore"]),
    // For the packages in Fuzz/ and Snapshotter/.
    .library(name: "SystemCalls", targets: ["SystemCalls"]),
    .library(name: "UnionFSCommand", targets: ["UnionFSCommand"]),
    .library(name: "ImageArchive", targets: ["ImageArchive"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
  ],
  targets: [
    // C: libfuse's low-level API, and the GNU-only system calls behind plain prototypes.
    .target(
      name: "CFuse", path: "CFuse", cSettings: [.treatAllWarnings(as: .error)],
      linkerSettings: [.linkedLibrary("fuse3")]),
    .target(name: "CSystemCalls", cSettings: [.treatAllWarnings(as: .error)]),

    .target(name: "SystemCalls", dependencies: ["CSystemCalls", system], swiftSettings: strict),
    .target(name: "FUSE", dependencies: ["CFuse", "SystemCalls", system], swiftSettings: strict),
    .target(name: "UnionCore", dependencies: ["SystemCalls", system], swiftSettings: strict),
    .target(
      name: "UnionFS", dependencies: ["FUSE", "UnionCore", "SystemCalls", system],
      swiftSettings: strict),

    // Images: what they are as JSON, as archives, and on disk. The two latter do not know each other.
    .target(name: "JSONValue", swiftSettings: strict),
    .target(
      name: "CArchive", cSettings: [.treatAllWarnings(as: .error)],
      // Static: the mount must not load a dozen libraries at its start that it never uses.
      linkerSettings: [":libarchive.a", ":liblzma.a", ":libzstd.a", ":libbz2.a", ":libz.a"].map {
        .linkedLibrary($0)
      }),
    .target(
      name: "ImageArchive",
      dependencies: [
        "CArchive", "JSONValue", "UnionCore", "SystemCalls", system,
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: strict),
    .target(name: "Dockerfile", dependencies: ["JSONValue", "UnionCore"], swiftSettings: strict),
    .target(
      name: "LayerStore", dependencies: ["JSONValue", "UnionCore", "SystemCalls", system],
      swiftSettings: strict),

    .target(
      name: "UnionFSCommand",
      dependencies: [
        "UnionFS", "UnionCore", "FUSE", "SystemCalls", "LayerStore", "ImageArchive", "JSONValue",
        "Dockerfile", system,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      // Into the binary, which is one file.
      resources: ["page.html", "page.css", "model.js", "history.js", "map.js", "search.js"].map {
        .embedInCode("Layers/Page/\($0)")
      },
      swiftSettings: strict),
    .executableTarget(
      name: "unionfs-swift", dependencies: ["UnionFSCommand"], swiftSettings: strict),

    .target(name: "CTestCalls", path: "Tests/CTestCalls"),
    .target(
      name: "TestSupport", dependencies: ["CTestCalls"], path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "UnionCoreTests", dependencies: ["UnionCore", "SystemCalls", "TestSupport", system],
      swiftSettings: strict),
    .testTarget(
      name: "UnionFSTests", dependencies: ["FUSE", "UnionFS", "UnionCore", "SystemCalls", system],
      swiftSettings: strict),
    .testTarget(
      name: "ImageArchiveTests",
      dependencies: [
        "ImageArchive", "JSONValue", "UnionCore", "SystemCalls", "TestSupport", system,
      ],
      swiftSettings: strict),
    .testTarget(
      name: "DockerfileTests", dependencies: ["Dockerfile", "UnionCore"], swiftSettings: strict),
    .testTarget(
      name: "LayerStoreTests",
      dependencies: ["LayerStore", "JSONValue", "UnionCore", "SystemCalls", "TestSupport", system],
      swiftSettings: strict),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "UnionFSCommand", "UnionFS", "UnionCore", "SystemCalls", "TestSupport", "unionfs-swift",
        system,
      ],
      swiftSettings: strict),
    .testTarget(name: "MountTests", dependencies: ["TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "StoreTests", dependencies: ["TestSupport", "unionfs-swift"], swiftSettings: strict),
    .testTarget(name: "FaultTests", dependencies: ["TestSupport"], swiftSettings: strict),
    .testTarget(name: "ArchitectureTests", dependencies: ["TestSupport"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
