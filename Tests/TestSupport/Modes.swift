import Glibc

/// In which modes the mounts of a run are.
public enum Modes {
  /// Mount options that every mount gets beside its own: `scripts/test-modes` sets them.
  public static let options = (currentEnvironment["UNIONFS_TEST_OPTIONS"] ?? "")
    .split(separator: ",").map(String.init)

  /// Whether the kernel (6.9 and later) reads and writes files by itself in this run.
  public static let hasPassthrough = !options.contains("passthrough=off") && kernel >= (6, 9)

  /// Whether the kernel (6.6 and later) collects what is written to files of a large file system: the
  /// top branch's disk has it when the file is closed or flushed, and the times are the kernel's own.
  public static let collectsWrites =
    !hasPassthrough && !options.contains("writeback=off") && kernel >= (6, 6)

  /// Whether a lower file that is open to be read shows what is written to it later, also a large one.
  public static let readersAreCoherent = !hasPassthrough || !options.contains("readers=fast")

  /// Whether whiteouts and opaque directories are written as overlayfs has them.
  public static let writesOverlay = options.contains("whiteout=overlay")

  private static let kernel: (Int, Int) = {
    var name = utsname()
    guard uname(&name) == 0 else { return (0, 0) }
    let release = withUnsafeBytes(of: &name.release) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 0)
  }()
}
