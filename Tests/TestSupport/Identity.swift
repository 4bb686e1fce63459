internal import CTestCalls
internal import Glibc

/// Who makes a system call.
public struct Identity: Sendable {
  public var uid: UInt32
  public var gid: UInt32
  public var groups: [UInt32]
  public var umask: UInt32

  public init(uid: UInt32, gid: UInt32, groups: [UInt32] = [], umask: UInt32 = 0o022) {
    self.uid = uid
    self.gid = gid
    self.groups = groups
    self.umask = umask
  }

  /// Root with that umask.
  public static func root(umask: UInt32) -> Identity { Identity(uid: 0, gid: 0, umask: umask) }

  /// Runs the body on this thread as this user, with no capability unless it is root; the other
  /// threads keep who they are.
  public func run<R>(_ body: () throws -> R) throws -> R {
    var result: Result<R, any Error>?
    try withoutActuallyEscaping(body) { body in
      let call = { result = Result { try body() } }
      try withoutActuallyEscaping(call) { call in
        let box = Box(call)
        let context = Unmanaged.passRetained(box)
        defer { context.release() }
        try check(
          ct_run_as(
            uid, gid, groups, groups.count, umask,
            { context in
              guard let context else { return }
              Unmanaged<Box>.fromOpaque(context).takeUnretainedValue().call()
            }, context.toOpaque()))
      }
    }
    guard let result else { throw Errno(EINVAL) }
    return try result.get()
  }

  private final class Box {
    let call: () -> Void
    init(_ call: @escaping () -> Void) { self.call = call }
  }
}

/// An account of the machine, made by the test script for the mounts of an unprivileged user.
public struct Account: Sendable {
  public let name: String
  public let uid: UInt32
  public let gid: UInt32

  /// `unionfs-test`, or nothing where nobody made it.
  public static let unprivileged = Account(named: "unionfs-test")

  init?(named name: String) {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 4096)
    guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
      return nil
    }
    (self.name, uid, gid) = (name, entry.pw_uid, entry.pw_gid)
  }

  public var identity: Identity { Identity(uid: uid, gid: gid) }
}
