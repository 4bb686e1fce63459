internal import Dockerfile
internal import ImageArchive
internal import LayerStore
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// COPY and ADD.

extension Builder {
  func copy(
    _ transfer: Instruction.Transfer, _ keyword: String, _ stage: BuildStage, _ place: String
  ) throws -> Image {
    let words = stage.settings.substitution(place)
    var sources: [String] = []
    for source in transfer.sources { sources += [try words.word(source)] }
    if keyword == "ADD", let url = sources.first(where: Self.isAddress) {
      throw Failure(
        .malformedInput, "\(place): \(url) is not fetched",
        advice: "fetch it before the build, or by RUN")
    }
    let target = try words.word(transfer.destination)
    let from = try transfer.from.map { (name) throws(Failure) in try words.word(name) }
    let view = try from.map { try ImageView(imageOrStage($0).id.hex, in: store) }
    defer { view?.end() }
    let plan = try CopyPlan(
      sources, target, transfer, view?.context ?? context, place: place, unpacks: keyword == "ADD",
      keepsOwners: from != nil)
    beginPart("reading")
    let digest = try plan.digest(words, work.watch)
    let command = ["/bin/sh", "-c", "#(nop) \(keyword) \(digest) in \(target) "]
    if let known = try cached(stage, command) { return known }
    let transaction = try store.transaction()
    if let parent = stage.image { try transaction.use(parent.id) }
    let layer = try StepLayer(transaction, on: stage.image?.id, below: try layers(below: stage))
    beginPart(keyword == "ADD" ? "adding" : "copying")
    let unpacking = Unpacking(transaction: transaction, watch: work.watch)
    try plan.run(root: layer.root, stage.settings, words, unpacking)
    try layer.finish()
    return try publish(transaction, layer.new, stage, command)
  }

  private static func isAddress(_ source: String) -> Bool {
    ["http://", "https://", "git@", "git://"].contains { source.hasPrefix($0) }
  }
}

/// How archives that ADD unpacks become files.
struct Unpacking {
  let transaction: Transaction
  let watch: Watch
}

/// What one COPY or ADD does.
struct CopyPlan {
  private let entries: [BuildContext.Entry]
  private let target: String
  private let transfer: Instruction.Transfer
  private let context: BuildContext
  private let place: String
  private let unpacks: Bool
  private let keepsOwners: Bool

  init(
    _ sources: [String], _ target: String, _ transfer: Instruction.Transfer,
    _ context: BuildContext, place: String, unpacks: Bool, keepsOwners: Bool
  ) throws(Failure) {
    var entries: [BuildContext.Entry] = []
    for source in sources { entries += try context.entries(of: source) }
    let count = entries.count + transfer.documents.count
    if count > 1, !target.hasSuffix("/"), target != ".", target != ".." {
      throw Failure(
        .malformedInput, "\(place): \(count) sources need a directory as destination",
        advice: "write '\(target)/'")
    }
    self.entries = entries
    self.target = target
    self.transfer = transfer
    self.context = context
    self.place = place
    self.unpacks = unpacks
    self.keepsOwners = keepsOwners
  }

  /// What the cache knows this step by.
  func digest(_ words: Substitution, _ watch: Watch) throws(Failure) -> String {
    var digest = TreeDigest(ignoring: context.ignored, watch)
    digest.add(transfer.owner ?? "")
    digest.add(transfer.mode ?? "")
    for document in transfer.documents {
      digest.add(document.name)
      digest.add(try content(document, words))
    }
    for entry in entries {
      if entry.isEmpty {
        try digest.addContents(of: [], context.root)
        continue
      }
      let (real, parent) = try context.resolved(entry)
      defer { FileSystemCall.close(parent) }
      try digest.add(real, in: parent)
    }
    let kind = entries.count == 1 && !isDirectory(entries[0]) ? "file" : "multi"
    return "\(kind):\(digest.finish().hex)"
  }

  private func isDirectory(_ entry: BuildContext.Entry) -> Bool {
    entry.isEmpty || context.status(entry)?.isDirectory ?? false
  }

  private func content(
    _ document: Instruction.HereDocument, _ words: Substitution
  ) throws(Failure) -> String {
    document.expands ? try words.variables(document.content) : document.content
  }

  /// Copies into a root directory.
  func run(
    root: CInt, _ settings: ConfigChange, _ words: Substitution, _ unpacking: Unpacking
  ) throws(Failure) {
    let path = settings.resolve(target)
    var copy = TreeCopy()
    copy.watch = unpacking.watch
    copy.ignored = context.ignored
    copy.owner = try owner(root, words)
    copy.mode = try mode()
    let isFolder = target.hasSuffix("/") || target == "." || target == ".." || path == "/"
    for document in transfer.documents {
      try write(document, to: path, isFolder, root, copy, words)
    }
    for entry in entries {
      try put(entry, at: path, isFolder, root, &copy, unpacking)
    }
  }

  private func owner(
    _ root: CInt, _ words: Substitution
  ) throws(Failure) -> (user: UInt32, group: UInt32)? {
    guard let text = transfer.owner else { return keepsOwners ? nil : (0, 0) }
    let user = try ContainerUser(try words.word(text), root: root)
    // A number alone is the group's too.
    let isGroupless = !text.contains(":") && UInt32(text) != nil
    return (user.id, isGroupless ? user.id : user.group)
  }

  private func mode() throws(Failure) -> UInt32? {
    guard let text = transfer.mode else { return nil }
    guard let mode = UInt32(text, radix: 8), mode <= 0o7777 else {
      throw Failure(
        .malformedInput, "\(place): '\(text)' is no mode", advice: "write it in octal, 0755")
    }
    return mode
  }

  private func put(
    _ entry: BuildContext.Entry, at path: String, _ isFolder: Bool, _ root: CInt,
    _ copy: inout TreeCopy, _ unpacking: Unpacking
  ) throws(Failure) {
    if isDirectory(entry) {
      let source = try open(entry, OpenFlag.readOnly | OpenFlag.directory)
      defer { FileSystemCall.close(source) }
      let folder = try self.folder(path, root, copy.owner)
      defer { FileSystemCall.close(folder) }
      return try copy.copyContents(of: entry, source, to: folder)
    }
    let (real, parent) = try context.resolved(entry)
    defer { FileSystemCall.close(parent) }
    if unpacks, try unpack(entry, to: path, root, unpacking) { return }
    let (folder, name) = try place(of: entry.last ?? [], path, isFolder, root, copy.owner)
    defer { FileSystemCall.close(folder) }
    try copy.copy(real, in: parent, to: folder, name)
  }

  private func open(_ entry: BuildContext.Entry, _ flags: CInt) throws(Failure) -> CInt {
    do throws(Errno) { return try context.open(entry, flags) } catch {
      throw Failure(.failed, "\(TreeCopy.text(entry)) cannot be read: \(error)")
    }
  }

  /// Opens a directory of the image; new ones are the copies' owner's.
  private func folder(
    _ path: String, _ root: CInt, _ owner: (user: UInt32, group: UInt32)?
  ) throws(Failure) -> CInt {
    try RootedDirectory.open(Array(path.utf8), root: root) { parent, name throws(Errno) in
      if let owner {
        try FileSystemCall.changeOwner(at: parent, name, owner: owner.user, group: owner.group)
      }
    }
  }

  /// The directory and the name that a file goes to.
  private func place(
    of name: [UInt8], _ path: String, _ isFolder: Bool, _ root: CInt,
    _ owner: (user: UInt32, group: UInt32)?
  ) throws(Failure) -> (folder: CInt, name: [UInt8]) {
    let existing = try? FileSystemCall.open(
      inRoot: root, path, OpenFlag.path | OpenFlag.directory)
    if let existing { FileSystemCall.close(existing) }
    if isFolder || existing != nil { return (try folder(path, root, owner), name) }
    var parts = path.split(separator: "/")
    let last = parts.popLast().map { Array($0.utf8) } ?? name
    return (try folder("/" + parts.joined(separator: "/"), root, owner), last)
  }

  private func write(
    _ document: Instruction.HereDocument, to path: String, _ isFolder: Bool, _ root: CInt,
    _ copy: TreeCopy, _ words: Substitution
  ) throws(Failure) {
    let text = try content(document, words)
    let (folder, name) = try place(
      of: Array(document.name.utf8), path, isFolder, root, copy.owner)
    defer { FileSystemCall.close(folder) }
    do throws(Errno) {
      let target = TreeCopy.cName(name)
      if try FileSystemCall.statusIfThere(at: folder, target) != nil {
        try FileSystemCall.unlink(at: folder, target)
      }
      let file = try FileSystemCall.open(
        at: folder, target, OpenFlag.writeOnly | OpenFlag.create | OpenFlag.exclusive, mode: 0o600)
      defer { FileSystemCall.close(file) }
      try Array(text.utf8).withBytes { (bytes) throws(Errno) in
        var done = 0
        while done < bytes.count {
          done += try FileSystemCall.write(
            file, from: UnsafeRawBufferPointer(rebasing: bytes[done...]), at: Int64(done))
        }
      }
      if let owner = copy.owner {
        try FileSystemCall.changeOwner(of: file, owner: owner.user, group: owner.group)
      }
      try FileSystemCall.changeMode(of: file, copy.mode ?? 0o644)
    } catch { throw Failure(.failed, "\(document.name) cannot be written: \(error)") }
  }

  // MARK: Archives

  /// Unpacks an archive; false where the file is none.
  private func unpack(
    _ entry: BuildContext.Entry, to path: String, _ root: CInt, _ unpacking: Unpacking
  ) throws(Failure) -> Bool {
    let file = try open(entry, OpenFlag.readOnly)
    defer { FileSystemCall.close(file) }
    let name = TreeCopy.text(entry)
    guard try Self.looksLikeArchive(file) else { return false }
    let staged = try unpacking.transaction.temporaryDirectory("add-\(ObjectID.random().short)")
    let source = try DescriptorSource(file, name: name, watch: unpacking.watch)
    var options = NewImage.extraction
    options.needsEnd = false
    do throws(Failure) {
      _ = try Layer.extract(
        source, name: name, into: staged.descriptor, options: options, watch: unpacking.watch)
    } catch {
      // Compressed, but no tar: a file like others.
      guard error.code == .malformedInput, try TreeCopy.names(staged.descriptor, []).isEmpty else {
        throw error
      }
      return false
    }
    let folder = try self.folder(path, root, nil)
    defer { FileSystemCall.close(folder) }
    var copy = TreeCopy()
    copy.watch = unpacking.watch
    try copy.copyContents(of: [], staged.descriptor, to: folder)
    return true
  }

  /// By its first bytes: a compressed file, or a tar.
  private static func looksLikeArchive(_ file: CInt) throws(Failure) -> Bool {
    var head = [UInt8](repeating: 0, count: 512)
    let count: Int
    do throws(Errno) {
      count = try head.withMutableBytes { (room) throws(Errno) in
        try FileSystemCall.read(file, into: room, at: 0)
      }
    } catch { return false }
    let bytes = head.prefix(count)
    let marks: [[UInt8]] = [
      [0x1F, 0x8B], [0x42, 0x5A, 0x68], [0xFD, 0x37, 0x7A, 0x58, 0x5A], [0x28, 0xB5, 0x2F, 0xFD],
    ]
    return marks.contains { bytes.starts(with: $0) }
      || bytes.dropFirst(257).starts(with: "ustar".utf8)
  }
}
