// swift-tools-version:6.2
import PackageDescription

// Fuzz targets, apart from the main package so that its build does not see them. scripts/fuzz builds
// and runs them; each folder of Sources is one, and its corpus lies in Corpus/ under the same name.
// scripts/fuzz passes -sanitize=fuzzer, so that the libraries are instrumented too.
func target(_ name: String, _ library: String = "UnionCore") -> Target {
  .executableTarget(
    name: name,
    dependencies: [
      "Driver", .product(name: library, package: "unionfs-swift"),
      .product(name: "UnionCore", package: "unionfs-swift"),
      .product(name: "SystemPackage", package: "swift-system"),
    ],
    swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")])
}

let package = Package(
  name: "Fuzz",
  dependencies: [
    .package(name: "unionfs-swift", path: ".."),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .target(name: "CFuzzer", path: "CFuzzer"),
    .target(name: "Driver", dependencies: ["CFuzzer"], path: "Driver"),
    target("LayersFile"), target("BranchString"), target("MountOptions", "UnionFSCommand"),
    target("DiskNames"),
    target("WhichAnswer"), target("InodeTable"), target("LayerArchive", "ImageArchive"),
  ],
  swiftLanguageModes: [.v6]
)
