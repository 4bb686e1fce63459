// swift-tools-version:6.2
import PackageDescription

// A proxy snapshotter for containerd, apart from the main package so that gRPC and SQLite do not reach
// the file system's build. docs/containerd.md is its page; Protos/ is what it speaks, and
// Sources/ContainerdAPI what `generate` makes of that.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let calls: [Target.Dependency] = [
  .product(name: "SystemCalls", package: "unionfs-swift"),
  .product(name: "UnionCore", package: "unionfs-swift"),
  .product(name: "SystemPackage", package: "swift-system"),
]
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let core = Target.Dependency.product(name: "GRPCCore", package: "grpc-swift-2")
let transport = Target.Dependency.product(
  name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

let package = Package(
  name: "Snapshotter",
  products: [
    .executable(name: "unionfs-swift-snapshotter", targets: ["unionfs-swift-snapshotter"])
  ],
  dependencies: [
    .package(name: "unionfs-swift", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
    .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
  ],
  targets: [
    // Generated; not held to `strict`.
    .target(
      name: "ContainerdAPI",
      dependencies: [
        core, protobuf, .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
      ]),

    .target(
      name: "SnapshotStore",
      dependencies: calls + [log, .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),
    .target(
      name: "SnapshotService",
      dependencies: calls + [
        "ContainerdAPI", "SnapshotStore", log, core, transport, protobuf,
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "unionfs-swift-snapshotter",
      dependencies: calls + [
        "SnapshotService", "SnapshotStore", log,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    .target(
      name: "SnapshotTestSupport", dependencies: calls, path: "Tests/SnapshotTestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "SnapshotStoreTests",
      dependencies: calls + ["SnapshotStore", "SnapshotTestSupport", log],
      swiftSettings: strict),
    .testTarget(
      name: "SnapshotServiceTests",
      dependencies: calls + [
        "ContainerdAPI", "SnapshotService", "SnapshotStore", "SnapshotTestSupport",
        "unionfs-swift-snapshotter", log, core, transport, protobuf,
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
