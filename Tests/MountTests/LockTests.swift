import Glibc
import TestSupport
import Testing

@Suite(.mounts) struct Locks {
  @Test(arguments: ["l", "t"] as [Path])
  func aRecordLockKeepsOtherProcessesOutOfItsRange(name: Path) throws {
    try withUnion(top: [.file("t", "0123456789")], lower: [.file("l", "0123456789")]) { u throws in
      let file = try u.open(name, O_RDWR)
      try file.lock(writeLock, from: 2, count: 3, ofProcess: true)
      #expect(childLock(u / name, writeLock, 4, 1) == .again)
      #expect(childLock(u / name, readLock, 0, 3) == .again)
      #expect(childLock(u / name, writeLock, 5, 0) == nil)
      try file.lock(unlock, from: 2, count: 3, ofProcess: true)
      #expect(childLock(u / name, writeLock, 0, 0) == nil)
      try file.lock(readLock, ofProcess: true)
      #expect(childLock(u / name, readLock, 0, 0) == nil)
      #expect(childLock(u / name, writeLock, 0, 0) == .again)
    }
  }

  @Test func theHolderOfALockIsNamed() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      let holder = try LockHolder(u / "f", writeLock, 1, 2)
      #expect(holder.holds(waiting: true))
      let found = try file.lockInTheWay(of: readLock)
      #expect(found.type == writeLock && found.process == holder.process)
      #expect(throws: Errno.again) { try file.lock(writeLock, ofProcess: true) }
      #expect(holder.release() == 0)
      #expect(try file.lockInTheWay(of: writeLock).type == unlock)
      try file.lock(writeLock, ofProcess: true)
    }
  }

  @Test func aWaitingProcessGetsTheLockWhenItIsFree() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let file = try u.open("f", O_RDWR)
      try file.lock(writeLock, ofProcess: true)
      let waiter = try LockHolder(u / "f", writeLock, 0, 0)
      #expect(!waiter.holds(waiting: false))
      try file.lock(unlock, ofProcess: true)
      #expect(waiter.holds(waiting: true))
      #expect(throws: Errno.again) { try file.lock(readLock, ofProcess: true) }
      #expect(waiter.release() == 0)
    }
  }

  @Test func aLockOfALowerFileHoldsOverItsCopyUp() throws {
    try withUnion(lower: [.file("f", "text"), .file("g", "text")]) { u throws in
      let (record, whole) = (try u.open("f", O_RDWR), try u.open("g", O_RDONLY))
      try record.lock(writeLock, from: 0, count: 2, ofProcess: true)
      try whole.flock(lockShared)
      try (u / "f").chmod(0o600)
      try u.open("g", O_WRONLY).write("T", at: 0)
      #expect(childLock(u / "f", writeLock, 0, 1) == .again)
      #expect(childFlock(u / "g", lockExclusive | lockNonBlocking) == .again)
      #expect(childFlock(u / "g", lockShared | lockNonBlocking) == nil)
      try u.expect(top: ["f=text", "g=Text"])
    }
  }

  @Test(arguments: ["l", "t"] as [Path])
  func aFlockIsSharedOrExclusiveAndEndsWithTheClose(name: Path) throws {
    try withUnion(top: [.file("t")], lower: [.file("l")]) { u throws in
      let first = try u.open(name, O_RDONLY)
      try first.flock(lockShared)
      #expect(childFlock(u / name, lockShared | lockNonBlocking) == nil)
      #expect(childFlock(u / name, lockExclusive | lockNonBlocking) == .again)
      let second = try u.open(name, O_RDONLY)
      #expect(throws: Errno.again) { try second.flock(lockExclusive | lockNonBlocking) }
      first.close()
      // Waits: another test's child may hold a copy of the descriptor up to its exec.
      try second.flock(lockExclusive)
      #expect(childFlock(u / name, lockShared | lockNonBlocking) == .again)
      try second.flock(lockUnlock)
      #expect(childFlock(u / name, lockExclusive | lockNonBlocking) == nil)
      try u.expect(top: ["t="])
    }
  }

  @Test func locksOfOpenFileDescriptionsExcludeEachOther() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let (first, second) = (try u.open("f", O_RDWR), try u.open("f", O_RDWR))
      try first.lock(writeLock, from: 0, count: 2)
      #expect(throws: Errno.again) { try second.lock(writeLock, from: 1, count: 2) }
      try second.lock(writeLock, from: 2, count: 2)
      first.close()
      try second.lock(writeLock, from: 0, count: 0)
    }
  }

  @Test func theLocksOfAProcessEndWithItsFirstClose() throws {
    try withUnion(lower: [.file("f", "text")]) { u throws in
      let (first, second) = (try u.open("f", O_RDWR), try u.open("f", O_RDWR))
      try first.lock(writeLock, ofProcess: true)
      #expect(childLock(u / "f", writeLock, 0, 0) == .again)
      second.close()
      #expect(childLock(u / "f", writeLock, 0, 0) == nil)
    }
  }
}
