/// A layer's chain as its parents' own `layers/` files tell it.
///
/// Docker writes into each of them the rest of the list, so `layers/A` = B, C means `layers/B` = C.
/// The mount follows the layer's own file; the others can only contradict it.
extension LayersFile {
  /// Compares the chain with its parents' files. `file` gives a parent's file, nil where there is none
  /// (Docker removes none that is in use, but a store may be copied without them).
  ///
  /// - Returns: a warning for each parent that tells another chain.
  /// - Throws: a `Failure` for a parent that names a layer above it (a cycle), or what `file` throws.
  public func checkParents(
    _ file: (Parent) throws(Failure) -> (path: String, content: LayersFile)?
  ) throws(Failure) -> [String] {
    var warnings: [String] = []
    var above: Set<LayerID> = [id]
    for (index, parent) in parents.enumerated() {
      above.insert(parent.id)
      guard let (path, content) = try file(parent) else { continue }
      for ancestor in content.parents where above.contains(ancestor.id) {
        throw Self.cycle(path, ancestor.line, "names '\(ancestor.id)', which stands above it")
      }
      let expected = parents[(index + 1)...].map(\.id)
      if content.parents.map(\.id) != expected {
        warnings.append(
          "\(path) tells another chain than layers/\(id) does; the latter is followed")
      }
    }
    return warnings
  }
}
