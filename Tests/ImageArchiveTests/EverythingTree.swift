import Foundation
import TestSupport

/// Fills a directory with one of each thing that a tar can hold.
func makeEverything(in root: Path, sparse: Bool = true, devices: Bool = true) throws {
  let folder = root / "folder"
  try folder.mkdir()
  try (folder / "plain").write("plain content\n")
  try (folder / "plain").chown(3_000_000, 4_000_000)
  try (folder / "plain").chmod(0o6751)
  try (folder / "empty").write("")
  try (folder / "empty").chmod(0o000)
  try (root / "large").write(bytes: (0..<700_001).map { UInt8(truncatingIfNeeded: $0 &* 7) })
  try (folder / "second name").write("x")
  try (folder / "plain").link(to: root / "another name")
  try (root / "link").symlink(to: "../nowhere/at all")
  try (root / "link").chown(12, 34)
  try (root / "link").link(to: root / "link too")
  try (root / Path(bytes: [0x66, 0xFF, 0xFE, 0x20, 0xC3])).write("no UTF-8")
  try (root / "de\u{0301}composed").write("two characters")
  try (root / "Ő").mkdir()
  let long = Path(String(repeating: "long ", count: 45))
  try (root / "Ő" / long).mkdir()
  try (root / "Ő" / long / long).write("deep")
  try (root / "target").symlink(to: Path(String(repeating: "x/", count: 150)))
  try (root / "sticky").mkdir()
  try (root / "sticky").chmod(0o3770)
  try (root / "sticky").chown(65534, 7)
  try (root / "fifo").mknod(.fifo, mode: 0o640)
  if devices {
    try (root / "null").mknod(.character, mode: 0o666, major: 1, minor: 3)
    try (root / "disk").mknod(.block, mode: 0o600, major: 259, minor: 66_000)
  }
  if sparse { try makeSparse(in: root) }
  try setTimes(below: root)
}

private func makeSparse(in root: Path) throws {
  let file = try (root / "sparse").open(O_RDWR | O_CREAT)
  defer { file.close() }
  try file.truncate(6 << 20)
  try file.write([UInt8](repeating: 7, count: 9000), at: 1 << 20)
  try file.write([UInt8](repeating: 8, count: 4096), at: 4 << 20)
  let hole = try (root / "only a hole").open(O_RDWR | O_CREAT)
  try hole.truncate(1 << 20)
  hole.close()
}

/// Attributes and ACLs, which not every format has.
func addAttributes(in root: Path, acls: Bool = true) throws {
  try (root / "large").setAttribute("user.note", Array("text\u{0}with\nbytes".utf8) + [0xFF])
  try (root / "folder").setAttribute("user.empty", [UInt8]())
  // cap_net_raw=ep, version 2.
  try (root / "large").setAttribute(
    "security.capability",
    [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  try (root / "large").setAttribute("trusted.note", "for root")
  try (root / "link").setAttribute("trusted.link", "of a link")
  if acls {
    try (root / "folder/second name").setAttribute(
      "system.posix_acl_access",
      ACL.bytes([.user(123_456, 6), .group(654_321, 4)], owner: 6, group: 4, other: 0, mask: 6))
    try (root / "sticky").setAttribute(
      "system.posix_acl_default", ACL.bytes([.user(123_457, 7)], owner: 7, group: 5, other: 1))
  }
  try setTimes(below: root)
}

/// Each its own, to the nanosecond.
private func setTimes(below root: Path) throws {
  for (index, node) in try walk(root).enumerated() {
    let time = Moment(1_500_000_000 + Int64(index) * 86_400, UInt32(index) * 1_000_001 + 123)
    try (root / node.path).setTimes(accessed: time, modified: time)
  }
}
