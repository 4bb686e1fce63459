public import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

extension LayerStore {
  /// Changes what a container's config.json says, in one step, alone.
  public func update(
    _ container: ObjectID, _ change: (inout JSONValue) -> Void
  ) throws(Failure) {
    try whileLocked(exclusively: true) { () throws(Failure) in
      let containers = try place("containers")
      let path = containers.path(container.hex.name)
      let directory = try about(path) { () throws(Errno) in
        try containers.directory(container.hex.name)
      }
      var json = try Self.json("config.json", in: directory)
      change(&json)
      let bytes = json.bytes
      try about(path) { () throws(Errno) in
        let staged = ".config.json".name
        try directory.remove(staged)
        try directory.write(staged, bytes)
        try FileSystemCall.rename(
          at: directory.descriptor, staged, to: directory.descriptor, "config.json".name)
      }
    }
  }
}
