public import SystemCalls
public import SystemPackage

/// What a lookup asks of the branches that hold the parent directory, top first. Positions count
/// these branches, not the union's.
public protocol BranchProbe {
  var count: Int { get }
  /// The type of the entry of the name that is looked up, nil where there is none; `whiteout` for one of
  /// overlayfs that the branch honours, which has the name itself.
  func entry(at position: Int) throws(Errno) -> FileKind?
  /// Whether the branch holds a whiteout of that name, and honours it.
  func hidesBelow(at position: Int) throws(Errno) -> Bool
}

/// What a name is in a union.
public struct Resolution: Equatable, Sendable {
  /// The position and type of the topmost entry.
  public var position: Int
  public var type: FileKind
  /// For a directory: the positions of the directories that merge into it, the topmost included.
  public var merged: [Int]

  public init(position: Int, type: FileKind, merged: [Int]) {
    self.position = position
    self.type = type
    self.merged = merged
  }
}

/// aufs's rule of lookup: from the top branch down, the first entry decides the type; a non-directory
/// ends the search, and so does a whiteout; directories merge until something else is met.
///
/// A branch that holds both an entry and its whiteout shows the entry, and still hides what is below
/// (aufs would hide both; an unpacked image layer may have them).
///
/// - Parameter first: the position to begin at.
/// - Returns: nil where the name is not visible. Opaque directories are the caller's: they end the
///   list of branches that it passes for the children.
public func resolve(
  _ probe: some BranchProbe, from first: Int = 0
) throws(Errno) -> Resolution? {
  var found: Resolution?
  var position = first
  while position < probe.count {
    if let type = try probe.entry(at: position) {
      if type == .whiteout { return found }
      guard type == .directory else {
        return found ?? Resolution(position: position, type: type, merged: [])
      }
      if found == nil {
        found = Resolution(position: position, type: type, merged: [position])
      } else {
        found?.merged.append(position)
      }
    }
    // Below the last branch there is nothing to hide.
    if position + 1 < probe.count, try probe.hidesBelow(at: position) { return found }
    position += 1
  }
  return found
}
