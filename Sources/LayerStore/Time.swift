public import SystemCalls

/// Times as Go writes them: RFC 3339 with as many digits of a second as there are.
extension Timestamp {
  /// nil where the text is none, or the year 1, Go's zero time.
  public init?(rfc3339 text: String) {
    var rest = Substring(text)
    guard let year = Self.number(&rest, 4), Self.skip(&rest, "-"),
      let month = Self.number(&rest, 2), Self.skip(&rest, "-"),
      let day = Self.number(&rest, 2), Self.skip(&rest, "T") || Self.skip(&rest, "t"),
      let hour = Self.number(&rest, 2), Self.skip(&rest, ":"),
      let minute = Self.number(&rest, 2), Self.skip(&rest, ":"),
      let second = Self.number(&rest, 2),
      (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61,
      let nanoseconds = Self.fraction(&rest), let offset = Self.offset(rest), year > 1
    else { return nil }
    let days = Self.days(year: year, month: month, day: day)
    self.init(
      seconds: Int64(days * 86400 + hour * 3600 + minute * 60 + second - offset),
      nanoseconds: nanoseconds)
  }

  private static func skip(_ text: inout Substring, _ character: Character) -> Bool {
    guard text.first == character else { return false }
    text.removeFirst()
    return true
  }

  private static func number(_ text: inout Substring, _ digits: Int) -> Int? {
    let head = text.prefix(digits)
    guard head.utf8.count == digits, head.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    text = text.dropFirst(digits)
    return Int(head)
  }

  private static func fraction(_ text: inout Substring) -> UInt32? {
    guard skip(&text, ".") else { return 0 }
    let digits = text.prefix { ("0"..."9").contains($0) }
    text = text.dropFirst(digits.count)
    guard !digits.isEmpty else { return nil }
    let padded = digits.prefix(9) + String(repeating: "0", count: max(0, 9 - digits.count))
    return UInt32(padded)
  }

  /// Seconds east of Greenwich.
  private static func offset(_ text: Substring) -> Int? {
    if text == "Z" || text == "z" { return 0 }
    var rest = text
    guard let sign = rest.popFirst(), sign == "+" || sign == "-", let hours = number(&rest, 2),
      skip(&rest, ":"), let minutes = number(&rest, 2), rest.isEmpty
    else { return nil }
    return (sign == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
  }

  /// Days since 1970 in the Gregorian calendar.
  private static func days(year: Int, month: Int, day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The time in UTC, as Go's RFC3339Nano.
  public var rfc3339: String {
    // Nothing that a calendar of four digits could not tell is written.
    let bounded = min(max(seconds, -62_135_596_800), 253_402_300_799)
    let days = Int((bounded - ((bounded % 86400) + 86400) % 86400) / 86400)
    let second = Int(bounded) - days * 86400
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    var text = "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))T"
    text += "\(Self.padded(second / 3600, 2)):\(Self.padded(second / 60 % 60, 2))"
    text += ":\(Self.padded(second % 60, 2))"
    if nanoseconds > 0 {
      var digits = Self.padded(Int(min(nanoseconds, 999_999_999)), 9)
      while digits.last == "0" { digits.removeLast() }
      text += "." + digits
    }
    return text + "Z"
  }

  private static func padded(_ number: Int, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }

  public static var now: Timestamp {
    let now = ProcessCall.nanoseconds
    return Timestamp(
      seconds: Int64(now / 1_000_000_000), nanoseconds: UInt32(now % 1_000_000_000))
  }
}
