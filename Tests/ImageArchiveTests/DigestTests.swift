import ImageArchive
import Testing

@Suite struct DigestTests {
  // FIPS 180-4's own example.
  @Test func aDigestIsTheStandardsOwn() {
    #expect(
      Digest(of: "abc".utf8).description
        == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test(arguments: ["", "sha256:", "sha512:00", "sha256:" + String(repeating: "A", count: 64)])
  func whatIsNoDigestIsNone(_ text: String) { #expect(Digest(text) == nil) }
}
