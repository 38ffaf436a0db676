/// How a fetched value is stored and printed: the `TYPE` of an argument.
///
/// - SeeAlso: Linux, `kernel/trace/trace_probe.c`, `probe_fetch_types`;
///   Documentation/trace/kprobetrace.rst, 'Types'.
public struct FetchType: Sendable, Equatable {
  /// How it is printed.
  public enum Style: Sendable, Equatable {
    /// Decimal, without and with sign.
    case unsigned, signed
    /// `0x` and hex digits.
    case hex
    /// One byte in quotes.
    case character
    /// Bytes up to a NUL, in double quotes.
    case string
    /// A symbol and the distance from it.
    case symbol
    /// The same, as text that is made at the hit.
    case symbolString
  }

  /// Linux's name for it.
  public var name: String
  /// Bytes of it in a record: 1, 2, 4 or 8.
  public var size: Int
  /// How it is printed.
  public var style: Style
  /// A string that is in user memory whatever the expression says.
  public var isUserString: Bool { name == "ustring" }
  /// Whether its place in a record leads to bytes elsewhere.
  public var isDynamic: Bool { style == .string || style == .symbolString }

  /// A type of the given parts.
  public init(name: String, size: Int, style: Style) {
    self.name = name
    self.size = min(max(size, 1), 8)
    self.style = style
  }

  /// The one without a name: `x64`.
  static let standard = FetchType(name: "x64", size: 8, style: .hex)
  static let string = FetchType(name: "string", size: 4, style: .string)

  /// The type of this name; of a bit field (`b4@8/32`), that of its container.
  ///
  /// Without `kernel`, kernel symbols mean nothing.
  static func named(_ name: ArraySlice<UInt8>, kernel: Bool) -> FetchType? {
    if name.first == UInt8(ascii: "b") {
      guard let slash = name.firstIndex(of: UInt8(ascii: "/")) else { return nil }
      switch Numbers.unsigned(name[(slash + 1)...]) {
      case 8: return FetchType(name: "u8", size: 1, style: .unsigned)
      case 16: return FetchType(name: "u16", size: 2, style: .unsigned)
      case 32: return FetchType(name: "u32", size: 4, style: .unsigned)
      case 64: return FetchType(name: "u64", size: 8, style: .unsigned)
      default: return nil
      }
    }
    let text = String(decoding: name, as: UTF8.self)
    switch text {
    case "string", "ustring": return FetchType(name: text, size: 4, style: .string)
    case "char": return FetchType(name: text, size: 1, style: .character)
    case "symbol": return kernel ? FetchType(name: text, size: 8, style: .symbol) : nil
    case "symstr": return kernel ? FetchType(name: text, size: 4, style: .symbolString) : nil
    default: break
    }
    guard let first = text.first,
      let bits = ["8", "16", "32", "64"].firstIndex(of: text.dropFirst())
    else { return nil }
    let size = 1 << bits
    switch first {
    case "u": return FetchType(name: text, size: size, style: .unsigned)
    case "s": return FetchType(name: text, size: size, style: .signed)
    case "x": return FetchType(name: text, size: size, style: .hex)
    default: return nil
    }
  }
}

/// Numbers as the kernel reads them.
///
/// - SeeAlso: Linux, `lib/kstrtox.c`: base 0; nothing may follow.
enum Numbers {
  /// `kstrtoul(…, base)`; base 0: `0x` hex, `0` octal, else decimal.
  static func unsigned(_ text: ArraySlice<UInt8>, base: UInt64 = 0) -> UInt64? {
    var digits = text
    if digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
    let (value, rest, overflow) = prefix(digits, base: base)
    return rest == digits.startIndex || rest != digits.endIndex || overflow ? nil : value
  }

  /// `kstrtol(…, 0)`.
  static func signed(_ text: ArraySlice<UInt8>) -> Int64? {
    guard text.first == UInt8(ascii: "-") else {
      return unsigned(text).flatMap { Int64(exactly: $0) }
    }
    // A sign behind the sign is none.
    let digits = text.dropFirst()
    guard let first = digits.first, isDigit(first), let value = unsigned(digits),
      value <= 1 << 63
    else { return nil }
    return Int64(bitPattern: 0 &- value)
  }

  /// `simple_strtoul(…, 0)`: the number at the start, and where it ends.
  static func prefix(
    _ text: ArraySlice<UInt8>, base: UInt64 = 0
  ) -> (value: UInt64, end: Int, overflow: Bool) {
    var index = text.startIndex
    var base = base
    if base == 0 {
      base = 10
      if text.first == UInt8(ascii: "0") {
        base = 8
        if text.count > 2, text[index + 1] | 0x20 == UInt8(ascii: "x"),
          digit(text[index + 2]) < 16
        {
          base = 16
          index += 2
        }
      }
    }
    var value: UInt64 = 0
    var overflow = false
    while index < text.endIndex {
      let next = UInt64(digit(text[index]))
      guard next < base else { break }
      let (product, over) = value.multipliedReportingOverflow(by: base)
      let (sum, carry) = product.addingReportingOverflow(next)
      overflow = overflow || over || carry
      value = sum
      index += 1
    }
    return (value, index, overflow)
  }

  static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
  static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

  private static func digit(_ byte: UInt8) -> UInt8 {
    if isDigit(byte) { return byte - 0x30 }
    return isLetter(byte) ? (byte | 0x20) - 0x61 + 10 : 255
  }
}
