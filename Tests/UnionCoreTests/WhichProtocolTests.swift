import SystemPackage
import Testing
import UnionCore

@Suite struct WhichProtocolTests {
  let odd = FilePath(bytes: [0x2F, 0x61, 0x20, 0x09, 0x0A, 0x5C, 0xFF])

  @Test func theCommandIsTheOneOfTheKernelsMacro() {
    // _IOWR('u', 1, char[8192])
    #expect(WhichProtocol.command == 0xE000_7501)
  }

  @Test(arguments: WhichProtocol.State.allCases)
  func anAnswerComesBackAsItWasFormatted(_ state: WhichProtocol.State) {
    let entries = [
      WhichProtocol.Entry(state: state, permission: "rw", branch: odd, path: "etc/hosts"),
      WhichProtocol.Entry(state: .hidden, permission: "ro+wh", branch: "/b", path: ""),
    ]
    #expect(WhichProtocol.parse(WhichProtocol.format(entries)) == .init(entries: entries))
    #expect(entries[0].realPath == odd.appending("etc").appending("hosts"))
    #expect(entries[1].realPath == "/b")
  }

  @Test func anAnswerNeverOverflowsTheBuffer() {
    let long = FilePath("/" + String(repeating: "x", count: 200))
    let entry = WhichProtocol.Entry(state: .hidden, permission: "ro", branch: long, path: "y")
    let text = WhichProtocol.format(Array(repeating: entry, count: 500))
    #expect(text.count <= WhichProtocol.bufferSize)
    let answer = WhichProtocol.parse(text)
    #expect(answer.map { $0.entries.count + $0.omitted } == 500)
  }

  @Test func anUnknownNameHasNoLine() {
    #expect(WhichProtocol.format([]) == [0])
    #expect(WhichProtocol.parse([0, 1, 2]) == .init(entries: []))
  }

  @Test(arguments: ["visible\trw\t/a", "gone\trw\t/a\tb", "more\tx", "x"])
  func aForeignAnswerIsNotTakenForOne(_ text: String) {
    #expect(WhichProtocol.parse(Array(text.utf8)) == nil)
  }

  @Test func theEscapeIsTheOneOfProcMounts() {
    #expect(OctalEscape.escape(Array("a \t\n\\".utf8)) == Array(#"a\040\011\012\134"#.utf8))
    #expect(
      OctalEscape.unescape(Array(#"a\040\011\012\134\9\0"#.utf8)) == Array("a \t\n\\\\9\\0".utf8))
  }

  @Test(arguments: ["more\t-1\n", "more\t0\n", "more\tx\n"])
  func aCountOfNothingIsRefused(text: String) {
    #expect(WhichProtocol.parse(Array(text.utf8)) == nil)
  }
}
