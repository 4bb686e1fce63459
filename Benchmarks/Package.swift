// swift-tools-version:6.2
import PackageDescription

// Benchmarks, apart from the main package so that its build does not see them. Sources/Micro times the
// rules of UnionCore; scripts/bench-micro builds and runs it. Mounts/ compares whole file systems and is
// no Swift: scripts/bench runs it.
let package = Package(
  name: "Benchmarks",
  dependencies: [
    .package(name: "unionfs-swift", path: ".."),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .target(name: "CCounters", path: "CCounters"),
    .executableTarget(
      name: "Micro",
      dependencies: [
        "CCounters", .product(name: "UnionCore", package: "unionfs-swift"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")]),
  ],
  swiftLanguageModes: [.v6]
)
