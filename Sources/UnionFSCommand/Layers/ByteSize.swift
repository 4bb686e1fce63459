/// A number of bytes as Docker prints it: three digits and a unit of 1000s. `0B`, `999B`, `1.23MB`.
enum ByteSize {
  private static let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]

  static func text(_ bytes: Int64) -> String {
    var unit = 0
    // In thousandths of the unit.
    var value = UInt64(max(0, bytes)).multipliedReportingOverflow(by: 1000)
    while value.overflow || value.partialValue >= 999_500, unit + 1 < units.count {
      unit += 1
      let divisor = (0..<unit).reduce(UInt64(1)) { product, _ in product * 1000 }
      let whole = UInt64(max(0, bytes)) / (divisor / 1000)
      value = (whole, false)
    }
    return number(value.partialValue) + units[unit]
  }

  /// Thousandths to three digits, without zeros at the end of a fraction.
  private static func number(_ thousandths: UInt64) -> String {
    let (step, digits): (UInt64, Int) =
      thousandths >= 99_950 ? (1000, 0) : thousandths >= 9995 ? (100, 1) : (10, 2)
    let rounded = (thousandths + step / 2) / step
    if digits == 0 { return String(rounded) }
    let scale: UInt64 = digits == 1 ? 10 : 100
    var fraction = String(rounded % scale)
    fraction = String(repeating: "0", count: digits - fraction.count) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return String(rounded / scale) + (fraction.isEmpty ? "" : "." + fraction)
  }
}
