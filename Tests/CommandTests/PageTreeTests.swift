import SystemCalls
import SystemPackage
import Testing

@testable import UnionCore
@testable import UnionFSCommand

@Suite struct PageTreeTests {
  private func copy(
    _ layer: UInt16, _ size: Int64, kind: FileKind = .regular,
    change: LayerCopy.Change = .added, fate: LayerCopy.Fate = .visible, hider: UInt16 = 0
  ) -> LayerCopy {
    LayerCopy(layer: layer, hider: hider, kind: kind, change: change, fate: fate, size: size)
  }

  /// `d/large`, `d/small` and `d/tiny`, and `z`, which layer 0 replaced.
  private func tree() -> LayerTree {
    var tree = LayerTree()
    func add(_ name: String, to parent: Int, _ copies: LayerCopy...) -> Int {
      Array(name.utf8).withUnsafeBufferPointer {
        tree.append($0, to: parent, copies: Array(copies.reversed()).reversed())
      }
    }
    let folder = add("d", to: 0, copy(1, 0, kind: .directory))
    _ = add("z", to: 0, copy(0, 300, change: .changed), copy(1, 2, fate: .replaced, hider: 0))
    _ = add("large", to: folder, copy(1, 1000))
    _ = add("small", to: folder, copy(1, 5))
    _ = add("tiny", to: folder, copy(1, 4))
    return tree
  }

  @Test func namesStandInTheOrderOfAWalk() {
    let page = PageTree(tree(), layers: 2, limit: 10)
    #expect(page.names == "/d/large/small/tiny/z")
    #expect(page.count == 6 && page.folded == 0)
    #expect(
      page.bytes == [
        9, 2,  // the root, plain, of two
        9, 3,  // d
        8, 0xE8, 7,  // large: 1000 bytes
        8, 5, 8, 4,
        0, 2,  // z, of two copies
        1, 1, 0xAC, 2,  // layer 1, changed, 300 bytes
        0, 2 << 3, 1, 2,  // layer 0, replaced by 1, 2 bytes
      ])
  }

  @Test func theSmallestNamesAreSummedWhereTheyLie() {
    let page = PageTree(tree(), layers: 2, limit: 3)
    #expect(page.names == "/d/large//z")
    #expect(page.count == 5 && page.folded == 2)
    #expect(
      page.bytes.prefix(13) == [
        9, 2, 9, 2, 8, 0xE8, 7,
        7, 1, 0, 0, 2, 9,  // a rest: one heap of layer 0, visible, two names, 9 bytes
      ])
  }

  @Test func noSizeIsTooLargeToWrite() {
    var tree = LayerTree()
    for name in ["a", "b"] {
      _ = Array(name.utf8).withUnsafeBufferPointer {
        tree.append($0, to: 0, copies: [copy(0, .max)].reversed())
      }
    }
    #expect(PageTree(tree, layers: 1, limit: 10).bytes.count == 2 + 2 * 10)
    #expect(PageTree(tree, layers: 1, limit: 1).folded == 2)
  }

  @Test(arguments: [
    (Array("plain".utf8), "plain"), ([0xFF, 0x61], "\\377a"), ([0xE2, 0x80], "\\342\\200"),
    (Array("a\nb\u{7F}".utf8), "a\\012b\\177"), (Array("\u{202E}x".utf8), "\\342\\200\\256x"),
    (Array("é👨‍👩‍👧".utf8), "é👨‍👩‍👧"), (Array("\\x2d<&\"".utf8), "\\x2d<&\""),
    ([0xC0, 0x80, 0x62], "\\300\\200b"), ([], ""),
  ])
  func namesReadAsWhatTheyAre(_ bytes: [UInt8], _ text: String) {
    #expect(PageText.visible(bytes) == text)
  }

  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
  ])
  func base64IsThatOfTheStandard(_ plain: String, _ text: String) {
    #expect(Base64.text(Array(plain.utf8)) == text)
  }

  @Test(arguments: [
    (0, "0B"), (1, "1B"), (999, "999B"), (1000, "1kB"), (1234, "1.23kB"), (1_235_000, "1.24MB"),
    (12_340, "12.3kB"), (99_949, "99.9kB"), (99_950, "100kB"), (999_499, "999kB"),
    (999_500, "1MB"), (1_500_000_000, "1.5GB"), (Int64.max, "9.22EB"), (-1, "0B"),
  ])
  func sizesAreThoseOfDocker(_ bytes: Int64, _ text: String) {
    #expect(Units.size(bytes) == text)
  }

  @Test(arguments: [
    ("/bin/sh -c #(nop) CMD [\"sh\"]", "CMD [\"sh\"]"), ("/bin/sh -c #(nop)  ENV A=b", "ENV A=b"),
    ("/bin/sh -c make", "RUN make"), ("RUN /bin/sh -c make # buildkit", "RUN make"),
    ("COPY . /srv # buildkit", "COPY . /srv"), ("bash", "bash"), ("", ""),
  ])
  func instructionsReadAsTheyWereWritten(_ command: String, _ instruction: String) {
    let source = LayerSource(id: "x", directory: "/x", command: command)
    #expect(source.instruction == instruction)
  }
}
