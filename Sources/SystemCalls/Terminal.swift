internal import Glibc

/// What a command knows of the terminal that it writes to.
public enum Terminal {
  /// The columns of the terminal behind a descriptor (ioctl TIOCGWINSZ); nil where it is none. 0 where the
  /// terminal does not tell.
  public static func columns(of descriptor: CInt) -> Int? {
    // struct winsize: rows, columns and two more, 16 bits each.
    var window = [UInt8](repeating: 0, count: 8)
    guard (try? FileSystemCall.control(descriptor, 0x5413, &window)) != nil else { return nil }
    return Int(window[2]) | Int(window[3]) << 8
  }

  /// Whether the environment asks for no colours (no-color.org), or the terminal has none.
  public static var isPlain: Bool {
    let wish = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
    let isDumb = getenv("TERM").map { String(cString: $0) == "dumb" } ?? false
    return wish || isDumb
  }
}
