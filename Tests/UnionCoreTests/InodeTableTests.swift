import Foundation
import SystemPackage
import SystemCalls
import Testing
@testable import UnionCore

/// A folder of its own, removed afterwards.
private func withFolder(_ body: (FilePath, CInt) throws -> Void) throws {
  let path = NSTemporaryDirectory() + "/unionfs-swift-test." + UUID().uuidString
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  let folder = try FileDescriptor.open(FilePath(path), .readOnly)
  defer { try? folder.close() }
  try body(FilePath(path), folder.rawValue)
}

/// A file of the top branch, whose root this is.
private func file(_ inode: UInt64, birth: Int64, in folder: CInt) -> Attributes {
  var attributes = (try? FileSystemCall.status(of: folder)) ?? Attributes()
  attributes.inode = inode
  attributes.birth = birth
  return attributes
}

@Suite struct InodeTableTests {
  @Test func whatIsRecordedIsThereAtTheNextMount() throws {
    try withFolder { _, folder in
      let table = try InodeTable(in: folder)
      try table.record(top: 10, birth: 5, number: 100)
      try table.record(top: 11, birth: 6, number: 101)
      try table.record(top: 12, birth: 6, number: 12)
      try table.setLinkCount(of: 100, to: 3)
      try table.setLinkCount(of: 101, to: 2)
      try table.setLinkCount(of: 101, to: 0)
      table.forget(top: file(11, birth: 7, in: folder))
      #expect(table.number(ofTop: 11) == 101, "another file had the inode")
      table.forget(top: file(11, birth: 6, in: folder))
      for again in [table, try InodeTable(in: folder)] {
        #expect(again.number(ofTop: 10) == 100)
        #expect(again.number(ofTop: 11) == nil && again.number(ofTop: 12) == nil)
        #expect(again.linkCount(of: 100) == 3 && again.linkCount(of: 101) == nil)
      }
    }
  }

  @Test func aNewFileOnAnOldInodeIsTold() throws {
    try withFolder { _, folder in
      let table = try InodeTable(in: folder)
      try table.record(top: 10, birth: 5, number: 100)
      #expect(table.number(ofTop: file(10, birth: 5, in: folder)) == 100)
      #expect(table.number(ofTop: file(10, birth: 6, in: folder)) == nil)
      var elsewhere = file(10, birth: 5, in: folder)
      elsewhere.device += 1
      #expect(table.number(ofTop: elsewhere, isThere: true) == nil, "of another file system")
      #expect(table.number(ofTop: 10) == 100)
      #expect(table.number(ofTop: file(10, birth: 6, in: folder), isThere: true) == nil)
      #expect(table.number(ofTop: 10) == nil)
    }
  }

  @Test(arguments: [1, 20, 39])
  func aTornEndIsCutOff(bytes: Int) throws {
    try withFolder { path, folder in
      let first = try InodeTable(in: folder)
      try first.record(top: 10, birth: 5, number: 100)
      try first.record(top: 11, birth: 5, number: 101)
      let file = path.appending("inodes")
      let whole = try Data(contentsOf: URL(filePath: file.string))
      try whole.dropLast(bytes).write(to: URL(filePath: file.string))
      let again = try InodeTable(in: folder)
      #expect(again.number(ofTop: 10) == 100 && again.number(ofTop: 11) == nil)
      try again.record(top: 12, birth: 5, number: 102)
      #expect(try InodeTable(in: folder).number(ofTop: 12) == 102)
    }
  }

  @Test func aFileOfSomethingElseIsReplaced() throws {
    try withFolder { path, folder in
      try Data("something else, longer than the first line".utf8)
        .write(to: URL(filePath: path.appending("inodes").string))
      let table = try InodeTable(in: folder)
      try table.record(top: 10, birth: 5, number: 100)
      #expect(try InodeTable(in: folder).number(ofTop: 10) == 100)
    }
  }
}
