@testable import Dockerfile
import Testing
import UnionCore

private func kinds(_ text: String) throws -> [Instruction.Kind] {
  try Dockerfile(Array(text.utf8), path: "Dockerfile").instructions.map(\.kind)
}

@Suite struct DockerfileTests {
  @Test func everyInstructionIsRead() throws {
    let text = """
      ARG V=1
      FROM --platform=linux/amd64 debian:$V AS Base
      RUN ["a", "b c"]
      run echo "x"  y
      COPY --from=base --chown=1:2 --chmod=0755 a b /c/
      ADD ["a b", "/c d"]
      ENV A=1 B="2 3" C=4\\ 5
      ENV D  the  rest
      LABEL a.b=c
      ARG X Y=2
      WORKDIR /a b
      USER 1:2
      EXPOSE 80 53/udp
      VOLUME /v /w
      VOLUME ["/v w"]
      CMD serve 1
      ENTRYPOINT ["/e"]
      SHELL ["/bin/bash", "-c"]
      STOPSIGNAL SIGKILL
      MAINTAINER A <a@b>
      HEALTHCHECK --interval=5s CMD true
      HEALTHCHECK NONE
      ONBUILD RUN x
      """
    let expected: [Instruction.Kind] = [
      .arg([.init(name: "V", value: "1")]),
      .from(image: "debian:$V", stage: "base", platform: "linux/amd64"),
      .run(.exec(["a", "b c"]), documents: []),
      .run(.shell("echo \"x\"  y"), documents: []),
      .copy(
        .init(sources: ["a", "b"], destination: "/c/", from: "base", owner: "1:2", mode: "0755")),
      .add(.init(sources: ["a b"], destination: "/c d")),
      .env([.init("A", "1"), .init("B", "\"2 3\""), .init("C", "4\\ 5")]),
      .env([.init("D", "the  rest")]),
      .label([.init("a.b", "c")]),
      .arg([.init(name: "X", value: nil), .init(name: "Y", value: "2")]),
      .workdir("/a b"), .user("1:2"), .expose(["80", "53/udp"]), .volume(["/v", "/w"]),
      .volume(["/v w"]), .cmd(.shell("serve 1")), .entrypoint(.exec(["/e"])),
      .shell(["/bin/bash", "-c"]), .stopSignal("SIGKILL"), .maintainer("A <a@b>"),
      .healthCheck(.init(command: .shell("true"), options: [.init("interval", "5s")])),
      .healthCheck(.init(command: nil, options: [])),
      .onBuild("RUN x"),
    ]
    #expect(try kinds(text) == expected)
  }

  @Test func linesAreJoinedAndCommentsTakenOut() throws {
    let text = "# c\r\n\r\nFROM a\nRUN one \\\n# comment\n\n  two \\  \n  three\n#x\nRUN four\n"
    let file = try Dockerfile(Array(text.utf8), path: "D")
    #expect(
      file.instructions.map(\.kind) == [
        .from(image: "a", stage: nil, platform: nil),
        .run(.shell("one   two   three"), documents: []), .run(.shell("four"), documents: []),
      ])
    #expect(file.instructions.map(\.line) == [3, 4, 10])
    #expect(file.warnings == ["D line 6: an empty line in an instruction is passed over"])
  }

  @Test func theEscapeCharacterCanBeChanged() throws {
    let text = "# escape=`\nFROM a\nRUN dir c:\\ `\n  x"
    #expect(try kinds(text).last == .run(.shell("dir c:\\   x"), documents: []))
    // Not once something else has stood there.
    #expect(throws: Failure.self) { try kinds("# a comment\n# escape=`\nFROM a `\nb") }
  }

  @Test func hereDocumentsAreRead() throws {
    let text =
      "FROM a\nRUN <<EOF\necho $x\n# no comment\nEOF\nCOPY <<-'A' <<B /d/\n\t1\n\tA\n2\nB\n"
    let found = try kinds(text)
    #expect(
      found[1]
        == .run(
          .shell("<<EOF"),
          documents: [.init(name: "EOF", content: "echo $x\n# no comment\n", expands: true)]))
    #expect(
      found[2]
        == .copy(
          .init(
            sources: [], destination: "/d/",
            documents: [
              .init(name: "A", content: "1\n", expands: false),
              .init(name: "B", content: "2\n", expands: true),
            ])))
  }

  @Test(arguments: [
    ("RUN x", "line 1: no FROM"), ("", "no FROM"), ("ARG a", "no FROM"),
    ("FROM a\nFOO b", "line 2: unknown instruction 'FOO'"),
    ("FROM", "line 1: FROM names nothing"), ("FROM a b", "line 1: FROM has too many words"),
    ("FROM a AS 1", "line 1: '1' is no stage's name"),
    ("FROM a\nCOPY b", "line 2: COPY has no destination"),
    ("FROM a\nCOPY --form=b c d", "line 2: COPY has no '--form'"),
    ("FROM a\nENV b", "line 2: ENV gives 'b' no value"),
    ("FROM a\nENV a=b c", "line 2: 'c' is no NAME=VALUE"),
    ("FROM a\nENV a=\"b", "line 2: a \" is not closed"),
    ("FROM a\nSHELL sh", "line 2: SHELL is no JSON array"),
    ("FROM a\nONBUILD FROM b", "line 2: ONBUILD may not hold"),
    ("FROM a\nHEALTHCHECK x", "line 2: HEALTHCHECK is neither"),
    ("FROM a\nRUN <<EOF\nx", "line 2: the document 'EOF' has no end"),
  ])
  func whatIsWrongIsRefusedWithItsLine(_ text: String, _ what: String) {
    let failure = #expect(throws: Failure.self) { try kinds(text) }
    #expect(failure?.code == .malformedInput)
    #expect(failure?.message.contains(what) ?? false, "\(failure?.message ?? "")")
  }

  @Test func whatIsNotUTF8IsRefused() {
    #expect(throws: Failure.self) { try Dockerfile([0x46, 0xFF], path: "D") }
  }
}

@Suite struct SubstitutionTests {
  private let variables = ["a": "1", "e": "", "b": "x y", "long_1": "L"]
  private var substitution: Substitution {
    Substitution(place: "D line 1") { [variables] in variables[$0] }
  }

  @Test(arguments: [
    ("$a", "1"), ("${a}", "1"), ("x$a.y", "x1.y"), ("$long_1", "L"), ("$nope", ""), ("$", "$"),
    ("\\$a", "$a"), ("'$a'", "$a"), ("\"$a\"", "1"), ("\"\\$a\"", "$a"), ("\"\\n\"", "\\n"),
    ("a\\ b", "a b"), ("'a b'\"c d\"", "a bc d"), ("${e:-d}", "d"), ("${e-d}", ""),
    ("${nope-d}", "d"), ("${a:+s}", "s"), ("${e:+s}", ""), ("${nope:-${a}}", "1"),
    ("${a:?m}", "1"), ("$b", "x y"), ("\\", "\\"), ("a}", "a}"),
  ])
  func aWordIsExpanded(_ text: String, _ expected: String) throws {
    #expect(try substitution.word(text) == expected)
  }

  @Test func variablesOutsideOfQuotesAreSplit() throws {
    #expect(try substitution.words("$b \"$b\" z$b $e ''") == ["x", "y", "x y", "zx", "y", ""])
  }

  @Test func quotesStayInADocument() throws {
    #expect(try substitution.variables("'$a' \"\\$a\" \\n") == "'1' \"$a\" \\n")
  }

  @Test(arguments: ["${a", "'a", "\"a", "${nope:?why}", "${a!b}", "${}"])
  func whatIsWrongIsRefused(_ text: String) {
    #expect(throws: Failure.self) { try substitution.word(text) }
  }
}

@Suite struct IgnoreFileTests {
  private func isOut(_ path: String, _ text: String) -> Bool {
    IgnoreFile(Array(text.utf8)).leavesOut(path.split(separator: "/").map { Array($0.utf8) })
  }

  @Test(arguments: [
    ("a", "a"), ("a/b", "a"), ("a/b", "/a/"), ("a/b/c", "*/b"), ("x.o", "*.o"), ("d/x.o", "**/*.o"),
    ("x.o", "**/*.o"), ("a/b/c", "a/**"), ("ab", "a?"), ("b", "[a-c]"), ("d", "[^a-c]"),
    ("*", "\\*"), ("a/b", "./a/../a/b"), ("a", "#c\n  a  \r\n"), ("a/c", "a\n!a/b"),
    ("abc", "a*b*c"),
  ])
  func aPatternMatches(_ path: String, _ text: String) { #expect(isOut(path, text)) }

  @Test(arguments: [
    ("d/x.o", "*.o"), ("a", "a/**"), ("abc", "a?"), ("ab", "\\*"), ("a/b", "a\n!a/b"),
    ("README", "*\n!README"), ("a", ""), ("a", "#a"), ("a/b/c", "a/*/d"), ("d", "[a-c]"),
  ])
  func aPatternDoesNotMatch(_ path: String, _ text: String) { #expect(!isOut(path, text)) }

  @Test func theLastMatchCounts() {
    #expect(isOut("a/b", "a\n!a/b\na/b"))
    #expect(!isOut("a/b", "!a/b"))
  }
}
