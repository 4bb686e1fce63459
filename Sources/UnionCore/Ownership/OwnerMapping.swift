public import SystemCalls
public import SystemPackage

/// How owners go in and out of a mount.
public struct OwnerMapping: Sendable, Equatable {
  public var users = IDMapping()
  public var groups = IDMapping()
  /// Shown as the owner of everything. What is written is mapped all the same.
  public var squashedUser: UInt32?
  public var squashedGroup: UInt32?

  public init() {}

  /// Whether every id is shown as it is.
  public var isIdentity: Bool {
    users.isIdentity && groups.isIdentity && squashedUser == nil && squashedGroup == nil
  }

  public func shown(user: UInt32) -> UInt32 { squashedUser ?? users.shown(user) }
  public func shown(group: UInt32) -> UInt32 { squashedGroup ?? groups.shown(group) }

  /// The id on disk for one that a caller gives or has. EOVERFLOW where there is none, as on an idmapped
  /// mount: nothing is kept with an owner that nobody is.
  ///
  /// - Parameter isRoots: root may name an id of the disk that is shown as another: podman gives a
  ///   container's root so to the disk's.
  public func disk(user: UInt32, isRoots: Bool = false) throws(Errno) -> UInt32 {
    try Self.disk(user, users, isRoots)
  }

  public func disk(group: UInt32, isRoots: Bool = false) throws(Errno) -> UInt32 {
    try Self.disk(group, groups, isRoots)
  }

  private static func disk(
    _ id: UInt32, _ mapping: IDMapping, _ isRoots: Bool
  ) throws(Errno) -> UInt32 {
    if let place = mapping.disk(id) { return place }
    guard isRoots, mapping.isOnDisk(id) else { throw Errno.overflow }
    return id
  }

  /// Attributes as they are shown.
  public func shown(_ attributes: Attributes) -> Attributes {
    if isIdentity { return attributes }
    var attributes = attributes
    attributes.owner = shown(user: attributes.owner)
    attributes.group = shown(group: attributes.group)
    return attributes
  }

  /// The owner that a copy gets on another branch. An idmapped mount's ids become those of the disk.
  public func copied(_ attributes: Attributes) -> Attributes {
    if users.isIdentity && groups.isIdentity { return attributes }
    var attributes = attributes
    attributes.owner = users.disk(users.shown(attributes.owner)) ?? attributes.owner
    attributes.group = groups.disk(groups.shown(attributes.group)) ?? attributes.group
    return attributes
  }
}

/// The ids that a POSIX ACL names (`posix_acl_xattr.h`: a version of 4 bytes, then entries of tag, bits and
/// id, little-endian).
extension OwnerMapping {
  private static let (header, entry) = (4, 8)
  private static let (namedUser, namedGroup): (UInt16, UInt16) = (2, 8)

  /// Maps the ids in an ACL's value from the disk for a reader.
  public func show(acl value: UnsafeMutableRawBufferPointer) {
    Self.change(acl: value) { tag, id in
      // A squashed owner is one for all; a list would name one twice.
      tag == Self.namedUser ? users.shown(id) : groups.shown(id)
    }
  }

  /// Maps the ids in an ACL's value that is to be kept. EOVERFLOW for one that has no place on disk.
  public func keep(acl value: UnsafeMutableRawBufferPointer) throws(Errno) {
    var isOutside = false
    Self.change(acl: value) { tag, id in
      let place = tag == Self.namedUser ? users.disk(id) : groups.disk(id)
      if place == nil { isOutside = true }
      return place ?? id
    }
    if isOutside { throw Errno.overflow }
  }

  private static func change(
    acl value: UnsafeMutableRawBufferPointer, _ map: (UInt16, UInt32) -> UInt32
  ) {
    var at = header
    while at + entry <= value.count {
      let tag = UInt16(littleEndian: value.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      if tag == namedUser || tag == namedGroup {
        let id = UInt32(littleEndian: value.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self))
        value.storeBytes(of: map(tag, id).littleEndian, toByteOffset: at + 4, as: UInt32.self)
      }
      at += entry
    }
  }
}
