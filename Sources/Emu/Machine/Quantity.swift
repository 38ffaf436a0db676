/// Numbers as people write them, on the command line and in files.
public enum Quantity {
  /// `4096`, `1_000_000`, `0x80200000`.
  public static func number(_ text: String) -> UInt64? {
    let plain = text.filter { $0 != "_" }
    if plain.hasPrefix("0x") || plain.hasPrefix("0X") {
      // No sign behind the prefix.
      guard plain.dropFirst(2).allSatisfy(\.isHexDigit) else { return nil }
      return UInt64(plain.dropFirst(2), radix: 16)
    }
    guard plain.first?.isNumber == true else { return nil }
    return UInt64(plain)
  }

  /// The same, or with `K`, `M` or `G` for thousands, millions and so on.
  public static func count(_ text: String) -> UInt64? {
    if let number = number(text) { return number }
    let factors: [Character: UInt64] = ["K": 1_000, "M": 1_000_000, "G": 1_000_000_000]
    guard let last = text.uppercased().last, let factor = factors[last],
      let number = number(String(text.dropLast()))
    else { return nil }
    let (value, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : value
  }

  /// Bytes: a number, or one with `K`, `M`, `G` or `T` for powers of 1024.
  public static func bytes(_ text: String) -> UInt64? {
    if let number = number(text) { return number }
    guard let last = text.uppercased().last, let unit = Array("KMGT").firstIndex(of: last),
      let number = number(String(text.dropLast()))
    else { return nil }
    let shift = UInt64(10 * (unit + 1))
    return number <= UInt64.max >> shift ? number << shift : nil
  }
}
