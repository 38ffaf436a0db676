// One implementation serves both formats: datums travel as `UInt64`, significands are 64 bits wide
// with the leading one at bit 62 (one bit of headroom above, at least ten guard bits below), and a
// format contributes only constants and its host type. Whole-module optimisation specialises it.

/// A binary interchange format, and the host type that mirrors it.
///
/// - SeeAlso: IEEE 754-2019, clause 'Binary interchange format encodings'.
protocol FloatFormat {
  associatedtype Host: BinaryFloatingPoint

  /// The trailing significand's width.
  static var fractionBits: Int { get }
  /// The biased exponent of infinities and NaNs: all ones.
  static var specialExponent: Int { get }
  static func host(_ bits: UInt64) -> Host
  static func bits(_ host: Host) -> UInt64
}

enum Binary32: FloatFormat {
  @inline(__always) static var fractionBits: Int { 23 }
  @inline(__always) static var specialExponent: Int { 0xff }
  @inline(__always)
  static func host(_ bits: UInt64) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: bits)) }
  @inline(__always) static func bits(_ host: Float) -> UInt64 { UInt64(host.bitPattern) }
}

enum Binary64: FloatFormat {
  @inline(__always) static var fractionBits: Int { 52 }
  @inline(__always) static var specialExponent: Int { 0x7ff }
  @inline(__always) static func host(_ bits: UInt64) -> Double { Double(bitPattern: bits) }
  @inline(__always) static func bits(_ host: Double) -> UInt64 { host.bitPattern }
}

/// A finite number taken apart.
struct Unpacked {
  var negative: Bool
  /// Biased as in the format, but unbounded: zero and below for subnormal numbers.
  var exponent: Int
  /// The leading one at bit 62, or zero for a zero.
  var significand: UInt64
}

extension FloatFormat {
  @inline(__always) static var bias: Int { specialExponent &>> 1 }
  /// The infinity's bits, which are also the exponent field's mask.
  @inline(__always) static var infinity: UInt64 {
    UInt64(truncatingIfNeeded: specialExponent) &<< fractionBits
  }
  @inline(__always) static var sign: UInt64 { infinity &+ leastNormal }
  @inline(__always) static var leastNormal: UInt64 { 1 &<< fractionBits }
  @inline(__always) static var fractionMask: UInt64 { leastNormal &- 1 }
  @inline(__always) static var quietBit: UInt64 { leastNormal &>> 1 }
  /// Positions between the significand's last bit and bit 0 of an unpacked significand.
  @inline(__always) static var guardBits: Int { 62 &- fractionBits }

  @inline(__always) static func magnitude(_ a: UInt64) -> UInt64 { a & (sign &- 1) }
  @inline(__always) static func isNegative(_ a: UInt64) -> Bool { a & sign != 0 }
  @inline(__always) static func isFinite(_ a: UInt64) -> Bool { a & infinity != infinity }
  @inline(__always) static func isInfinite(_ a: UInt64) -> Bool { magnitude(a) == infinity }
  @inline(__always) static func isZero(_ a: UInt64) -> Bool { magnitude(a) == 0 }
  @inline(__always) static func isNaN(_ a: UInt64) -> Bool { magnitude(a) > infinity }
  @inline(__always)
  static func isSignaling(_ a: UInt64) -> Bool { isNaN(a) && a & quietBit == 0 }

  @inline(__always)
  static func zero(_ negative: Bool) -> UInt64 { negative ? sign : 0 }
  @inline(__always)
  static func infinity(_ negative: Bool) -> UInt64 { negative ? sign | infinity : infinity }

  /// Takes a finite number apart.
  @inline(__always)
  static func unpack(_ a: UInt64) -> Unpacked {
    let field = Int(truncatingIfNeeded: (a & infinity) &>> fractionBits)
    let fraction = a & fractionMask
    if field != 0 {
      return Unpacked(
        negative: isNegative(a), exponent: field,
        significand: (fraction | leastNormal) &<< guardBits)
    }
    if fraction == 0 { return Unpacked(negative: isNegative(a), exponent: 0, significand: 0) }
    let shift = fraction.leadingZeroBitCount &- 1
    return Unpacked(
      negative: isNegative(a), exponent: 1 &+ guardBits &- shift, significand: fraction &<< shift)
  }

  /// Rounds to the format and raises overflow, underflow and inexact.
  ///
  /// `significand` has its leading one at bit 62; bit 0 may stand for anything nonzero below it.
  ///
  /// - SeeAlso: IEEE 754-2019, clauses 'Rounding-direction attributes', 'Overflow', 'Underflow'.
  @inline(__always)
  static func roundPack(
    _ negative: Bool, _ exponent: Int, _ significand: UInt64, _ env: inout FloatEnvironment
  ) -> UInt64 {
    let mask: UInt64 = (1 &<< guardBits) &- 1
    let half: UInt64 = 1 &<< (guardBits &- 1)
    let increment: UInt64
    switch env.rounding {
    case .nearestEven, .nearestMaxMagnitude: increment = half
    case .towardZero: increment = 0
    case .down: increment = negative ? mask : 0
    case .up: increment = negative ? 0 : mask
    }
    var exponent = exponent
    var significand = significand
    // One unsigned comparison for the common case, strictly between subnormal and overflow.
    if UInt(bitPattern: exponent &- 1) >= UInt(bitPattern: specialExponent &- 2) {
      if exponent <= 0 {
        // At exponent 0 the carry of rounding may still reach the least normal number.
        let tiny =
          env.tininess == .beforeRounding || exponent < 0 || significand &+ increment < 1 &<< 63
        significand = shiftRightJam(significand, 1 &- exponent)
        exponent = 1
        if tiny && significand & mask != 0 { env.raise(.underflow) }
      } else if exponent >= specialExponent || significand &+ increment >= 1 &<< 63 {
        env.raise([.overflow, .inexact])
        return infinity(negative) &- (increment == 0 ? 1 : 0)
      }
    }
    let discarded = significand & mask
    var rounded = (significand &+ increment) &>> guardBits
    if discarded != 0 {
      env.raise(.inexact)
      if discarded == half && env.rounding == .nearestEven { rounded &= ~1 }
    }
    // The leading one adds itself to the exponent field, and so does a carry out of rounding.
    return zero(negative)
      | ((UInt64(truncatingIfNeeded: exponent &- 1) &<< fractionBits) &+ rounded)
  }

  /// The zero that an exact cancellation delivers.
  ///
  /// - SeeAlso: IEEE 754-2019, clause 'The sign bit'.
  @inline(__always)
  static func cancelled(_ env: FloatEnvironment) -> UInt64 { zero(env.rounding == .down) }

  // MARK: NaN

  /// Raises invalid and delivers the NaN of an operation without a NaN operand.
  @inline(__always)
  static func invalid(_ env: inout FloatEnvironment) -> UInt64 {
    env.raise(.invalid)
    return defaultNaN(env)
  }

  @inline(__always)
  static func defaultNaN(_ env: FloatEnvironment) -> UInt64 {
    env.nan == .canonical ? infinity | quietBit : sign | infinity | quietBit
  }

  /// The result of an operation of which at least one operand is a NaN.
  ///
  /// - SeeAlso: IEEE 754-2019, clauses 'Operations with NaNs' and 'NaN propagation'.
  @inline(__always)
  static func propagate(
    _ a: UInt64, _ b: UInt64, _ c: UInt64, _ env: inout FloatEnvironment
  ) -> UInt64 {
    if isSignaling(a) || isSignaling(b) || isSignaling(c) { env.raise(.invalid) }
    if env.nan == .canonical { return defaultNaN(env) }
    return (isNaN(a) ? a : isNaN(b) ? b : c) | quietBit
  }
}

/// Shifts right; a one lost below is kept as bit 0, which rounding needs and nothing else reads.
@inline(__always)
func shiftRightJam(_ value: UInt64, _ count: Int) -> UInt64 {
  if count == 0 { return value }
  if count > 63 { return value == 0 ? 0 : 1 }
  return value &>> count | (value &<< (64 &- count) == 0 ? 0 : 1)
}

/// Shifts right; a one lost below is kept as bit 0.
@inline(__always)
func shiftRightJam(_ value: UInt128, _ count: Int) -> UInt128 {
  if count == 0 { return value }
  if count > 127 { return value == 0 ? 0 : 1 }
  return value &>> UInt128(truncatingIfNeeded: count)
    | (value &<< UInt128(truncatingIfNeeded: 128 &- count) == 0 ? 0 : 1)
}
