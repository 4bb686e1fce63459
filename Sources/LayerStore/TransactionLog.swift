internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// What a file in `transactions/` says.
struct TransactionLog {
  /// What is the transaction's own until it is committed.
  var added: [LayerID] = []
  /// What goes once it is committed.
  var removed: [LayerID] = []
  /// The images that nobody may remove while it lives.
  var used: Set<LayerID> = []
  var isCommitted = false
  /// Nothing has its name any more that shall not; an id may be somebody else's again.
  var isDone = false

  /// Words of a line; a line that a crash cut short has no newline and was never acted on.
  init(parsing bytes: [UInt8]) {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for line in lines.dropLast() {
      let words = line.split(separator: UInt8(ascii: " "), maxSplits: 1)
      if words.count == 1, words[0].elementsEqual("commit".utf8) { isCommitted = true }
      if words.count == 1, words[0].elementsEqual("done".utf8) { isDone = true }
      guard words.count == 2, let id = try? LayerID(words[1]) else { continue }
      switch String(decoding: words[0], as: UTF8.self) {
      case "add": added.append(id)
      case "remove": removed.append(id)
      case "use": used.insert(id)
      default: break
      }
    }
  }

  /// What goes when the transaction ends now.
  var victims: [LayerID] { isCommitted ? removed : added }
}

/// What transactions that have not ended make of the store's files. Read under the lock, so all of
/// them live or were killed.
struct Pending {
  /// What is not there yet, or no longer.
  private(set) var hidden: Set<LayerID> = []
  /// What somebody deletes, or will when a dead transaction is ended.
  private(set) var victims: Set<LayerID> = []
  /// The tags that a committed transaction was killed before it could put in place.
  private(set) var repositories: [UInt8]?

  init(of store: LayerStore) throws(Failure) {
    // A reader that may not look there takes the store's files as they are.
    guard let directory = try? store.placeIfThere("unionfs-swift/transactions"),
      let names = try? directory.names()
    else { return }
    for name in names {
      guard let bytes = try? directory.read(name) else { continue }
      let log = TransactionLog(parsing: bytes)
      victims.formUnion(log.victims)
      if log.isDone { continue }
      hidden.formUnion(log.victims)
      guard log.isCommitted,
        let staged = try? store.placeIfThere("unionfs-swift/tmp/\(name.text)"),
        let tags = try? staged.readIfThere(Transaction.stagedTags)
      else { continue }
      repositories = tags
    }
  }
}
