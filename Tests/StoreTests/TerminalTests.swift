import TestSupport
import Testing

/// Long work on a terminal: progress, and Ctrl-C.
@Suite(
  .serialized, .enabled(if: runsContainers, "needs root, runc and busybox-static"),
  .enabled(if: has(program: "python3"), "needs python3"))
struct TerminalTests {
  /// Runs a command on a terminal of its own. The script is told `until`: what of its output is waited for
  /// before Ctrl-C is typed; and `feed`, a FIFO that gets `bytes` of a file and no end.
  private static let script = """
    import os, pty, select, sys
    until, feed, source, count, *command = sys.argv[1:]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    data = b""
    if feed:
        fifo = os.open(feed, os.O_WRONLY)
        with open(source, "rb") as file:
            data = file.read(int(count))
    output, typed = b"", not until
    while True:
        if data:
            # A piece at a time: what is all there at once may be read before anything is shown of it.
            data = data[os.write(fifo, data[:65536]):]
            if not select.select([terminal], [], [], 0.02)[0]:
                continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        output += more
        if not typed and until.encode() in output:
            os.write(terminal, b"\\x03")
            typed, data = True, b""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.buffer.write(output)
    sys.exit(status if status >= 0 else 128 - status)
    """

  private func onTerminal(
    _ store: TestStore, _ words: [String], until: String = "",
    feeding: (fifo: Path, source: Path, count: Int)? = nil
  ) throws -> Finished {
    let fed =
      feeding.map { ["\($0.fifo)", "\($0.source)", "\($0.count)"] } ?? ["", "", "0"]
    return try run(
      ["python3", "-c", Self.script, until] + fed
        + [Server.binary, words[0], "--root", "\(store.root)"] + words.dropFirst(), seconds: 120)
  }

  /// An image with a file of some megabytes that cannot be compressed, as an archive.
  private func archive(_ store: TestStore) throws -> Path {
    try shell(
      "dd", "if=/dev/urandom", "of=\(store.base / "large")", "bs=1M", "count=8", "status=none")
    try store.importBase()
    let archive = store.folder / "base.tar"
    try store.output("save", "-o", "\(archive)", "base")
    return archive
  }

  @Test(arguments: [["load", "-i"], ["import"]])
  func aLoadIsShownAndCalledOff(_ verb: [String]) throws {
    let (store, other) = (try TestStore(), try TestStore())
    let archive = try archive(store)
    let fifo = other.folder / "fifo"
    try fifo.mknod(.fifo, mode: 0o600)
    let end = try onTerminal(
      other, verb + ["\(fifo)"], until: "MB/s", feeding: (fifo, archive, 6 << 20))
    #expect(end.status == 130, "\(end.output)\(end.errors)")
    #expect(end.output.contains("\r\u{1B}[K\(verb[0])ing  "), "\(end.output)")
    #expect(
      end.output.hasSuffix("\r\u{1B}[Kunionfs-swift: cancelled; nothing was changed\r\n"),
      "\(end.output)")
    #expect(try other.output("images", "-aq") == "")
    #expect(try (other.root / "aufs/diff").names() == [])
    try other.expectSound()
  }

  @Test func aBuildThatRunsSomethingIsCalledOffAndItsContainerEnds() throws {
    let store = try TestStore()
    try store.importBase()
    let before = try store.output("images", "-aq")
    try (store.folder / "context").mkdir()
    // The first process of a container does not end by SIGINT.
    try (store.folder / "context/Dockerfile").write(
      "FROM base\nRUN echo begun; : >/987654; exec busybox tail -f /987654\n")
    let end = try onTerminal(
      store, ["build", "-t", "x", "\(store.folder / "context")"], until: "\nbegun")
    #expect(end.status == 130, "\(end.output)\(end.errors)")
    #expect(
      end.output.contains("unionfs-swift: cancelled; nothing of the last step was kept"),
      "\(end.output)")
    #expect(try store.output("images", "-aq") == before)
    try store.expectSound()
    #expect(!(try shell("ps", "-eo", "args").contains("tail -f /987654")))
  }

  @Test func aBuildShowsWhatItCopiesOnATerminalAlone() throws {
    let store = try TestStore()
    _ = try archive(store)
    let context = store.folder / "context"
    try context.mkdir()
    try (context / "Dockerfile").write("FROM base\nCOPY large /copy\nRUN echo run\n")
    try (store.base / "large").rename(to: context / "large")
    let end = try onTerminal(store, ["build", "--no-cache", "\(context)"])
    #expect(end.status == 0, "\(end.output)\(end.errors)")
    for part in ["reading", "copying"] {
      #expect(end.output.contains("\r\u{1B}[Kstep 2/3: \(part)  "), "\(end.output)")
    }
    // The line is gone before another one is written.
    for line in end.output.split(separator: "\n") where line.contains("\u{1B}") {
      let last = line.split(separator: "\u{1B}[K", omittingEmptySubsequences: false).last ?? ""
      #expect(!last.contains("step 2/3"), "\(line)")
    }
    let quiet = try onTerminal(store, ["build", "-q", "--no-cache", "\(context)"])
    #expect(quiet.output.utf8.filter { $0 != 0x0D && $0 != 0x0A }.count == 64 + "run".utf8.count)
    let piped = try store.call("build", "--no-cache", "\(context)")
    #expect(piped.status == 0 && piped.errors == "" && !piped.output.contains("\u{1B}"))
  }
}
