// Linux's values that Glibc declares only with _GNU_SOURCE.
public let seekData: Int32 = 3
public let seekHole: Int32 = 4
/// With O_DIRECTORY in it, as open(2) wants.
public let openTemporary: Int32 = 0o20_200_000
public let openPath: Int32 = 0o10_000_000
public let fallocateKeepSize: Int32 = 1
public let fallocatePunchHole: Int32 = 2
public let fallocateCollapse: Int32 = 8
public let fallocateZero: Int32 = 16
public let renameNoReplace: UInt32 = 1
public let renameExchange: UInt32 = 2
public let renameWhiteout: UInt32 = 4
public let attributeCreate: Int32 = 1
public let attributeReplace: Int32 = 2
public let lockShared: Int32 = 1
public let lockExclusive: Int32 = 2
public let lockUnlock: Int32 = 8
public let lockNonBlocking: Int32 = 4
public let readLock: Int32 = 0
public let writeLock: Int32 = 1
public let unlock: Int32 = 2
