/// Labels as they are kept: none with an empty value, which is how a client takes one away.
enum Labels {
  /// Bytes of a name and its value together, as containerd has it.
  static let limit = 4096

  static func checked(_ labels: [String: String]) throws(SnapshotError) -> [String: String] {
    for (name, value) in labels {
      guard name.utf8.count + value.utf8.count <= limit else {
        throw SnapshotError(
          .invalidArgument,
          "label '\(name.prefix(64))' and its value have more than \(limit) bytes together")
      }
      guard !name.utf8.contains(0), !value.utf8.contains(0) else {
        throw SnapshotError(.invalidArgument, "label '\(name.prefix(64))' has a NUL in it")
      }
    }
    for name in [IDMapping.user, IDMapping.group] {
      if let mapping = labels[name], !mapping.isEmpty { _ = try IDMapping.option(mapping, name) }
    }
    return labels.filter { !$0.value.isEmpty }
  }

  /// What an update makes of the labels there are.
  ///
  /// - Parameter fields: `labels` or `labels.NAME`; none means all that can be changed.
  static func updated(
    _ old: [String: String], with new: [String: String], fields: [String]
  ) throws(SnapshotError) -> [String: String] {
    var result = old
    if fields.isEmpty { result = new }
    for field in fields {
      if field == "labels" {
        result = new
      } else if field.hasPrefix("labels.") {
        let name = String(field.dropFirst("labels.".count))
        result[name] = new[name]
      } else {
        throw SnapshotError(
          .invalidArgument,
          "field '\(field)' cannot be changed; labels can, by 'labels' or 'labels.NAME'")
      }
    }
    return try checked(result)
  }
}

/// The labels by which containerd asks for other ids than those on disk: `CONTAINER:HOST:COUNT`, more of
/// them after commas.
enum IDMapping {
  static let user = "containerd.io/snapshot/uidmapping"
  static let group = "containerd.io/snapshot/gidmapping"

  /// As the mount option has it: all numbers with colons between.
  static func option(_ mapping: String, _ label: String) throws(SnapshotError) -> String {
    let ranges = mapping.split(separator: ",", omittingEmptySubsequences: false)
    for range in ranges {
      let numbers = range.split(separator: ":", omittingEmptySubsequences: false)
      guard numbers.count == 3, numbers.allSatisfy({ UInt32($0) != nil && $0.first != "+" }) else {
        throw SnapshotError(
          .invalidArgument,
          "label '\(label)' is no CONTAINER:HOST:COUNT[,…] of numbers: '\(mapping)'")
      }
    }
    return ranges.joined(separator: ":")
  }
}
