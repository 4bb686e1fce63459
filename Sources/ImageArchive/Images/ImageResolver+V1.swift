internal import JSONValue
internal import UnionCore

// Archives of Docker up to 1.9: a directory a layer with its json, and `repositories`.

extension ImageResolver {
  /// The layers there are.
  var v1IDs: [String] {
    members.names.compactMap { name in
      let id = MemberName.folder(of: name)
      return MemberName.last(of: name) == "json" && MemberName.isID(id) ? id : nil
    }
  }

  func v1Images() throws(Failure) -> [LoadedImage] {
    let tags = try v1Tags()
    let heads = try tags.isEmpty ? v1Heads() : tags.map(\.id)
    var images: [LoadedImage] = []
    var seen: Set<String> = []
    for id in heads where seen.insert(id).inserted {
      let chain = try chain(id)
      var layers: [LoadedLayer] = []
      for part in chain { layers.append(try v1Layer(part.id)) }
      images.append(
        LoadedImage(
          tags: tags.filter { $0.id == id }.map(\.tag), description: .chain(chain), layers: layers))
    }
    if images.isEmpty { throw malformed("there is no image in it") }
    return images
  }

  private func v1Tags() throws(Failure) -> [(tag: String, id: String)] {
    guard let repositories = try document("repositories") else { return [] }
    guard let names = repositories.object else { throw malformed("repositories is no object") }
    var tags: [(tag: String, id: String)] = []
    for (name, list) in names.sorted(by: { $0.key < $1.key }) {
      for (tag, id) in (list.object ?? [:]).sorted(by: { $0.key < $1.key }) {
        guard let id = id.string, MemberName.isID(id) else {
          throw malformed("repositories: \(shown(name.utf8)):\(shown(tag.utf8)) names no layer")
        }
        tags.append(("\(name):\(tag)", id))
      }
    }
    return tags
  }

  /// Layers that are no other's parent.
  private func v1Heads() throws(Failure) -> [String] {
    var parents: Set<String> = []
    for id in v1IDs {
      if let parent = try document("\(id)/json")?["parent"]?.string { parents.insert(parent) }
    }
    return v1IDs.filter { !parents.contains($0) }
  }

  /// From the base up.
  private func chain(_ head: String) throws(Failure) -> [V1Layer] {
    var chain: [V1Layer] = []
    var seen: Set<String> = []
    var next: String? = head
    while let id = next {
      guard MemberName.isID(id) else { throw malformed("\(shown(id.utf8)) is no layer's id") }
      guard seen.insert(id).inserted else { throw malformed("the layer \(id) is its own ancestor") }
      let name = "\(id)/json"
      let bytes = try required(name, by: chain.last?.id ?? "repositories")
      let json = try parsed(bytes, name)
      if let own = json["id"]?.string, own != id {
        throw malformed("\(name) is of another layer: \(shown(own.utf8))")
      }
      chain.append(V1Layer(id: id, json: bytes))
      next = json["parent"]?.string.flatMap { $0.isEmpty ? nil : $0 }
    }
    return chain.reversed()
  }

  private func v1Layer(_ id: String) throws(Failure) -> LoadedLayer {
    if members.isLazy && places.has(.v1(id)) { return .present(.v1(id)) }
    guard let found = try members.layer("\(id)/layer.tar") else {
      throw malformed("\(id)/layer.tar is missing")
    }
    return .unpacked(place: found.place, found.layer)
  }
}
