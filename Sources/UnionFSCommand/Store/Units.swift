internal import LayerStore
internal import SystemCalls

/// Sizes and times as docker's commands write them.
enum Units {
  /// Three digits and a unit of 1000: `188MB`, `1.24kB`, `0B`. Nothing is less than that.
  static func size(_ bytes: Int64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    var value = UInt64(max(0, bytes))
    // Thousandths of the unit.
    var rest: UInt64 = 0
    var unit = 0
    while value >= 1000 {
      rest = value % 1000
      value /= 1000
      unit += 1
    }
    let decimals = unit == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
    let divisor: UInt64 = [1000, 100, 10][decimals]
    var scaled = (value * 1000 + rest + divisor / 2) / divisor
    let whole: UInt64 = [1, 10, 100][decimals]
    if unit == 0 { scaled = value }
    if scaled / whole >= 1000, unit + 1 < units.count { return "1\(units[unit + 1])" }
    var fraction = String(scaled % whole)
    fraction = String(repeating: "0", count: max(0, decimals - fraction.count)) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    let digits = decimals == 0 || fraction.isEmpty ? "" : "." + fraction
    return "\(scaled / whole)\(digits)\(units[unit])"
  }

  /// `2 weeks`, `About an hour`.
  static func duration(seconds: Int64) -> String {
    if seconds < 1 { return "Less than a second" }
    if seconds == 1 { return "1 second" }
    if seconds < 60 { return "\(seconds) seconds" }
    let minutes = seconds / 60
    if minutes == 1 { return "About a minute" }
    if minutes < 60 { return "\(minutes) minutes" }
    let hours = (seconds + 1800) / 3600
    if hours == 1 { return "About an hour" }
    if hours < 48 { return "\(hours) hours" }
    if hours < 24 * 14 { return "\(hours / 24) days" }
    if hours < 24 * 60 { return "\(hours / 24 / 7) weeks" }
    if hours < 24 * 365 * 2 { return "\(hours / 24 / 30) months" }
    return "\(seconds / 3600 / 24 / 365) years"
  }

  /// `2 weeks ago`; `N/A` where nobody knows.
  static func since(_ time: Timestamp?, now: Timestamp = .now) -> String {
    guard let time else { return "N/A" }
    let (seconds, overflow) = now.seconds.subtractingReportingOverflow(time.seconds)
    return duration(seconds: overflow ? .max / 2 : max(seconds, 0)) + " ago"
  }

  /// `2026-11-25 02:22:02 +0000 UTC`.
  static func moment(_ time: Timestamp?) -> String {
    guard let time else { return "N/A" }
    let text = Timestamp(seconds: time.seconds, nanoseconds: 0).rfc3339
    return text.replacing("T", with: " ").replacing("Z", with: " +0000 UTC")
  }

  /// At most so many characters, the last one an ellipsis where there were more.
  static func shortened(_ text: String, _ count: Int) -> String {
    text.count <= count ? text : text.prefix(count - 1) + "…"
  }
}
