internal import ImageArchive
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Where the layers of an archive go before it is known whose they are: directories of the transaction.
final class StagedPlaces: LayerPlaces {
  private let transaction: Transaction
  private let images: Set<ObjectID>
  private var open: [String: (directory: StoreDirectory, tarData: CInt)] = [:]
  private var count = 0
  private var files: StoreDirectory?
  /// Places whose content has been given to a layer: to which.
  var taken: [String: StoreDirectory] = [:]

  init(_ transaction: Transaction, _ catalog: Catalog) {
    self.transaction = transaction
    images = Set(catalog.images.keys)
  }

  deinit { for place in open.values { FileSystemCall.close(place.tarData) } }

  /// An image of Docker up to 1.9 has its id for ever; a layer by its digest may lie on others.
  func has(_ layer: LayerIdentity) -> Bool {
    if case .v1(let text) = layer, let id = ObjectID(text) { return images.contains(id) }
    return false
  }

  func begin() throws(Failure) -> LayerPlace {
    count += 1
    let id = "layer-\(count)"
    let directory = try transaction.temporaryDirectory(id)
    do throws(Errno) {
      // A tar need not say what its root is like.
      try FileSystemCall.changeMode(of: directory.descriptor, 0o755)
    } catch { throw Disk.failure(error, "\(directory.path)") }
    let tarData = try newFile("\(id).gz")
    open[id] = (directory, tarData)
    return LayerPlace(id: id, directory: directory.descriptor, tarData: tarData)
  }

  func end(_ place: LayerPlace, _ layer: ExtractedLayer) throws(Failure) {
    guard let ended = open.removeValue(forKey: place.id) else { return }
    FileSystemCall.close(ended.tarData)
  }

  private func newFile(_ name: String) throws(Failure) -> CInt {
    let directory: StoreDirectory
    if let files {
      directory = files
    } else {
      directory = try transaction.temporaryDirectory("tar-data")
      files = directory
    }
    do throws(Errno) { return try directory.create(name) } catch {
      throw Disk.failure(error, "\(directory.path)")
    }
  }

  /// Moves a place's tar-data into an image's directory; nothing where it is gone or empty.
  func moveTarData(of place: String, to image: StoreDirectory) throws(Failure) {
    guard let files else { return }
    let name = TreeCopy.cName(Array("\(place).gz".utf8))
    do throws(Errno) {
      guard let found = try FileSystemCall.statusIfThere(at: files.descriptor, name), found.size > 0
      else { return }
      try FileSystemCall.rename(
        at: files.descriptor, name, to: image.descriptor,
        TreeCopy.cName(Array(NewImage.tarData.utf8)))
    } catch { throw Disk.failure(error, "\(image.path)") }
  }
}
