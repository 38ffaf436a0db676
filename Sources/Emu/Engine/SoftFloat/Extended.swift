/// A datum of the 80-bit double extended format.
///
/// The leading bit of the significand is written down, so there are encodings that mean nothing:
/// a number with an exponent and without that bit (*unnormal*), and the same of an infinity or a
/// NaN. A *pseudo-denormal* has it and the exponent zero, which counts as one.
///
/// - SeeAlso: Intel SDM volume 1, 'Unsupported Double Extended-Precision Floating-Point Encodings
///   and Pseudo-Denormals'.
public struct Extended: Sendable, Hashable {
  /// The significand, with its leading bit at bit 63.
  public var significand: UInt64
  /// Bit 15 is the sign, the rest the exponent, biased by 16383.
  public var signExponent: UInt16

  /// The exponent's bias.
  public static let bias = 16383

  /// A datum of these parts.
  @inlinable @inline(__always)
  public init(significand: UInt64, signExponent: UInt16) {
    self.significand = significand
    self.signExponent = signExponent
  }

  /// A datum with the sign and the biased exponent apart.
  @inline(__always)
  public init(_ negative: Bool, _ exponent: Int, _ significand: UInt64) {
    self.significand = significand
    signExponent =
      UInt16(truncatingIfNeeded: exponent) & 0x7fff | (negative ? 0x8000 : 0)
  }

  /// Its sign.
  @inline(__always) public var isNegative: Bool { signExponent & 0x8000 != 0 }
  /// The biased exponent as written.
  @inline(__always) public var exponent: Int { Int(signExponent & 0x7fff) }
  @inline(__always) private var hasLeadingBit: Bool { significand &>> 63 != 0 }

  /// Of no meaning: every arithmetic operation on it is invalid.
  @inline(__always)
  public var isUnsupported: Bool { exponent != 0 && !hasLeadingBit }
  /// A NaN.
  @inline(__always)
  public var isNaN: Bool { exponent == 0x7fff && significand &<< 1 != 0 && hasLeadingBit }
  /// A NaN that is invalid to compute with.
  @inline(__always)
  public var isSignaling: Bool { isNaN && significand & Self.quietBit == 0 }
  /// An infinity.
  @inline(__always) public var isInfinite: Bool { exponent == 0x7fff && significand == 1 &<< 63 }
  /// A zero.
  @inline(__always) public var isZero: Bool { exponent == 0 && significand == 0 }
  /// A denormal or pseudo-denormal number.
  @inline(__always) public var isDenormal: Bool { exponent == 0 && significand != 0 }
  /// The same with the other sign.
  @inline(__always)
  public var negated: Extended {
    Extended(significand: significand, signExponent: signExponent ^ 0x8000)
  }
  /// A NaN made quiet.
  @inline(__always)
  public var quieted: Extended {
    Extended(significand: significand | Self.quietBit, signExponent: signExponent)
  }

  static let quietBit: UInt64 = 1 << 62

  /// What an invalid operation delivers.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'QNaN Floating-Point Indefinite'.
  public static let indefinite = Extended(significand: 3 << 62, signExponent: 0xffff)
  /// A zero.
  public static func zero(_ negative: Bool) -> Extended { Extended(negative, 0, 0) }
  /// An infinity.
  public static func infinity(_ negative: Bool) -> Extended {
    Extended(negative, 0x7fff, 1 << 63)
  }
  /// One.
  public static let one = Extended(false, bias, 1 << 63)

  /// A finite number other than zero, taken apart: its significand has bit 63 set.
  @inline(__always)
  var parts: (negative: Bool, exponent: Int, significand: UInt64) {
    if exponent != 0 { return (isNegative, exponent, significand) }
    let shift = significand.leadingZeroBitCount
    return (isNegative, 1 &- shift, significand &<< UInt64(truncatingIfNeeded: shift))
  }
}

/// Exceptions, in the order of the x87 status word's and MXCSR's flags.
///
/// - SeeAlso: Intel SDM volume 1, 'x87 FPU Floating-Point Exception Conditions'.
public struct ExtendedFlags: OptionSet, Sendable, Hashable {
  /// The bits.
  public var rawValue: UInt16
  /// Makes a set from its bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// Invalid operation.
  public static let invalid = ExtendedFlags(rawValue: 1)
  /// A denormal operand.
  public static let denormal = ExtendedFlags(rawValue: 2)
  /// Division of a finite number by zero.
  public static let divideByZero = ExtendedFlags(rawValue: 4)
  /// Overflow.
  public static let overflow = ExtendedFlags(rawValue: 8)
  /// Underflow.
  public static let underflow = ExtendedFlags(rawValue: 16)
  /// Inexact result.
  public static let inexact = ExtendedFlags(rawValue: 32)
}

/// What an extended operation reads besides its operands, and what came of it.
public struct ExtendedEnvironment: Sendable {
  /// The rounding direction.
  public var rounding: RoundingMode
  /// Bits of the significand that results are rounded to: 24, 53 or 64.
  public var precision: Int
  /// Exceptions that have no handler.
  public var masked: ExtendedFlags
  /// Exceptions met.
  public var flags: ExtendedFlags = []
  /// Whether the last rounding went away from zero.
  public var roundedUp = false

  /// An environment in which nothing has happened.
  public init(
    rounding: RoundingMode = .nearestEven, precision: Int = 64,
    masked: ExtendedFlags = ExtendedFlags(rawValue: 0x3f)
  ) {
    self.rounding = rounding
    self.precision = precision
    self.masked = masked
  }

  /// What an exponent is moved by where an overflow or underflow has a handler.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Numeric Overflow Exception (#O)'.
  static let wrap = 24576

  /// Rounds the top `kept` of 128 bits: what is kept, and whether it carried, lost and rose.
  func rounded(
    _ significand: UInt128, kept: Int, _ negative: Bool
  ) -> (value: UInt128, carry: Bool, inexact: Bool, up: Bool) {
    let unit = UInt128(1) &<< UInt128(128 &- kept)
    let rest = significand & (unit &- 1)
    let value = significand & ~(unit &- 1)
    guard rest != 0 else { return (value, false, false, false) }
    let half = unit &>> 1
    let up: Bool
    switch rounding {
    case .nearestEven: up = rest > half || rest == half && value & unit != 0
    case .nearestMaxMagnitude: up = rest >= half
    case .towardZero: up = false
    case .down: up = negative
    case .up: up = !negative
    }
    guard up else { return (value, false, true, false) }
    let (sum, carry) = value.addingReportingOverflow(unit)
    return (carry ? 1 &<< 127 : sum, carry, true, true)
  }

  /// Rounds a number with its leading one at bit 127 to the precision.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Numeric Overflow Exception (#O)', 'Numeric Underflow Exception
  ///   (#U)', 'Precision Control Field'.
  mutating func pack(
    _ negative: Bool, _ exponent: Int, _ significand: UInt128, precision: Int? = nil
  ) -> Extended {
    let kept = precision ?? self.precision
    let normal = rounded(significand, kept: kept, negative)
    var exponent = exponent
    let after = exponent &+ (normal.carry ? 1 : 0)
    var high = UInt64(truncatingIfNeeded: normal.value &>> 64)
    roundedUp = normal.up
    if after >= 0x7fff {
      flags.insert(.overflow)
      guard masked.contains(.overflow) else {
        if normal.inexact { flags.insert(.inexact) }
        exponent = after &- Self.wrap
        // So far beyond that even the wrapped exponent has no room.
        if exponent >= 0x7fff {
          flags.insert(.inexact)
          roundedUp = true
          return .infinity(negative)
        }
        return Extended(negative, exponent, high)
      }
      flags.insert(.inexact)
      let infinite =
        switch rounding {
        case .nearestEven, .nearestMaxMagnitude: true
        case .towardZero: false
        case .down: negative
        case .up: !negative
        }
      roundedUp = infinite
      return infinite
        ? .infinity(negative)
        : Extended(negative, 0x7ffe, .max &<< UInt64(truncatingIfNeeded: 64 &- kept))
    }
    if after <= 0 {
      guard masked.contains(.underflow) else {
        flags.insert(.underflow)
        if normal.inexact { flags.insert(.inexact) }
        exponent = after &+ Self.wrap
        if exponent <= 0 {
          flags.insert(.inexact)
          return .zero(negative)
        }
        return Extended(negative, exponent, high)
      }
      let small = rounded(
        shiftRightJam(significand, min(1 &- exponent, 128)), kept: kept, negative)
      roundedUp = small.up
      if small.inexact { flags.formUnion([.underflow, .inexact]) }
      high = UInt64(truncatingIfNeeded: small.value &>> 64)
      return Extended(negative, high &>> 63 == 0 ? 0 : 1, high)
    }
    if normal.inexact { flags.insert(.inexact) }
    return Extended(negative, after, high)
  }

  /// Delivers the NaN of an operation of which an operand is one, or is unsupported.
  ///
  /// Of two NaNs the one with the larger significand, and of equal ones the positive; a quiet one
  /// before a signalling one.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Operating on SNaNs and QNaNs', the table 'Rules for Handling
  ///   NaNs'.
  mutating func nan(_ a: Extended, _ b: Extended) -> Extended {
    if a.isUnsupported || b.isUnsupported {
      flags.insert(.invalid)
      return .indefinite
    }
    if a.isSignaling || b.isSignaling { flags.insert(.invalid) }
    if !b.isNaN { return a.quieted }
    if !a.isNaN { return b.quieted }
    if a.isSignaling != b.isSignaling { return a.isSignaling ? b : a }
    if a.significand != b.significand {
      return (a.significand > b.significand ? a : b).quieted
    }
    return (a.isNegative ? b : a).quieted
  }

  /// Notes an invalid operation.
  mutating func invalid() -> Extended {
    flags.insert(.invalid)
    return .indefinite
  }

  /// Whether an operand can't be computed with as a number.
  @inline(__always)
  func isSpecial(_ a: Extended) -> Bool { a.isNaN || a.isUnsupported }

  @inline(__always)
  mutating func noteDenormal(_ a: Extended) { if a.isDenormal { flags.insert(.denormal) } }
}
