internal import FUSE

extension Union: FileSystem {
  func start() {}
}
