import Driver
import Glibc
import ImageArchive
import UnionCore

/// Whatever a layer's tar holds, nothing beside its directory is touched, and one that is accepted can be
/// made again and packed.
private let folder = makeFolder()
private let options = makeOptions()

private func makeFolder() -> String {
  var template = Array("/tmp/unionfs-fuzz-XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil else { fatalError("no temporary folder") }
  return template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
}

private func makeOptions() -> ExtractionOptions {
  var options = ExtractionOptions()
  options.ownership = geteuid() == 0 ? .set : .recorded
  options.devices = .refuse
  options.needsEnd = false
  options.limits.bytes = 1 << 24
  options.limits.entries = 1000
  return options
}

func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  mkdir("\(folder)/layer", 0o755)
  let directory = open("\(folder)/layer", O_RDONLY | O_DIRECTORY)
  let data = open("\(folder)/data", O_RDWR | O_CREAT | O_TRUNC, 0o600)
  defer {
    close(directory)
    close(data)
    removeTree(at: AT_FDCWD, "\(folder)/layer")
  }
  let layer = try? Layer.extract(
    BytesSource(input), name: "layer", into: directory, tarData: data, options: options)
  var names = 0
  if let stream = opendir(folder) {
    while readdir(stream) != nil { names += 1 }
    closedir(stream)
  }
  precondition(names == 4, "something else was made")
  if let layer { check(layer, directory, data) }
  return 0
}

private func check(_ layer: ExtractedLayer, _ directory: CInt, _ data: CInt) {
  lseek(data, 0, SEEK_SET)
  let sink = HashingSink(DroppingSink())
  do {
    try TarSplit.reassemble(
      DescriptorSource(data, name: "data"), name: "layer", directory: directory, to: sink)
    precondition(sink.digest == layer.diffID && sink.count == layer.tarBytes)
    let packed = try Layer.pack(directory, name: "layer", to: DroppingSink())
    precondition(packed.size <= layer.size)
  } catch { fatalError("what was unpacked cannot be read: \(error)") }
}

private func removeTree(at directory: CInt, _ name: UnsafePointer<CChar>) {
  if unlinkat(directory, name, 0) == 0 { return }
  fchmodat(directory, name, 0o700, 0)
  let descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  guard descriptor >= 0, let stream = fdopendir(descriptor) else { return }
  while let entry = readdir(stream) {
    withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      let name = bytes.assumingMemoryBound(to: CChar.self).baseAddress.unsafelyUnwrapped
      if strcmp(name, ".") != 0 && strcmp(name, "..") != 0 { removeTree(at: descriptor, name) }
    }
  }
  closedir(stream)
  unlinkat(directory, name, AT_REMOVEDIR)
}

@main enum Entry {
  static func main() {
    // A directory may be two thousand deep.
    var limit = rlimit(rlim_cur: 4096, rlim_max: 4096)
    setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
    atexit {
      removeTree(at: AT_FDCWD, folder)
    }
    runFuzzer { fuzz($0, $1) }
  }
}
