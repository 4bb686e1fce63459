internal import LayerStore
internal import SystemPackage
internal import UnionCore

/// The files of an image, mounted read-only for the command's own time at the mount point of a layer that is
/// never published: whoever ends a dead transaction takes the mount away.
final class ImageView {
  let image: Image
  let context: BuildContext
  private let union: MountedUnion
  private let transaction: Transaction

  init(_ name: String, in store: LayerStore) throws {
    transaction = try store.transaction()
    image = try transaction.use(named: name).image
    let layers = [image.id.layer] + (try store.layersFile(of: image.id.layer).parents.map(\.id))
    let place = try transaction.makeLayer(on: image.id.layer)
    union = try MountedUnion(
      layers.map { (store.layout.diff(of: $0), "ro+wh") },
      at: store.layout.mountPoint(of: place.id.layer))
    do throws(Failure) {
      context = try BuildContext(union.point, name: "the image \(name)")
    } catch {
      union.abandon()
      throw error
    }
  }

  func end() {
    union.abandon()
    transaction.abandon()
  }
}
