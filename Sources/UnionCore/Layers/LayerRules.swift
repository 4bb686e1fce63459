internal import SystemCalls

/// A layer's part of a directory of the union.
struct LayerPart: Equatable {
  var branch: Int
  var honoursWhiteouts: Bool
  /// The lowest branch above that hides the part with all that is in it; nil where none does.
  var hider: Int?

  static func roots(honouringWhiteouts flags: [Bool]) -> [LayerPart] {
    flags.enumerated().map { LayerPart(branch: $0, honoursWhiteouts: $1) }
  }
}

/// The history of a directory's names, from the bottom layer up: the rule of lookup, told as what each
/// layer does to the view of those below it. No I/O.
///
/// What ends a copy is the first of these above it: an entry of the name that does not merge with it
/// (`replaced`), a whiteout, an opaque directory around it, an end of a directory that it is in
/// (`removed`). Where one layer does both, it has replaced it.
struct LayerRules {
  /// A name's copies, bottom layer first, and the entries that they are.
  struct Row {
    var copies: [LayerCopy] = []
    var entries: [LayerListing.Entry] = []
    /// The parts of the copies.
    var parts: [Int] = []
    /// Positions of those that the view shows or merges.
    var alive: [Int] = []
  }

  /// An entry's place, in the order of the names' bytes.
  private struct Place {
    /// The first eight bytes; most names differ there.
    var prefix: UInt64
    var start: Int
    var end: Int
    var part: Int
    var entry: Int
  }

  private let parts: [LayerPart]
  private let listings: [LayerListing?]
  /// For each part: the branch that hides what is in it.
  private let hiders: [Int?]

  /// - Parameters:
  ///   - parts: top first.
  ///   - listings: what each holds, nil where it could not be read.
  init(_ parts: [LayerPart], _ listings: [LayerListing?]) {
    self.parts = parts
    self.listings = listings
    var opaque: Int?
    var hiders: [Int?] = []
    for (part, listing) in zip(parts, listings) {
      // The lower of two is the one that came first.
      hiders.append([part.hider, opaque].compactMap(\.self).max())
      if part.honoursWhiteouts, listing?.isOpaque ?? false { opaque = part.branch }
    }
    self.hiders = hiders
  }

  /// Calls `body` with each name of which there is an entry, in the order of their bytes.
  func forEachName(_ body: (UnsafeBufferPointer<UInt8>, inout Row) -> Void) {
    let (names, places) = places()
    var row = Row()
    names.withUnsafeBufferPointer { names in
      var first = 0
      while first < places.count {
        let name = Self.name(places[first], names)
        var next = first + 1
        while next < places.count, Self.isEqual(name, Self.name(places[next], names)) { next += 1 }
        fill(&row, places[first..<next])
        if !row.copies.isEmpty { body(name, &row) }
        first = next
      }
    }
  }

  /// The parts of a directory in this one.
  func parts(of row: Row) -> [LayerPart] {
    var found: [LayerPart] = []
    for (position, copy) in row.copies.enumerated().reversed() where copy.kind == .directory {
      let part = parts[row.parts[position]]
      found.append(
        LayerPart(
          branch: part.branch, honoursWhiteouts: part.honoursWhiteouts,
          hider: copy.isWasted ? Int(copy.hider) : nil))
    }
    return found
  }
}

// MARK: One name

extension LayerRules {
  private func fill(_ row: inout Row, _ places: ArraySlice<Place>) {
    row.copies.removeAll(keepingCapacity: true)
    row.entries.removeAll(keepingCapacity: true)
    row.parts.removeAll(keepingCapacity: true)
    row.alive.removeAll(keepingCapacity: true)
    var index = places.startIndex
    while index < places.endIndex {
      let part = places[index].part
      var entry: LayerListing.Entry?
      var hasWhiteout = false
      while index < places.endIndex, places[index].part == part {
        if let found = listings[part]?.entries[places[index].entry] {
          if found.isWhiteout { hasWhiteout = true } else { entry = found }
        }
        index += 1
      }
      buryHidden(&row, before: parts[part].branch)
      if let entry {
        add(entry, of: part, hasWhiteout: hasWhiteout, to: &row)
      } else {
        for position in row.alive { end(&row.copies[position], .removed, by: parts[part].branch) }
        row.alive.removeAll(keepingCapacity: true)
      }
    }
    finish(&row)
  }

  /// Takes out the copies that a directory's end had hidden before the layer came.
  private func buryHidden(_ row: inout Row, before branch: Int) {
    row.alive.removeAll { position in
      guard let hider = hiders[row.parts[position]], hider > branch else { return false }
      end(&row.copies[position], .removed, by: hider)
      return true
    }
  }

  private func add(
    _ entry: LayerListing.Entry, of part: Int, hasWhiteout: Bool, to row: inout Row
  ) {
    let branch = parts[part].branch
    let change = Self.change(entry, over: row.alive.last.map { row.entries[$0] })
    row.alive.removeAll { position in
      let merges =
        !hasWhiteout && entry.kind == .directory && row.copies[position].kind == .directory
        && hiders[row.parts[position]] != branch
      if !merges { end(&row.copies[position], .replaced, by: branch) }
      return !merges
    }
    row.alive.append(row.copies.count)
    row.copies.append(
      LayerCopy(
        layer: UInt16(truncatingIfNeeded: branch), hider: 0, kind: entry.kind, change: change,
        fate: .visible, size: entry.size))
    row.entries.append(entry)
    row.parts.append(part)
  }

  private func finish(_ row: inout Row) {
    buryHidden(&row, before: -1)
    for position in row.alive.dropLast() {
      row.copies[position].fate = .merged
      row.copies[position].hider = row.copies[row.alive[row.alive.count - 1]].layer
    }
  }

  private func end(_ copy: inout LayerCopy, _ fate: LayerCopy.Fate, by branch: Int) {
    copy.fate = fate
    copy.hider = UInt16(truncatingIfNeeded: branch)
  }

  /// What a layer does by an entry to the one that the layers below show.
  private static func change(
    _ entry: LayerListing.Entry, over lower: LayerListing.Entry?
  ) -> LayerCopy.Change {
    guard let lower else { return .added }
    guard entry.kind == lower.kind else { return .changed }
    switch entry.kind {
    case .directory: return entry.hasOwnerAndMode(of: lower) ? .passes : .attributes
    case .regular where entry.size == lower.size && entry.modified == lower.modified:
      return entry.hasOwnerAndMode(of: lower) ? .identical : .attributes
    default: return .changed
    }
  }
}

// MARK: The order of names

extension LayerRules {
  /// All names one behind the other, and the entries by name, of a name the bottom part's first.
  private func places() -> ([UInt8], [Place]) {
    var names: [UInt8] = []
    var places: [Place] = []
    for (part, listing) in listings.enumerated() {
      guard let listing else { continue }
      let base = names.count
      names += listing.names
      var start = base
      for (index, entry) in listing.entries.enumerated() {
        let end = base + entry.nameEnd
        places.append(
          Place(
            prefix: Self.prefix(of: names[start..<end]), start: start, end: end, part: part,
            entry: index))
        start = end
      }
    }
    names.withUnsafeBufferPointer { names in
      places.sort { Self.precedes($0, $1, names) }
    }
    return (names, places)
  }

  private static func prefix(of name: ArraySlice<UInt8>) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 56
    for byte in name.prefix(8) {
      value |= UInt64(byte) << shift
      shift = shift &- 8
    }
    return value
  }

  private static func precedes(
    _ a: Place, _ b: Place, _ names: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    if a.prefix != b.prefix { return a.prefix < b.prefix }
    let (left, right) = (name(a, names), name(b, names))
    if left.lexicographicallyPrecedes(right) { return true }
    return a.part > b.part && !right.lexicographicallyPrecedes(left)
  }

  private static func name(
    _ place: Place, _ names: UnsafeBufferPointer<UInt8>
  ) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: names[place.start..<place.end])
  }

  private static func isEqual(
    _ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>
  ) -> Bool { a.count == b.count && a.elementsEqual(b) }
}
