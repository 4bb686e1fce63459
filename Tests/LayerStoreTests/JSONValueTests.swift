import JSONValue
import Testing

@Suite struct JSONValueTests {
  @Test func whatIsNotKnownIsKept() throws {
    let text = #"{"a":[1,2.5,true,null,"\u00e9\n/"],"b":{"c":-9007199254740993}}"#
    var value = try JSONValue(parsing: text.utf8)
    value["b"]?["d"] = "new"
    #expect(
      String(decoding: value.bytes, as: UTF8.self)
        == "{\"a\":[1,2.5,true,null,\"é\\n/\"],\"b\":{\"c\":-9007199254740993,\"d\":\"new\"}}")
  }

  @Test(arguments: ["", "{", "{\"a\":}", "[1 2]", "{} x", "\u{0}"])
  func whatIsNoJSONIsRefused(_ text: String) {
    #expect(throws: JSONFlaw.self) { try JSONValue(parsing: text.utf8) }
  }
}
