public import JSONValue
public import SystemCalls
public import UnionCore

/// An image as its store tells it.
public struct Image: Sendable {
  public let id: ObjectID
  /// The image below; nil for a base image, and where an image of a newer Docker was not built here.
  public let parent: ObjectID?
  /// `graph/ID/json`; in a newer Docker's store the image's configuration.
  public let json: JSONValue
  public let created: Timestamp?
  /// Its layers, topmost first: in a graph its own alone, in a newer Docker's store all of them.
  public let layers: [Layer]

  /// What containers of it begin with: `Cmd`, `Env` …
  public var config: JSONValue? { json["config"] }
}

/// A layer as its image tells it.
public struct Layer: Sendable, Equatable {
  /// Its directory's name in `aufs/diff`.
  public let id: LayerID
  /// Bytes of its regular files; nil where the store does not tell.
  public let size: Int64?
}

/// A container as its store tells it.
public struct Container: Sendable {
  public let id: ObjectID
  /// `config.json`, of a newer Docker `config.v2.json`.
  public let json: JSONValue
  /// Its own layer: its files, and its mount point's name.
  public let layer: LayerID
  public let created: Timestamp?

  /// Without the slash.
  public var name: String {
    let name = json["Name"]?.string ?? ""
    return name.hasPrefix("/") ? String(name.dropFirst()) : name
  }

  /// The image that it was made from.
  public var image: ObjectID? {
    let text = json["Image"]?.string ?? ""
    return ObjectID(text.hasPrefix("sha256:") ? text.dropFirst(7) : Substring(text))
  }

  /// Whether its process is there; the store may still say so of one that a crash has ended.
  public var isRunning: Bool {
    guard json["State"]?["Running"]?.bool ?? false else { return false }
    guard let process = json["State"]?["Pid"]?.integer, process > 0 else { return true }
    return (try? FileSystemCall.status(following: "/proc/\(process)")) != nil
  }
}

/// A name of an image.
public struct Tag: Sendable, Hashable, Comparable {
  public let name: String
  /// The tag; `sha256:…` for a registry's digest of what was pulled.
  public let tag: String
  public let image: ObjectID

  public var isDigest: Bool { tag.contains(":") }
  public var reference: String { isDigest ? "\(name)@\(tag)" : "\(name):\(tag)" }

  public static func < (first: Tag, second: Tag) -> Bool {
    (first.name, first.tag) < (second.name, second.tag)
  }
}
