internal import SystemCalls
internal import SystemPackage
public import UnionCore

/// The directory of an OCI layout, which appears under its name when it is whole.
public final class OutputDirectory {
  /// For what goes into it.
  public let descriptor: CInt
  private let directory: CInt
  private let name: [CChar]
  private let staged: StagedName
  private var isPublished = false

  /// - Parameters:
  ///   - directory: where it is to appear; stays the caller's, and open as long as this lives.
  ///   - name: a plain name; nothing, or an empty directory, may be there.
  public convenience init(in directory: CInt, name: String) throws(Failure) {
    try self.init(in: directory, name: name.utf8.map { CChar(bitPattern: $0) } + [0])
  }

  /// - Parameter name: a C string.
  public init(in directory: CInt, name: [CChar]) throws(Failure) {
    self.directory = directory
    self.name = name
    StagedName.clear(name, in: directory)
    (descriptor, staged) = try system("the directory cannot be made") { () throws(Errno) in
      while true {
        let staged = StagedName(for: name)
        try FileSystemCall.makeDirectory(at: directory, staged.bytes, mode: 0o755)
        if let made = try Self.open(staged, in: directory) { return (made, staged) }
      }
    }
  }

  /// nil where somebody has taken it for a leftover meanwhile.
  private static func open(_ staged: StagedName, in directory: CInt) throws(Errno) -> CInt? {
    let made: CInt
    do throws(Errno) {
      made = try FileSystemCall.open(
        at: directory, staged.bytes, OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow)
    } catch {
      if error == .noSuchFileOrDirectory { return nil }
      throw error
    }
    do throws(Errno) {
      if try StagedName.take(made) { return made }
      FileSystemCall.close(made)
      return nil
    } catch {
      FileSystemCall.close(made)
      throw error
    }
  }

  deinit {
    if !isPublished { try? TreeRemoval.remove(staged.bytes, in: directory) }
    FileSystemCall.close(descriptor)
  }

  public func publish() throws(Failure) {
    try system("the directory cannot be given its name") { () throws(Errno) in
      try FileSystemCall.rename(at: directory, staged.bytes, to: directory, name)
    }
    isPublished = true
  }
}
