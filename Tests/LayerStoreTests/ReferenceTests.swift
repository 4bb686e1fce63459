import LayerStore
import SystemCalls
import Testing
import UnionCore

@Suite struct ReferenceTests {
  @Test(
    arguments: [
      ("debian", "debian", nil), ("debian:12", "debian", "12"), ("me/app", "me/app", nil),
      ("localhost:5000/a/b:tag", "localhost:5000/a/b", "tag"),
      ("localhost:5000/a/b", "localhost:5000/a/b", nil), ("localhost/a", "localhost/a", nil),
      (
        "registry.example.org/a__b/c-d--e.f:V1.2_3-x", "registry.example.org/a__b/c-d--e.f",
        "V1.2_3-x"
      ),
      ("docker.io/library/debian:12", "debian", "12"), ("docker.io/me/app", "me/app", nil),
      ("index.docker.io/library/debian", "debian", nil),
    ] as [(String, String, String?)])
  func aNameAndItsTagAreTold(_ text: String, _ name: String, _ tag: String?) throws {
    let reference = try Reference(text)
    #expect(reference.name == name)
    #expect(reference.tag == tag)
    #expect(reference.description == "\(name):\(tag ?? "latest")")
  }

  @Test(arguments: [
    "", ":", ":tag", "Debian", "a//b", "/a", "a/", "a:", "a:.x", "a:-x", "-a", "a-", "a..b",
    "a___b",
    "a b", "a:b:c", "host:port/a", "localhost:5000/", "é", "a@sha256:0", "a\n", "a/.b",
    "a:" + String(repeating: "x", count: 129), String(repeating: "a", count: 256),
  ])
  func whatIsNoReferenceIsRefused(_ text: String) {
    #expect(throws: Failure.self) { try Reference(text) }
  }

  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0, 0),
      ("2015-06-01T10:20:30.123456789Z", 1_433_154_030, 123_456_789),
      ("2000-02-29T23:59:59.5Z", 951_868_799, 500_000_000), ("1969-12-31T23:59:59Z", -1, 0),
      ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
    ] as [(String, Int64, UInt32)])
  func timesAreReadAndWrittenAsGoDoes(_ text: String, _ seconds: Int64, _ nanoseconds: UInt32)
    throws
  {
    let time = try #require(Timestamp(rfc3339: text))
    #expect(time == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
    #expect(time.rfc3339 == text)
  }

  @Test func aTimeInAnotherZoneIsTheSameMoment() {
    #expect(
      Timestamp(rfc3339: "2015-06-01T12:20:30+02:00")
        == Timestamp(seconds: 1_433_154_030, nanoseconds: 0))
  }

  @Test(arguments: [
    "", "0001-01-01T00:00:00Z", "2015-06-01", "2015-13-01T00:00:00Z", "2015-06-01T10:20:30", "x",
    "2015-06-01T10:20:30.Z", "2015-06-01T10:20:30+2:00", "-015-06-01T10:20:30Z",
  ])
  func whatIsNoTimeIsNone(_ text: String) { #expect(Timestamp(rfc3339: text) == nil) }
}
