public import SystemPackage

/// How `unionfs-swift which` asks the server where a name comes from: an ioctl on the name's directory.
///
/// In goes the name, NUL-terminated; an empty one means the directory itself. Out comes text,
/// NUL-terminated: a line for each branch that has something to say, top first, of tab-separated
/// `STATE PERMISSION BRANCH PATH`, BRANCH the branch's directory and PATH what lies below it. Both are
/// escaped as in /proc/mounts. Lines that no longer fit are replaced by one `more COUNT`.
/// A name that no branch holds has no line.
public enum WhichProtocol {
  /// Bytes of the buffer that goes both ways.
  public static let bufferSize = 8192
  /// `_IOWR('u', 1, char[8192])`.
  public static let command: UInt32 = 3 << 30 | 8192 << 16 | 0x75 << 8 | 1

  /// What a branch has to say of a name.
  public enum State: String, Sendable, CaseIterable {
    /// The mount shows this one; of a merged directory the top one.
    case visible
    /// A lower part of a merged directory.
    case merged
    /// Something above hides it.
    case hidden
    /// `.wh.NAME` hides what lies below.
    case whiteout
    /// `.wh..wh..opq` in the directory hides what lies below.
    case opaque
  }

  public struct Entry: Sendable, Equatable {
    public var state: State
    /// aufs's spelling: `rw`, `ro+wh`.
    public var permission: String
    /// The branch's directory.
    public var branch: FilePath
    /// Below the branch: the entry's own path, or the whiteout's or marker's; empty for the root.
    public var path: FilePath

    public init(state: State, permission: String, branch: FilePath, path: FilePath) {
      self.state = state
      self.permission = permission
      self.branch = branch
      self.path = path
    }

    /// Where the entry really lies.
    public var realPath: FilePath { branch.appending(path.components) }
  }

  public struct Answer: Sendable, Equatable {
    /// Top branch first.
    public var entries: [Entry]
    /// How many lines did not fit.
    public var omitted = 0

    public init(entries: [Entry], omitted: Int = 0) {
      self.entries = entries
      self.omitted = omitted
    }
  }

  /// The server's answer, NUL-terminated, never longer than `bufferSize`.
  public static func format(_ entries: [Entry]) -> [UInt8] {
    let room = bufferSize - "more\t1000000\n\0".utf8.count
    var text: [UInt8] = []
    for (index, entry) in entries.enumerated() {
      let line = line(of: entry)
      if text.count + line.count > room {
        text += "more\t\(entries.count - index)\n".utf8
        break
      }
      text += line
    }
    return text + [0]
  }

  /// nil where the text is none that `format` makes.
  public static func parse(_ buffer: some Collection<UInt8>) -> Answer? {
    var answer = Answer(entries: [])
    for line in buffer.prefix(while: { $0 != 0 }).split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
      if fields.count == 2, fields[0].elementsEqual("more".utf8) {
        guard let count = Int(String(decoding: fields[1], as: UTF8.self)), count > 0 else {
          return nil
        }
        answer.omitted = count
      } else if fields.count == 4,
        let state = State(rawValue: String(decoding: fields[0], as: UTF8.self))
      {
        let entry = Entry(
          state: state, permission: String(decoding: fields[1], as: UTF8.self),
          branch: FilePath(bytes: OctalEscape.unescape(fields[2])),
          path: FilePath(bytes: OctalEscape.unescape(fields[3])))
        answer.entries.append(entry)
      } else {
        return nil
      }
    }
    return answer
  }

  static func line(of entry: Entry) -> [UInt8] {
    let tab = [UInt8(ascii: "\t")]
    return Array(entry.state.rawValue.utf8) + tab + Array(entry.permission.utf8) + tab
      + OctalEscape.escape(entry.branch.pathBytes) + tab
      + OctalEscape.escape(entry.path.pathBytes) + [UInt8(ascii: "\n")]
  }
}
