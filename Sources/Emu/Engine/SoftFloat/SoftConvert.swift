// Conversions between the formats, and between them and integers.
//
// - SeeAlso: IEEE 754-2019, clauses 'Details of conversions from floating-point to integer formats'
//   and 'formatOf general-computational operations'.

/// Converts a datum of one format to another.
@inline(never)
func softConvert<From: FloatFormat, To: FloatFormat>(
  _ a: UInt64, _: From.Type, _: To.Type, _ env: inout FloatEnvironment
) -> UInt64 {
  let negative = From.isNegative(a)
  if !From.isFinite(a) {
    if From.isInfinite(a) { return To.infinity(negative) }
    if From.isSignaling(a) { env.raise(.invalid) }
    if env.nan == .canonical { return To.defaultNaN(env) }
    // The payload keeps its leading bits.
    let payload = (a & From.fractionMask) &<< From.guardBits
    return To.infinity(negative) | To.quietBit | payload &>> To.guardBits
  }
  if From.isZero(a) { return To.zero(negative) }
  let x = From.unpack(a)
  return To.roundPack(negative, x.exponent &- From.bias &+ To.bias, x.significand, &env)
}

extension FloatFormat {
  /// Rounds to an integer of `width` bits, returned in the low bits and extended as signed.
  @inline(__always)
  static func toInteger(
    _ a: UInt64, width: Int, signed: Bool, _ env: inout FloatEnvironment
  ) -> UInt64 {
    let negative = isNegative(a)
    // Infinities and NaNs, with the greatest exponent field, are among what is 2^64 or more.
    if magnitude(a) >= UInt64(truncatingIfNeeded: bias &+ 64) &<< fractionBits {
      return unrepresentable(a, width: width, signed: signed, &env)
    }
    let x = unpack(a)
    let exponent = x.exponent &- bias
    var integer: UInt64
    var inexact = false
    if exponent >= 62 {
      integer = x.significand &<< (exponent &- 62)
    } else {
      // Bits 1 and 0 of the part below the point: a half, and anything less.
      let shift = 62 &- exponent
      integer = shift > 63 ? 0 : x.significand &>> shift
      let below = shift > 63 ? (x.significand == 0 ? 0 : 1) : x.significand &<< (64 &- shift)
      let half: UInt64 = 1 &<< 63
      inexact = below != 0
      let up: Bool
      switch env.rounding {
      case .nearestEven: up = below > half || below == half && integer & 1 != 0
      case .nearestMaxMagnitude: up = below >= half
      case .towardZero: up = false
      case .down: up = inexact && negative
      case .up: up = inexact && !negative
      }
      integer &+= up ? 1 : 0
    }
    let greatest = UInt64.max &>> (64 &- width)
    let limit: UInt64
    if signed {
      limit = greatest &>> 1 &+ (negative ? 1 : 0)
    } else {
      limit = negative ? 0 : greatest
    }
    if integer > limit { return unrepresentable(a, width: width, signed: signed, &env) }
    if inexact { env.raise(.inexact) }
    return negative ? 0 &- integer : integer
  }

  /// Raises invalid, and nothing else, and delivers what the ISA delivers.
  @inline(never)
  private static func unrepresentable(
    _ a: UInt64, width: Int, signed: Bool, _ env: inout FloatEnvironment
  ) -> UInt64 {
    env.raise(.invalid)
    let greatest = UInt64.max &>> (64 &- width)
    switch env.saturation {
    case .x86: return signed ? ~(greatest &>> 1) : greatest
    case .arm where isNaN(a): return 0
    case .riscv, .arm:
      if isNegative(a) && !isNaN(a) { return signed ? ~(greatest &>> 1) : 0 }
      return signed ? greatest &>> 1 : greatest
    }
  }

  /// Rounds a sign and magnitude to the format.
  @inline(never)
  static func softFromInteger(
    negative: Bool, magnitude: UInt64, _ env: inout FloatEnvironment
  ) -> UInt64 {
    if magnitude == 0 { return 0 }
    let zeros = magnitude.leadingZeroBitCount
    // The leading one goes to bit 62, so only a full 64-bit magnitude moves right.
    let significand = zeros == 0 ? shiftRightJam(magnitude, 1) : magnitude &<< (zeros &- 1)
    return roundPack(negative, bias &+ 63 &- zeros, significand, &env)
  }
}
