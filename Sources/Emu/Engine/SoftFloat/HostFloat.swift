// The fast paths: the host's arithmetic, taken only where its result is provably the right one and
// its flags, which Swift cannot read, would add nothing. The idea is QEMU's (fpu/softfloat.c,
// 'Hardfloat'); the conditions here look at the result, because that already speaks for the
// operands: a finite result never comes of a NaN, nor (division apart) of an infinity.
//
// Inexact must be accrued already, or the operation shown to be exact. Then only overflow (an
// infinite result), underflow (a result no greater than the least normal number, as it may have
// been rounded up to that) and the exceptions that deliver a NaN or an infinity remain: all are
// visible in the result and left to the integers.

// The standard library's square root and multiply-add may call libm, which is linked by importing.
#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

extension FloatFormat {
  @inline(__always)
  private static func inexactAccrued(_ env: FloatEnvironment) -> Bool {
    env.flags.rawValue & FloatFlags.inexact.rawValue != 0
  }

  /// Strictly between the least normal number and infinity in magnitude.
  @inline(__always)
  private static func isSafe(_ result: UInt64) -> Bool {
    magnitude(result) &- leastNormal &- 1 < infinity &- leastNormal &- 1
  }

  /// The significant bits of a normal number below which all are zero; for a subnormal one, more.
  @inline(__always)
  private static func trailingZeros(_ a: UInt64) -> Int {
    (a & fractionMask | leastNormal).trailingZeroBitCount
  }

  /// Whether the product of two finite numbers surely fits the significand.
  @inline(__always)
  private static func fits(_ a: UInt64, _ b: UInt64) -> Bool {
    trailingZeros(a) &+ trailingZeros(b) > fractionBits
  }

  /// Whether `sum` is exactly `a + b`: the error term of Knuth's TwoSum is zero.
  ///
  /// The term is exact unless something overflows on the way, and then it is not zero.
  @inline(__always)
  private static func isExact(_ sum: Host, _ a: Host, _ b: Host) -> Bool {
    let second = sum - a
    return (a - (sum - second)) + (b - second) == 0
  }

  // MARK: Arithmetic

  /// A sum that is tiny is exact, so nothing needs to be asked of a small result.
  @inline(__always)
  static func add(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if env.rounding == .nearestEven {
      let sum = host(a) + host(b)
      if isFinite(bits(sum)) && (inexactAccrued(env) || isExact(sum, host(a), host(b))) {
        return bits(sum)
      }
    }
    return softAdd(a, b, subtracting: false, &env)
  }

  @inline(__always)
  static func sub(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if env.rounding == .nearestEven {
      let difference = host(a) - host(b)
      if isFinite(bits(difference))
        && (inexactAccrued(env) || isExact(difference, host(a), -host(b)))
      {
        return bits(difference)
      }
    }
    return softAdd(a, b, subtracting: true, &env)
  }

  @inline(__always)
  static func mul(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if env.rounding == .nearestEven {
      let product = bits(host(a) * host(b))
      if isSafe(product) && (inexactAccrued(env) || fits(a, b)) { return product }
      if isZero(product) && (isZero(a) || isZero(b)) { return product }
    }
    return softMul(a, b, &env)
  }

  @inline(__always)
  static func div(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if env.rounding == .nearestEven {
      let quotient = bits(host(a) / host(b))
      if isSafe(quotient) {
        if inexactAccrued(env) { return quotient }
        // Exact if multiplying back is exact (hence no tiny dividend) and meets the dividend.
        if fits(quotient, b) && isSafe(a) && host(quotient) * host(b) == host(a) {
          return quotient
        }
      }
      if isZero(quotient) && isZero(a) { return quotient }
    }
    return softDiv(a, b, &env)
  }

  /// A root is never tiny, and it is infinite or a NaN only where the integers must speak.
  @inline(__always)
  static func sqrt(_ a: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if env.rounding == .nearestEven {
      let root = bits(host(a).squareRoot())
      if isFinite(root) {
        if inexactAccrued(env) { return root }
        if fits(root, root) && isSafe(a) && host(root) * host(root) == host(a) { return root }
      }
    }
    return softSqrt(a, &env)
  }

  @inline(__always)
  static func fma(
    _ a: UInt64, _ b: UInt64, _ c: UInt64, _ env: inout FloatEnvironment
  ) -> UInt64 {
    if env.rounding == .nearestEven {
      if inexactAccrued(env) {
        let result = bits(host(c).addingProduct(host(a), host(b)))
        if isSafe(result) { return result }
      } else {
        // With an exact product, one addition is the whole operation.
        let product = host(a) * host(b)
        if fits(a, b) && isSafe(bits(product)) {
          let sum = product + host(c)
          if isFinite(bits(sum)) && isExact(sum, product, host(c)) { return bits(sum) }
        }
      }
    }
    return softFma(a, b, c, &env)
  }

  // MARK: Integers

  /// Below 2 to the precision every integer is exact in every mode; above, rounding is the host's.
  @inline(__always)
  static func fromSigned(_ value: Int64, _ env: inout FloatEnvironment) -> UInt64 {
    if value.magnitude &>> (fractionBits &+ 1) == 0
      || env.rounding == .nearestEven && inexactAccrued(env)
    {
      return bits(Host(value))
    }
    return softFromInteger(negative: value < 0, magnitude: value.magnitude, &env)
  }

  @inline(__always)
  static func fromUnsigned(_ value: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if value &>> (fractionBits &+ 1) == 0 || env.rounding == .nearestEven && inexactAccrued(env) {
      return bits(Host(value))
    }
    return softFromInteger(negative: false, magnitude: value, &env)
  }
}

// MARK: Formats

/// Converts to binary32: the host's conversion if it loses nothing, or may.
@inline(__always)
func narrow(_ a: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
  if env.rounding == .nearestEven {
    let value = Binary64.host(a)
    let result = Float(value)
    let magnitude = result.magnitude
    let safe = magnitude > Float.leastNormalMagnitude && magnitude < Float.infinity
    if safe && (env.flags.contains(.inexact) || Double(result) == value) {
      return UInt64(result.bitPattern)
    }
  }
  return softConvert(a, Binary64.self, Binary32.self, &env)
}

/// Converts to binary64, which is exact: only a NaN needs the ISA's word.
@inline(__always)
func widen(_ a: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
  if Binary32.isFinite(a) { return Double(Binary32.host(a)).bitPattern }
  return softConvert(a, Binary32.self, Binary64.self, &env)
}
