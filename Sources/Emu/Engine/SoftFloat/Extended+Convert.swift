// Between the 80-bit format and the others, and comparison.
//
// - SeeAlso: Intel SDM volume 2, 'FLD', 'FST/FSTP', 'FCOM/FCOMP/FCOMPP'.

extension Extended {
  /// The bits of a single, exactly; a denormal or signalling one is noted.
  public static func from(single bits: UInt32, _ env: inout ExtendedEnvironment) -> Extended {
    from(
      negative: bits >> 31 != 0, Int(bits >> 23 & 0xff), special: 0xff, bias: 127,
      UInt64(bits & 0x7f_ffff) << 40, &env)
  }

  /// The bits of a double, exactly; a denormal or signalling one is noted.
  public static func from(double bits: UInt64, _ env: inout ExtendedEnvironment) -> Extended {
    from(
      negative: bits >> 63 != 0, Int(bits >> 52 & 0x7ff), special: 0x7ff, bias: 1023,
      (bits & 0xf_ffff_ffff_ffff) << 11, &env)
  }

  private static func from(
    negative: Bool, _ field: Int, special: Int, bias: Int, _ fraction: UInt64,
    _ env: inout ExtendedEnvironment
  ) -> Extended {
    let top: UInt64 = 1 << 63
    if field == special {
      let value = Extended(negative, 0x7fff, top | fraction)
      if value.isSignaling { env.flags.insert(.invalid) }
      return value
    }
    if field != 0 { return Extended(negative, field &- bias &+ Self.bias, top | fraction) }
    if fraction == 0 { return .zero(negative) }
    env.flags.insert(.denormal)
    let shift = fraction.leadingZeroBitCount
    return Extended(
      negative, 1 &- bias &+ Self.bias &- shift, fraction &<< UInt64(truncatingIfNeeded: shift))
  }

  /// An integer, exactly.
  public static func fromInteger(_ value: Int64) -> Extended {
    if value == 0 { return .zero(false) }
    let magnitude = value.magnitude
    let shift = magnitude.leadingZeroBitCount
    return Extended(
      value < 0, bias &+ 63 &- shift, magnitude &<< UInt64(truncatingIfNeeded: shift))
  }
}

extension ExtendedEnvironment {
  /// To the bits of a single.
  public mutating func toSingle(_ a: Extended) -> UInt32 {
    UInt32(
      truncatingIfNeeded: narrow(a, fractionBits: 23, special: 0xff, bias: 127))
  }

  /// To the bits of a half.
  public mutating func toHalf(_ a: Extended) -> UInt16 {
    UInt16(truncatingIfNeeded: narrow(a, fractionBits: 10, special: 31, bias: 15))
  }

  /// To the bits of a double.
  public mutating func toDouble(_ a: Extended) -> UInt64 {
    narrow(a, fractionBits: 52, special: 0x7ff, bias: 1023)
  }

  /// Where an overflow or underflow has a handler, nothing is delivered and the value is anything.
  private mutating func narrow(
    _ a: Extended, fractionBits: Int, special: Int, bias: Int
  ) -> UInt64 {
    let width = UInt64(truncatingIfNeeded: fractionBits)
    func bits(_ negative: Bool, _ field: Int, _ fraction: UInt64) -> UInt64 {
      (negative ? UInt64(special &+ 1) &<< width : 0) | UInt64(field) &<< width
        | fraction & (1 &<< width &- 1)
    }
    if a.isUnsupported {
      flags.insert(.invalid)
      return bits(true, special, 1 &<< (width &- 1))
    }
    if a.isNaN {
      if a.isSignaling { flags.insert(.invalid) }
      return bits(a.isNegative, special, (a.quieted.significand &<< 1) &>> (64 &- width))
    }
    if a.isInfinite { return bits(a.isNegative, special, 0) }
    if a.isZero { return bits(a.isNegative, 0, 0) }
    let x = a.parts
    let exponent = x.exponent &- Extended.bias &+ bias
    let kept = fractionBits &+ 1
    let wide = UInt128(x.significand) &<< 64
    let normal = rounded(wide, kept: kept, x.negative)
    let after = exponent &+ (normal.carry ? 1 : 0)
    roundedUp = normal.up
    if after >= special {
      flags.insert(.overflow)
      if !masked.contains(.overflow) {
        if normal.inexact { flags.insert(.inexact) }
        return 0
      }
      flags.insert(.inexact)
      let infinite =
        switch rounding {
        case .nearestEven, .nearestMaxMagnitude: true
        case .towardZero: false
        case .down: x.negative
        case .up: !x.negative
        }
      roundedUp = infinite
      return infinite ? bits(x.negative, special, 0) : bits(x.negative, special &- 1, .max)
    }
    if after <= 0 {
      let small = rounded(
        shiftRightJam(wide, min(1 &- exponent, 128)), kept: kept, x.negative)
      roundedUp = small.up
      if !masked.contains(.underflow) {
        flags.insert(.underflow)
        if normal.inexact { flags.insert(.inexact) }
        return 0
      }
      if small.inexact { flags.formUnion([.underflow, .inexact]) }
      let fraction = UInt64(truncatingIfNeeded: small.value &>> UInt128(128 &- kept))
      return bits(x.negative, fraction &>> width != 0 ? 1 : 0, fraction)
    }
    if normal.inexact { flags.insert(.inexact) }
    return bits(
      x.negative, after, UInt64(truncatingIfNeeded: normal.value &>> UInt128(128 &- kept)))
  }

  /// What a comparison finds.
  public enum Order: Sendable { case less, equal, greater, unordered }

  /// Compares; a quiet NaN is invalid too where `signals`.
  public mutating func compare(_ a: Extended, _ b: Extended, signals: Bool) -> Order {
    if isSpecial(a) || isSpecial(b) {
      if signals || a.isSignaling || b.isSignaling || a.isUnsupported || b.isUnsupported {
        flags.insert(.invalid)
      }
      return .unordered
    }
    noteDenormal(a)
    noteDenormal(b)
    if a.isZero && b.isZero { return .equal }
    if a.isZero { return b.isNegative ? .greater : .less }
    if b.isZero { return a.isNegative ? .less : .greater }
    if a.isNegative != b.isNegative { return a.isNegative ? .less : .greater }
    let x = a.parts
    let y = b.parts
    if x.exponent == y.exponent && x.significand == y.significand { return .equal }
    let smaller =
      x.exponent < y.exponent || x.exponent == y.exponent && x.significand < y.significand
    return smaller != a.isNegative ? .less : .greater
  }
}
