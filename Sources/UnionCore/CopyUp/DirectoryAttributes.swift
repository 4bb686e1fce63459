public import SystemCalls
public import SystemPackage

/// What makes a copied directory the same but for what is in it.
public enum DirectoryAttributes {
  /// Owner, extended attributes, mode and times; a caller without privilege keeps what it may set.
  ///
  /// - Parameters:
  ///   - directory: that holds the source `name`; any descriptor of it.
  ///   - target: a readable descriptor of the copy.
  public static func copy(
    at directory: CInt, _ name: CName, _ attributes: Attributes, to target: CInt
  ) throws(Errno) {
    do throws(Errno) {
      try FileSystemCall.changeOwner(
        of: target, owner: attributes.owner, group: attributes.group)
    } catch { if error != .notPermitted { throw error } }
    try ExtendedAttributes.copy(
      list: { (buffer) throws(Errno) in
        try FileSystemCall.listExtendedAttributes(at: directory, name, into: buffer)
      },
      get: { (key, buffer) throws(Errno) in
        try FileSystemCall.extendedAttribute(at: directory, name, key: key, into: buffer)
      },
      set: { (key, value) throws(Errno) in
        try FileSystemCall.setExtendedAttribute(at: target, nil, key: key, to: value)
      })
    try FileSystemCall.changeMode(of: target, attributes.permissions)
    try FileSystemCall.changeTimes(
      of: target, accessed: .to(attributes.accessed), modified: .to(attributes.modified))
  }
}
