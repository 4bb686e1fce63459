import Testing

@testable import SnapshotStore

@Suite struct FilterTests {
  static let all: [SnapshotInfo] = [
    info("foo", labels: ["foo": "true"]), info("bar"),
    info("foo2", parent: "foo", kind: .active, labels: ["more complex label": "present"]),
    info("k8s.io/12/sha256:ab", parent: "bar", kind: .view, labels: ["containerd.io/gc.root": "1"]),
    info("quoted", labels: ["with \\ and \".post": "present", "foo": "omg_asdf.asdf-qwer"]),
    info("grüße", parent: "too complex, yo", labels: ["": "empty"]),
  ]

  static func info(
    _ name: String, parent: String = "", kind: SnapshotKind = .committed,
    labels: [String: String] = [:]
  ) -> SnapshotInfo {
    SnapshotInfo(name: name, parent: parent, kind: kind, created: 0, updated: 0, labels: labels)
  }

  func matches(_ filters: [String]) throws -> [Int] {
    let accepts = try Filter(filters).predicate()
    return Self.all.indices.filter { accepts(Self.all[$0]) }
  }

  @Test(arguments: [
    ("", [0, 1, 2, 3, 4, 5]),
    ("name", [0, 1, 2, 3, 4, 5]),
    ("parent", [0, 1, 2, 3, 4, 5]),
    ("unknown", []),
    ("name==foo", [0]),
    ("name == foo", [0]),
    (" name==foo", [0]),
    ("name!=foo", [1, 2, 3, 4, 5]),
    ("name==\"foo\"", [0]),
    ("parent==foo", [2]),
    ("parent==\"\"", [0, 1, 4]),
    ("parent==\"too complex, yo\"", [5]),
    ("kind==active", [2]),
    ("kind==view", [3]),
    ("kind==committed", [0, 1, 4, 5]),
    ("kind!=committed", [2, 3]),
    ("kind==Active", []),
    ("name==foo,kind==committed", [0]),
    ("name==foo,kind==view", []),
    ("labels.foo", [0, 4]),
    ("labels.foo,name", [0, 4]),
    ("labels.foo==true", [0]),
    ("labels.foo!=true", [1, 2, 3, 4, 5]),
    ("labels.foo==omg_asdf.asdf-qwer", [4]),
    ("labels.\"more complex label\"", [2]),
    ("labels.\"more complex label\"==present", [2]),
    ("labels.\"with \\\\ and \\\"\".post==present", [4]),
    ("labels.\"with \\x5c and \\042.post\"==present", [4]),
    ("labels.containerd.io", []),
    ("labels.\"containerd.io/gc.root\"", [3]),
    ("labels.\"containerd.io/gc\".root==1", [3]),
    ("labels", [5]),
    ("name~=fo+", [0, 2]),
    ("name~=^fo+$", [0]),
    ("name~=/^k8s.io\\/.*:/", [3]),
    ("name~=/[abc]{1,2}/", [1, 3]),
    ("name~=|^(foo\\|bar)$|", [0, 1]),
    ("name~=\"^ba\"", [1]),
    ("name~=grü", [5]),
    ("name==gr\\u00fc", []),
    ("name==\"gr\\u00fc\\U000000dfe\"", [5]),
    ("labels.absent~=^$", [0, 1, 2, 3, 4, 5]),
    ("name~=[", []),
  ])
  func oneFilterMatchesAsContainerdsDoes(_ filter: String, _ expected: [Int]) throws {
    #expect(try matches([filter]) == expected)
  }

  @Test func oneOfSeveralFiltersIsEnough() throws {
    #expect(try matches([]) == [0, 1, 2, 3, 4, 5])
    #expect(try matches(["name==bar", "kind==view", "name==bar"]) == [1, 3])
    #expect(try matches(["name==bar", ""]) == [0, 1, 2, 3, 4, 5])
  }

  @Test(arguments: [
    "name==foo,", "labels.", ".", ",", "==foo", "name==", "name=foo", "name===foo", "name=~foo",
    "labels.?\"x\"==y", "name~=,id?=?fbaq", "labels.ns/key==value", "labels.key==/value",
    "labels.|foo|==x", "name==/foo/", "name==foo bar", "name foo", "name==\"foo", "name==\"fo\no\"",
    "name==\"\\q\"", "name==\"\\x5\"", "name==\"\\777\"", "name==\"\\U00110000\"", "name==foo\0",
    "name==.foo", "\u{1F600}",
  ])
  func aMalformedFilterIsRefusedAndNamed(_ filter: String) throws {
    let error = try #require(throws: SnapshotError.self) { try Filter([filter]) }
    #expect(error.code == .invalidArgument)
    #expect(error.message.hasPrefix("filter '\(filter)': at character "))
  }

  @Test func textsThatOnlyUnicodeTakesForEqualAreNot() throws {
    let composed = Self.info("caf\u{e9}")
    let accepts = try Filter(["name==cafe\u{301}"]).predicate()
    #expect(!accepts(composed))
    #expect(accepts(Self.info("cafe\u{301}")))
  }
}
