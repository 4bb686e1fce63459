internal import SystemCalls

/// One logical file: what the kernel's node ids stand for. A plain struct in a slab, so that it has
/// no reference counts and its address stays; 28 bytes, with the first of its names.
///
/// A further name of a hard-linked file is a record of the same form, of which only `parent`, `name` and
/// `pair` count: it is not `used`, and no node id leads to it.
struct Node {
  var generation: UInt32 = 0
  /// How many replies have given the node to the kernel, but for what `NodeTable` carries over 32 bits.
  var lookups: UInt32 = 0
  /// A node's inode number, or for one that is `held` its place among `NodeTable.held`, which then has the
  /// number. A further name's node and the name after it. In halves: a struct with a whole one takes 32 bytes.
  var pair: (low: UInt32, high: UInt32) = (0, 0)
  /// The directory that has its first name; the next free record of one that is free.
  var parent: UInt32 = 0
  /// The first of its names in `NodeTable.names`, 0 for none (removed, the root, or a free record).
  var name: UInt32 = 0
  /// The union's index of the topmost branch that holds it.
  var branch: UInt16 = 0
  var kind = FileKind.unknown
  var flags: Flags = []

  struct Flags: OptionSet {
    let rawValue: UInt8
    static let used = Flags(rawValue: 1)
    /// Several names on disk share it: found by inode number too.
    static let linked = Flags(rawValue: 2)
    /// Its content lies under `.wh..wh.plnk`.
    static let pseudoLinked = Flags(rawValue: 4)
    /// No name is left.
    static let unlinked = Flags(rawValue: 8)
    /// The kernel has been given all of its content.
    static let given = Flags(rawValue: 16)
    /// The kernel is given its second id from now on: see `Union+Split.swift`.
    static let split = Flags(rawValue: 32)
    /// It has a `Directory` or an `OpenFile`.
    static let held = Flags(rawValue: 64)
    /// It has further names.
    static let severalNames = Flags(rawValue: 128)
  }

  var word: UInt64 {
    get { UInt64(pair.high) << 32 | UInt64(pair.low) }
    set {
      pair = (UInt32(truncatingIfNeeded: newValue), UInt32(truncatingIfNeeded: newValue >> 32))
    }
  }
}
