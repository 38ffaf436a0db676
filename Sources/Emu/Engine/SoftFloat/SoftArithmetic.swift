// The truth: arithmetic on integers, for every rounding mode and every operand. Not inlined, so
// that the fast paths stay small where they are called.
//
// - SeeAlso: IEEE 754-2019, clause 'Arithmetic operations'.

extension FloatFormat {
  // MARK: Addition

  /// The sum or difference; a NaN subtracted keeps the sign it came with.
  @inline(never)
  static func softAdd(
    _ a: UInt64, _ b: UInt64, subtracting: Bool, _ env: inout FloatEnvironment
  ) -> UInt64 {
    let addend = subtracting ? b ^ sign : b
    if !isFinite(a) || !isFinite(b) {
      if isNaN(a) || isNaN(b) { return propagate(a, b, 0, &env) }
      if !isFinite(a) && !isFinite(b) && a != addend { return invalid(&env) }
      return isFinite(a) ? addend : a
    }
    if isZero(a) || isZero(b) {
      if isZero(a) && isZero(b) { return a == addend ? a : cancelled(env) }
      return isZero(a) ? addend : a
    }
    var big = unpack(a)
    var small = unpack(addend)
    if magnitude(a) < magnitude(b) { swap(&big, &small) }
    let aligned = shiftRightJam(small.significand, big.exponent &- small.exponent)
    if big.negative == small.negative {
      let sum = big.significand &+ aligned
      // A sum below 2 leaves bit 63 clear; one of 2 or more takes one step down.
      let carry = Int(truncatingIfNeeded: sum &>> 63)
      return roundPack(big.negative, big.exponent &+ carry, shiftRightJam(sum, carry), &env)
    }
    let difference = big.significand &- aligned
    if difference == 0 { return cancelled(env) }
    let shift = difference.leadingZeroBitCount &- 1
    return roundPack(big.negative, big.exponent &- shift, difference &<< shift, &env)
  }

  // MARK: Multiplication and division

  @inline(never)
  static func softMul(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    let negative = (a ^ b) & sign != 0
    if !isFinite(a) || !isFinite(b) {
      if isNaN(a) || isNaN(b) { return propagate(a, b, 0, &env) }
      if isZero(a) || isZero(b) { return invalid(&env) }
      return infinity(negative)
    }
    if isZero(a) || isZero(b) { return zero(negative) }
    let x = unpack(a)
    let y = unpack(b)
    let (exponent, product) = multiply(x, y)
    return roundPack(negative, exponent, narrow(product), &env)
  }

  @inline(never)
  static func softDiv(_ a: UInt64, _ b: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    let negative = (a ^ b) & sign != 0
    if !isFinite(a) || !isFinite(b) {
      if isNaN(a) || isNaN(b) { return propagate(a, b, 0, &env) }
      if isFinite(a) { return zero(negative) }
      return isFinite(b) ? infinity(negative) : invalid(&env)
    }
    if isZero(b) {
      if isZero(a) { return invalid(&env) }
      env.raise(.divideByZero)
      return infinity(negative)
    }
    if isZero(a) { return zero(negative) }
    let x = unpack(a)
    let y = unpack(b)
    // Scaled so that the quotient's leading one lands on bit 62; the high half then stays below
    // the divisor, which the division demands.
    let below = x.significand < y.significand ? 1 : 0
    let dividend = (
      high: x.significand &>> (2 &- below), low: x.significand &<< (62 &+ below)
    )
    let (quotient, remainder) = y.significand.dividingFullWidth(dividend)
    return roundPack(
      negative, x.exponent &- y.exponent &+ bias &- below, quotient | (remainder == 0 ? 0 : 1),
      &env)
  }

  // MARK: Square root

  @inline(never)
  static func softSqrt(_ a: UInt64, _ env: inout FloatEnvironment) -> UInt64 {
    if isNaN(a) { return propagate(a, 0, 0, &env) }
    if isZero(a) { return a }
    if isNegative(a) { return invalid(&env) }
    if isInfinite(a) { return a }
    let x = unpack(a)
    // An even exponent halves; an odd one gives a factor of two to the significand first.
    let odd = (x.exponent &- bias) & 1
    let radicand = x.significand &<< odd
    // 55 bits of root, two more than either format rounds to. The host guesses it to a dozen units
    // whatever its rounding mode; the integers decide. So near the root the remainder is below
    // 2^60, and its low 64 bits are all of it.
    var root = UInt64(Double(radicand).squareRoot() * 0x1p23)
    var remainder = Int64(truncatingIfNeeded: radicand &<< 46 &- root &* root)
    while remainder < 0 {
      root &-= 1
      remainder &+= Int64(truncatingIfNeeded: root &<< 1 | 1)
    }
    while remainder > Int64(truncatingIfNeeded: root &<< 1) {
      remainder &-= Int64(truncatingIfNeeded: root &<< 1 | 1)
      root &+= 1
    }
    let significand = root &<< 8 | (remainder == 0 ? 0 : 1)
    return roundPack(false, (x.exponent &- bias &- odd) &>> 1 &+ bias, significand, &env)
  }

  // MARK: Fused multiply-add

  /// `a * b + c` rounded once.
  ///
  /// - SeeAlso: IEEE 754-2019, clause 'Invalid operation', item on fusedMultiplyAdd: whether
  ///   infinity times zero plus a quiet NaN is invalid is the implementer's choice.
  @inline(never)
  static func softFma(
    _ a: UInt64, _ b: UInt64, _ c: UInt64, _ env: inout FloatEnvironment
  ) -> UInt64 {
    let negative = (a ^ b) & sign != 0
    if !isFinite(a) || !isFinite(b) || !isFinite(c) {
      let undefined = isInfinite(a) && isZero(b) || isZero(a) && isInfinite(b)
      if isNaN(a) || isNaN(b) || isNaN(c) {
        if undefined && env.nan == .canonical { env.raise(.invalid) }
        return propagate(a, b, c, &env)
      }
      if undefined { return invalid(&env) }
      if isFinite(a) && isFinite(b) { return c }
      if isInfinite(c) && isNegative(c) != negative { return invalid(&env) }
      return infinity(negative)
    }
    if isZero(a) || isZero(b) {
      if !isZero(c) { return c }
      return negative == isNegative(c) ? c : cancelled(env)
    }
    let (exponent, product) = multiply(unpack(a), unpack(b))
    if isZero(c) { return roundPack(negative, exponent, narrow(product), &env) }
    let z = unpack(c)
    // Both at 128 bits with the leading one at bit 126. The product fills at most 106 bits and the
    // addend 53, so an alignment that loses bits is one after which little can cancel.
    let addend = UInt128(truncatingIfNeeded: z.significand) &<< 64
    var big = (negative: negative, exponent: exponent, significand: product)
    var small = (negative: z.negative, exponent: z.exponent, significand: addend)
    if exponent < z.exponent || exponent == z.exponent && product < addend {
      swap(&big, &small)
    }
    let aligned = shiftRightJam(small.significand, big.exponent &- small.exponent)
    if big.negative == small.negative {
      let sum = big.significand &+ aligned
      let carry = Int(truncatingIfNeeded: sum &>> 127)
      return roundPack(
        big.negative, big.exponent &+ carry, narrow(shiftRightJam(sum, carry)), &env)
    }
    let difference = big.significand &- aligned
    if difference == 0 { return cancelled(env) }
    let shift = difference.leadingZeroBitCount &- 1
    return roundPack(
      big.negative, big.exponent &- shift,
      narrow(difference &<< UInt128(truncatingIfNeeded: shift)), &env)
  }

  /// The exact product, its leading one at bit 126.
  @inline(__always)
  private static func multiply(_ x: Unpacked, _ y: Unpacked) -> (exponent: Int, product: UInt128) {
    let (high, low) = x.significand.multipliedFullWidth(by: y.significand)
    let product = UInt128(truncatingIfNeeded: high) &<< 64 | UInt128(truncatingIfNeeded: low)
    let carry = Int(truncatingIfNeeded: high &>> 61)
    return (
      x.exponent &+ y.exponent &- bias &+ carry,
      product &<< UInt128(truncatingIfNeeded: 2 &- carry)
    )
  }

  /// The high half, with bit 0 standing for whatever the low half held.
  @inline(__always)
  private static func narrow(_ value: UInt128) -> UInt64 {
    UInt64(truncatingIfNeeded: value &>> 64) | (UInt64(truncatingIfNeeded: value) == 0 ? 0 : 1)
  }
}
