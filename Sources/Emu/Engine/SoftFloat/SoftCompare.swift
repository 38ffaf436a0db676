// Comparisons, minimum, maximum and class need no rounding: they are integer comparisons of bits.

extension FloatFormat {
  /// Orders all datums but NaNs, with -0 below +0.
  @inline(__always)
  private static func key(_ a: UInt64) -> Int64 {
    let magnitude = Int64(truncatingIfNeeded: magnitude(a))
    return isNegative(a) ? ~magnitude : magnitude
  }

  /// Quiet: invalid only for a signalling NaN.
  @inline(__always)
  static func equal(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> Bool {
    if isNaN(a) || isNaN(b) {
      if isSignaling(a) || isSignaling(b) { env.raise(.invalid) }
      return false
    }
    return a == b || isZero(a) && isZero(b)
  }

  /// Signalling: invalid for any NaN.
  @inline(__always)
  static func less(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> Bool {
    if isNaN(a) || isNaN(b) {
      env.raise(.invalid)
      return false
    }
    return key(a) < key(b) && !(isZero(a) && isZero(b))
  }

  /// Signalling: invalid for any NaN.
  @inline(__always)
  static func lessOrEqual(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> Bool {
    if isNaN(a) || isNaN(b) {
      env.raise(.invalid)
      return false
    }
    return key(a) <= key(b) || isZero(a) && isZero(b)
  }

  @inline(__always)
  static func minimum(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if isNaN(a) || isNaN(b) { return number(a, b, &env) }
    return key(a) <= key(b) ? a : b
  }

  @inline(__always)
  static func maximum(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if isNaN(a) || isNaN(b) { return number(a, b, &env) }
    return key(a) >= key(b) ? a : b
  }

  /// The operand that is a number, if either is.
  @inline(__always)
  private static func number(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    let result = propagate(a, b, 0, &env)
    if !isNaN(a) { return a }
    return isNaN(b) ? result : b
  }

  @inline(__always)
  static func classMask(_ a: UInt64) -> UInt16 {
    if isNaN(a) { return a & quietBit == 0 ? 1 &<< 8 : 1 &<< 9 }
    // 0 for an infinity, then normal, subnormal and zero; the positive classes run the other way.
    let distance: UInt16
    if isInfinite(a) {
      distance = 0
    } else if magnitude(a) >= leastNormal {
      distance = 1
    } else {
      distance = isZero(a) ? 3 : 2
    }
    return 1 &<< (isNegative(a) ? distance : 7 &- distance)
  }
}
