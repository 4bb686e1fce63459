internal import SystemCalls
internal import SystemPackage
internal import UnionCore

// Mounts without ACLs. With `noacl` modes alone decide, ACLs are neither seen nor set nor inherited; the branches
// keep theirs, and a copy-up takes them along as any other attribute. Where an attribute tells owners
// (`Union+Owners.swift`) there are none: they go by ids that the disk has.

extension Union {
  func isACL(_ key: CName) -> Bool {
    hasPrefix(key, "system.posix_acl_")
  }

  /// EOPNOTSUPP for an ACL of a mount without, as of a file system that knows none.
  func checkACLs(_ key: CName) throws(Errno) {
    if !hasACLs, isACL(key) { throw Errno.notSupported }
  }

  /// Takes from what was just made the ACLs that its directory's default one gave it, and gives it the
  /// mode that it would have had without. With a nil name the descriptor's own file.
  ///
  /// - Parameter mode: what was asked for, less the umask. Of the bits beyond the permissions (a directory's
  ///   set-group-ID) those that it has are right.
  func disinherit(at directory: CInt, _ name: CName?, mode: UInt32) throws(Errno) {
    for key in ["system.posix_acl_access", "system.posix_acl_default"] {
      do throws(Errno) {
        try FileSystemCall.removeExtendedAttribute(at: directory, name, key: key)
      } catch {
        // Files have no default one; some file systems have none of either.
        switch error {
        case .noData, .notSupported: break
        default: throw error
        }
      }
    }
    let found =
      if let name { try FileSystemCall.status(at: directory, name) } else {
        try FileSystemCall.status(of: directory)
      }
    let wanted = found.permissions & ~0o777 | mode & 0o777
    if wanted == found.permissions { return }
    if let name {
      try FileSystemCall.changeMode(at: directory, name, wanted)
    } else {
      try FileSystemCall.changeMode(of: directory, wanted)
    }
  }
}
