import Foundation
import ImageArchive
import Synchronization
import TestSupport
import UnionCore

/// Places below a folder, as a store would give them.
final class FolderPlaces: LayerPlaces, Sendable {
  let folder: Path
  private let state = Mutex(State())
  private struct State {
    var count = 0
    var open: [String: (File, File)] = [:]
    var ended: [String: ExtractedLayer] = [:]
    var known: Set<LayerIdentity> = []
  }

  init(_ folder: Path) { self.folder = folder }

  var ended: [String: ExtractedLayer] { state.withLock { $0.ended } }
  var known: Set<LayerIdentity> {
    get { state.withLock { $0.known } }
    set { state.withLock { $0.known = newValue } }
  }

  func has(_ layer: LayerIdentity) -> Bool { known.contains(layer) }

  func begin() throws(Failure) -> LayerPlace {
    do {
      let id = state.withLock { state in
        state.count += 1
        return "place\(state.count)"
      }
      let path = folder / Path(id)
      try path.mkdir()
      let directory = try path.open(O_RDONLY | O_DIRECTORY)
      let data = try Path("\(path).tar-data").open(O_RDWR | O_CREAT)
      state.withLock { $0.open[id] = (directory, data) }
      return LayerPlace(
        id: id, directory: directory.descriptor, tarData: data.descriptor)
    } catch { throw Failure(.failed, "\(error)") }
  }

  func end(_ place: LayerPlace, _ layer: ExtractedLayer) throws(Failure) {
    state.withLock {
      $0.open[place.id] = nil
      $0.ended[place.id] = layer
    }
  }

  subscript(_ layer: LoadedLayer) -> Path? {
    if case .unpacked(let place, _) = layer { return folder / Path(place) }
    return nil
  }
}

/// An image of two layers in an OCI layout that umoci made: `tag`.
func makeLayout(in scratch: Scratch, tag: String = "app:1") throws -> Path {
  let lower = try scratch.directory("lower")
  try makeEverything(in: lower)
  try addAttributes(in: lower)
  let upper = try scratch.directory("upper")
  try (upper / "folder").mkdir()
  try (upper / "folder/new").write("new")
  try (upper / "folder/.wh.plain").write("", mode: 0o444)
  try (upper / ".wh.large").write("", mode: 0o444)
  let layout = scratch / "layout"
  let image = "\(layout):\(tag)"
  try shell("umoci", "init", "--layout", "\(layout)")
  try shell("umoci", "new", "--image", image)
  for layer in [lower, upper] {
    let tar = Path("\(layer).tar")
    try tar.write(bytes: try pack(layer).tar)
    try shell("umoci", "raw", "add-layer", "--image", image, "\(tar)")
  }
  try shell("umoci", "config", "--image", image, "--config.cmd", "/bin/app")
  return layout
}

func readImages(
  _ path: Path, into places: FolderPlaces, options: ImageReadingOptions = ImageReadingOptions()
) throws -> LoadedImages {
  let file = try path.open(O_RDONLY)
  defer { file.close() }
  if try file.stat().kind == .directory {
    return try ImageReader.read(
      directory: file.descriptor, name: "\(path)", into: places, options: options)
  }
  return try ImageReader.read(
    descriptor: file.descriptor, name: "\(path)", into: places, options: options)
}

/// The same through a pipe.
func readStream(
  _ path: Path, into places: FolderPlaces, options: ImageReadingOptions = ImageReadingOptions()
) throws -> LoadedImages {
  let pipe = Pipe()
  let writer = Process()
  writer.executableURL = URL(filePath: "/usr/bin/cat")
  writer.arguments = ["\(path)"]
  writer.standardOutput = pipe
  try writer.run()
  try? pipe.fileHandleForWriting.close()
  defer {
    try? pipe.fileHandleForReading.close()
    writer.waitUntilExit()
  }
  return try ImageReader.read(
    descriptor: pipe.fileHandleForReading.fileDescriptor, name: "stdin", into: places,
    options: options)
}

/// A layer for the writer: a tar in memory.
struct TarContent: LayerContent {
  let tar: [UInt8]
  var diffID: Digest { Digest(of: tar) }
  var tarBytes: Int64 { Int64(tar.count) }
  func write(to sink: any ByteSink) throws(Failure) {
    try sink.write(tar)
  }
}

/// An image of those layers.
func savedImage(_ tars: [[UInt8]], tags: [String]) -> SavedImage {
  let layers = tars.map { TarContent(tar: $0) }
  let diffIDs = layers.map { "\"\($0.diffID)\"" }.joined(separator: ",")
  let config =
    #"{"architecture":"amd64","os":"linux","created":"2020-01-01T00:00:00Z","config":{"Cmd":["/bin/app"]},"#
    + #""rootfs":{"type":"layers","diff_ids":[\#(diffIDs)]},"#
    + #""history":[\#(layers.map { _ in #"{"created":"2020-01-01T00:00:00Z","created_by":"test"}"# }.joined(separator: ","))]}"#
  return SavedImage(tags: tags, configuration: Array(config.utf8), layers: layers)
}
