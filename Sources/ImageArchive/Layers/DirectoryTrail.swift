internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Opens directories below a root, part by part, following no symbolic link. What was opened last stays
/// open, so that neighbours cost little.
final class DirectoryTrail {
  private static let openLimit = 48

  private let root: CInt
  /// What was opened last.
  private var path = EntryPath()
  /// Of the path's first parts.
  private var descriptors: [CInt] = []
  /// Of the whole path, where it has more parts than may stay open.
  private var deepest: CInt?

  /// - Parameter root: a readable descriptor; it stays the caller's.
  init(root: CInt) { self.root = root }

  deinit {
    for descriptor in descriptors { FileSystemCall.close(descriptor) }
    if let deepest { FileSystemCall.close(deepest) }
  }

  /// A descriptor of the directory that a path's first parts name; it stays until the next call.
  ///
  /// - Parameter made: makes the directory that a path's first parts name, mode 0700, where there is none;
  ///   nil where that is an error (ENOENT).
  func open(
    _ target: EntryPath, count: Int, making: ((Int) -> Void)? = nil
  ) throws(Errno) -> CInt {
    var shared = common(target, count)
    if count == 0 { return root }
    if shared > Self.openLimit && deepest != nil {
      try climb(to: shared)
    } else {
      shared = min(shared, descriptors.count)
      back(to: shared)
    }
    var current = deepest ?? descriptors.last ?? root
    for index in shared..<count {
      current = try descend(current, target, index, making)
      path.append(target.part(index))
      if index < Self.openLimit {
        descriptors.append(current)
      } else {
        if let deepest { FileSystemCall.close(deepest) }
        deepest = current
      }
    }
    return current
  }

  /// Up from the deepest, which is far below what stays open.
  private func climb(to count: Int) throws(Errno) {
    while path.count > count, let last = deepest {
      let above = try FileSystemCall.open(
        at: last, ReservedName.above, OpenFlag.readOnly | OpenFlag.directory)
      FileSystemCall.close(last)
      deepest = above
      path.removeLast()
    }
  }

  private func descend(
    _ directory: CInt, _ target: EntryPath, _ index: Int, _ making: ((Int) -> Void)?
  ) throws(Errno) -> CInt {
    try target.withPart(index) { (name) throws(Errno) in
      let flags = OpenFlag.readOnly | OpenFlag.directory | OpenFlag.noFollow
      do throws(Errno) { return try FileSystemCall.open(at: directory, name, flags) } catch {
        guard error == .noSuchFileOrDirectory, let making else { throw error }
        try FileSystemCall.makeDirectory(at: directory, name, mode: 0o700)
        making(index + 1)
        return try FileSystemCall.open(at: directory, name, flags)
      }
    }
  }

  /// How many parts a path shares with what was opened last.
  private func common(_ target: EntryPath, _ count: Int) -> Int {
    var shared = 0
    while shared < min(count, path.count), path.part(shared) == target.part(shared) { shared += 1 }
    return shared
  }

  private func back(to count: Int) {
    while descriptors.count > count, let last = descriptors.popLast() { FileSystemCall.close(last) }
    if let deepest { FileSystemCall.close(deepest) }
    deepest = nil
    path = path.prefix(count)
  }
}
