internal import SystemCalls
internal import SystemPackage
internal import Synchronization
public import UnionCore

/// Names for what is not to be seen yet.
enum StagedName {
  private static let count = Atomic<UInt64>(0)

  /// A C string that nobody else uses.
  static func next() -> [CChar] {
    let number = count.wrappingAdd(1, ordering: .relaxed).newValue
    let text = ".unionfs-swift.\(ProcessCall.nanoseconds).\(number)"
    return text.utf8.map { CChar(bitPattern: $0) } + [0]
  }
}

/// A file that appears under its name when it is whole, and not at all where it is not.
public final class StagedFile {
  /// For its content.
  public let descriptor: CInt
  private let directory: CInt
  private let name: String
  private let staged: [CChar]
  private var isPublished = false

  /// - Parameters:
  ///   - directory: where it is to appear; stays the caller's, and open as long as this lives.
  ///   - name: a plain name; what is there is replaced.
  public init(in directory: CInt, name: String) throws(Failure) {
    let staged = StagedName.next()
    self.staged = staged
    self.directory = directory
    self.name = name
    descriptor = try system("\(name) cannot be made") { () throws(Errno) in
      try staged.withUnsafeBufferPointer { (buffer) throws(Errno) in
        try FileSystemCall.open(
          at: directory, buffer.baseAddress.unsafelyUnwrapped,
          OpenFlag.readWrite | OpenFlag.create | OpenFlag.exclusive, mode: 0o644)
      }
    }
  }

  deinit {
    FileSystemCall.close(descriptor)
    if isPublished { return }
    staged.withUnsafeBufferPointer {
      try? FileSystemCall.unlink(at: directory, $0.baseAddress.unsafelyUnwrapped)
    }
  }

  /// Its content is on disk, and it has its name.
  public func publish() throws(Failure) {
    try system("\(name) cannot be made") { () throws(Errno) in
      try FileSystemCall.sync(descriptor)
      try staged.withUnsafeBufferPointer { (buffer) throws(Errno) in
        try FileSystemCall.rename(
          at: directory, buffer.baseAddress.unsafelyUnwrapped, to: directory, name)
      }
    }
    isPublished = true
  }
}

/// The same for the directory of an OCI layout.
public final class StagedDirectory {
  /// For what goes into it.
  public let descriptor: CInt
  private let directory: CInt
  private let name: String
  private let staged: [CChar]
  private var isPublished = false

  /// - Parameters:
  ///   - directory: where it is to appear; stays the caller's, and open as long as this lives.
  ///   - name: a plain name; nothing, or an empty directory, may be there.
  public init(in directory: CInt, name: String) throws(Failure) {
    let staged = StagedName.next()
    self.staged = staged
    self.directory = directory
    self.name = name
    descriptor = try system("\(name) cannot be made") { () throws(Errno) in
      try staged.withUnsafeBufferPointer { (buffer) throws(Errno) in
        let staged = buffer.baseAddress.unsafelyUnwrapped
        try FileSystemCall.makeDirectory(at: directory, staged, mode: 0o755)
        return try FileSystemCall.open(
          at: directory, staged, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
      }
    }
  }

  deinit {
    if !isPublished { discard() }
    FileSystemCall.close(descriptor)
  }

  public func publish() throws(Failure) {
    try system("\(name) cannot be made") { () throws(Errno) in
      try staged.withUnsafeBufferPointer { (buffer) throws(Errno) in
        try FileSystemCall.rename(
          at: directory, buffer.baseAddress.unsafelyUnwrapped, to: directory, name)
      }
    }
    isPublished = true
  }

  /// A layout is two levels deep.
  private func discard() {
    for folder in ["blobs/sha256", "blobs", "."] {
      guard
        let opened = try? FileSystemCall.open(
          at: descriptor, folder, OpenFlag.readOnly | OpenFlag.directory)
      else { continue }
      defer { FileSystemCall.close(opened) }
      var names: [[CChar]] = []
      try? forEachEntry(of: opened) { (name, _, _) throws(Errno) in
        names.append(Array(name) + [0])
        return true
      }
      for name in names {
        name.withUnsafeBufferPointer {
          try? removeOne(at: opened, $0.baseAddress.unsafelyUnwrapped)
        }
      }
    }
    staged.withUnsafeBufferPointer {
      try? FileSystemCall.removeDirectory(at: directory, $0.baseAddress.unsafelyUnwrapped)
    }
  }
}
