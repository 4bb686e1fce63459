internal import CTestCalls
internal import Glibc

/// What a system call answered instead of a result; prints as `ENOENT`.
public struct Errno: Error, Equatable, Hashable, CustomStringConvertible {
  public let code: Int32
  public init(_ code: Int32) { self.code = code }
  public var description: String { String(cString: ct_errno_name(code)) }

  public static let exists = Errno(EEXIST)
  public static let missing = Errno(ENOENT)
  public static let notPermitted = Errno(EPERM)
  public static let denied = Errno(EACCES)
  public static let readOnly = Errno(EROFS)
  public static let notEmpty = Errno(ENOTEMPTY)
  public static let notDirectory = Errno(ENOTDIR)
  public static let isDirectory = Errno(EISDIR)
  public static let invalid = Errno(EINVAL)
  public static let nameTooLong = Errno(ENAMETOOLONG)
  public static let otherDevice = Errno(EXDEV)
  public static let noSpace = Errno(ENOSPC)
  public static let noAttribute = Errno(ENODATA)
  public static let tooSmall = Errno(ERANGE)
  public static let loop = Errno(ELOOP)
  public static let again = Errno(EAGAIN)
  public static let badDescriptor = Errno(EBADF)
  public static let noSuchAddress = Errno(ENXIO)
  public static let notSupported = Errno(EOPNOTSUPP)
  public static let notConnected = Errno(ENOTCONN)
  public static let busy = Errno(EBUSY)
}

/// The answer itself, or the errno that a negative one stands for.
@discardableResult
func check<T: SignedInteger>(_ result: T) throws(Errno) -> T {
  if result < 0 { throw Errno(Int32(-result)) }
  return result
}
