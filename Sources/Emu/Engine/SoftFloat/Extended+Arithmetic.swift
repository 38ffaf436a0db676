// Arithmetic on 80-bit datums by integers, exactly rounded.
//
// - SeeAlso: Intel SDM volume 2, the instruction pages 'FADD', 'FSUB', 'FMUL', 'FDIV', 'FSQRT',
//   'FPREM', 'FPREM1', 'FRNDINT', 'FSCALE', 'FXTRACT' with their tables of results.

extension ExtendedEnvironment {
  /// `a + b`, or with `subtracting` `a - b`.
  public mutating func add(_ a: Extended, _ b: Extended, subtracting: Bool) -> Extended {
    if isSpecial(a) || isSpecial(b) { return nan(a, b) }
    let addend = subtracting ? b.negated : b
    if a.isInfinite || b.isInfinite {
      if a.isInfinite && b.isInfinite && a != addend { return invalid() }
      noteDenormal(a)
      noteDenormal(b)
      return a.isInfinite ? a : addend
    }
    noteDenormal(a)
    noteDenormal(b)
    if a.isZero && b.isZero {
      return a == addend ? a : .zero(rounding == .down)
    }
    if a.isZero || b.isZero {
      let one = (a.isZero ? addend : a).parts
      return pack(one.negative, one.exponent, UInt128(one.significand) &<< 64)
    }
    var big = a.parts
    var small = addend.parts
    if big.exponent < small.exponent
      || big.exponent == small.exponent && big.significand < small.significand
    {
      swap(&big, &small)
    }
    // One bit of headroom.
    let high = UInt128(big.significand) &<< 63
    let low = shiftRightJam(
      UInt128(small.significand) &<< 63, min(big.exponent &- small.exponent, 128))
    let sum = big.negative == small.negative ? high &+ low : high &- low
    if sum == 0 { return .zero(rounding == .down) }
    let shift = sum.leadingZeroBitCount
    return pack(
      big.negative, big.exponent &+ 1 &- shift,
      sum &<< UInt128(truncatingIfNeeded: shift))
  }

  /// `a * b`.
  public mutating func multiply(_ a: Extended, _ b: Extended) -> Extended {
    if isSpecial(a) || isSpecial(b) { return nan(a, b) }
    let negative = a.isNegative != b.isNegative
    if a.isInfinite || b.isInfinite {
      if a.isZero || b.isZero { return invalid() }
      noteDenormal(a)
      noteDenormal(b)
      return .infinity(negative)
    }
    noteDenormal(a)
    noteDenormal(b)
    if a.isZero || b.isZero { return .zero(negative) }
    let x = a.parts
    let y = b.parts
    let (high, low) = x.significand.multipliedFullWidth(by: y.significand)
    let product = UInt128(high) &<< 64 | UInt128(low)
    let shift = product.leadingZeroBitCount
    return pack(
      negative, x.exponent &+ y.exponent &- Extended.bias &+ 1 &- shift,
      product &<< UInt128(truncatingIfNeeded: shift))
  }

  /// `a / b`.
  public mutating func divide(_ a: Extended, _ b: Extended) -> Extended {
    if isSpecial(a) || isSpecial(b) { return nan(a, b) }
    let negative = a.isNegative != b.isNegative
    if a.isInfinite {
      if b.isInfinite { return invalid() }
      noteDenormal(b)
      return .infinity(negative)
    }
    if b.isInfinite {
      noteDenormal(a)
      return .zero(negative)
    }
    if b.isZero {
      if a.isZero { return invalid() }
      flags.insert(.divideByZero)
      return .infinity(negative)
    }
    noteDenormal(a)
    noteDenormal(b)
    if a.isZero { return .zero(negative) }
    let x = a.parts
    let y = b.parts
    let quotient = Self.quotient(x.significand, y.significand)
    let shift = quotient.leadingZeroBitCount
    return pack(
      negative, x.exponent &- y.exponent &+ Extended.bias &- shift,
      quotient &<< UInt128(truncatingIfNeeded: shift))
  }

  /// `a / b` times 2^127, bit 0 standing for what is below; both have bit 63 set.
  private static func quotient(_ a: UInt64, _ b: UInt64) -> UInt128 {
    let first = b.dividingFullWidth((high: a &>> 1, low: a &<< 63))
    let second = b.dividingFullWidth((high: first.remainder, low: 0))
    return UInt128(first.quotient) &<< 64 | UInt128(second.quotient)
      | (second.remainder == 0 ? 0 : 1)
  }

  /// The square root.
  public mutating func squareRoot(_ a: Extended) -> Extended {
    if isSpecial(a) { return nan(a, a) }
    if a.isZero { return a }
    if a.isNegative { return invalid() }
    if a.isInfinite { return a }
    noteDenormal(a)
    let x = a.parts
    let power = x.exponent &- Extended.bias
    let odd = power & 1
    // The root of a number from 2^126 up to 2^128 has 64 bits.
    var rest = UInt128(x.significand) &<< UInt128(truncatingIfNeeded: 63 &+ odd)
    var root: UInt128 = 0
    var bit: UInt128 = 1 &<< 126
    while bit != 0 {
      if rest >= root &+ bit {
        rest &-= root &+ bit
        root = root &>> 1 &+ bit
      } else {
        root &>>= 1
      }
      bit &>>= 2
    }
    // The root is irrational or exact: never half way.
    let below: UInt128 = rest == 0 ? 0 : rest > root ? 1 &<< 63 | 1 : 1
    return pack(false, (power &- odd) / 2 &+ Extended.bias, root &<< 64 | below)
  }

  /// To an integer in the direction of the environment.
  public mutating func roundToInteger(_ a: Extended) -> Extended {
    if isSpecial(a) { return nan(a, a) }
    if a.isInfinite || a.isZero { return a }
    noteDenormal(a)
    let power = a.exponent &- Extended.bias
    if power >= 63 { return a }
    let (whole, inexact, up) = integer(a)
    if inexact { flags.insert(.inexact) }
    roundedUp = up
    if whole == 0 { return .zero(a.isNegative) }
    let shift = whole.leadingZeroBitCount
    return Extended(
      a.isNegative, Extended.bias &+ 63 &- shift, whole &<< UInt64(truncatingIfNeeded: shift))
  }

  /// The magnitude of a finite number below 2^64 as an integer.
  private func integer(_ a: Extended) -> (value: UInt64, inexact: Bool, up: Bool) {
    if a.isZero { return (0, false, false) }
    let x = a.parts
    let power = x.exponent &- Extended.bias
    let aligned = shiftRightJam(
      UInt128(x.significand) &<< 63, min(63 &- power, 128))
    let result = rounded(aligned, kept: 65, x.negative)
    return (UInt64(truncatingIfNeeded: result.value &>> 63), result.inexact, result.up)
  }

  /// To a signed integer of `bits`; `nil`, with the operation invalid, where it does not fit.
  public mutating func toInteger(_ a: Extended, bits: Int) -> Int64? {
    let limit: UInt64 = 1 &<< UInt64(bits &- 1)
    if isSpecial(a) || a.isInfinite || a.exponent > Extended.bias &+ 63 {
      flags.insert(.invalid)
      return nil
    }
    let (value, inexact, up) = integer(a)
    guard value < limit || value == limit && a.isNegative else {
      flags.insert(.invalid)
      return nil
    }
    if inexact { flags.insert(.inexact) }
    roundedUp = up
    return Int64(bitPattern: a.isNegative ? 0 &- value : value)
  }

  /// `a` times two to the power of the whole part of `b`.
  public mutating func scale(_ a: Extended, by b: Extended) -> Extended {
    if isSpecial(a) || isSpecial(b) { return nan(a, b) }
    if b.isInfinite {
      if b.isNegative {
        if a.isInfinite { return invalid() }
        noteDenormal(a)
        return .zero(a.isNegative)
      }
      if a.isZero { return invalid() }
      noteDenormal(a)
      return .infinity(a.isNegative)
    }
    noteDenormal(a)
    noteDenormal(b)
    if a.isInfinite || a.isZero { return a }
    let x = a.parts
    var by = 0
    if b.exponent >= Extended.bias {
      let power = b.exponent &- Extended.bias
      by = power > 16 ? 0x20000 : Int(b.significand &>> UInt64(63 &- power))
      if b.isNegative { by = 0 &- by }
    }
    return pack(x.negative, x.exponent &+ by, UInt128(x.significand) &<< 64, precision: 64)
  }

  /// The unbiased exponent and the significand as numbers.
  public mutating func extract(_ a: Extended) -> (exponent: Extended, significand: Extended) {
    if isSpecial(a) {
      let result = nan(a, a)
      return (result, result)
    }
    if a.isInfinite { return (.infinity(false), a) }
    if a.isZero {
      flags.insert(.divideByZero)
      return (.infinity(true), a)
    }
    noteDenormal(a)
    let x = a.parts
    return (
      .fromInteger(Int64(x.exponent &- Extended.bias)),
      Extended(x.negative, Extended.bias, x.significand)
    )
  }

  /// What ``remainder(_:_:nearest:)`` found.
  public struct Remainder: Sendable {
    /// The remainder, or an intermediate one.
    public var value: Extended
    /// The low bits of the quotient.
    public var quotient: UInt64 = 0
    /// The exponents are so far apart that more steps are needed.
    public var isPartial = false
  }

  /// The remainder of `a / b` by a quotient that is cut off or, with `nearest`, rounded to nearest.
  public mutating func remainder(_ a: Extended, _ b: Extended, nearest: Bool) -> Remainder {
    if isSpecial(a) || isSpecial(b) { return Remainder(value: nan(a, b)) }
    if a.isInfinite || b.isZero { return Remainder(value: invalid()) }
    if b.isInfinite || a.isZero {
      noteDenormal(a)
      noteDenormal(b)
      return Remainder(value: a.isDenormal ? packExact(a) : a)
    }
    noteDenormal(a)
    noteDenormal(b)
    let x = a.parts
    let y = b.parts
    let distance = x.exponent &- y.exponent
    if distance < -1 || distance < 0 && !nearest { return Remainder(value: packExact(a)) }
    var steps = distance
    if distance >= 64 { steps = distance & 0x1f | 0x20 }
    var rest = UInt128(x.significand)
    let divisor = UInt128(y.significand)
    var quotient: UInt64 = 0
    var unit = x.exponent &- steps
    if steps < 0 {
      // Half of the divisor may still be exceeded.
      unit = y.exponent
      rest = UInt128(x.significand) &>> 1
      if nearest, x.significand > y.significand {
        // x is between half of y and y: nearer to y.
        let value = UInt128(y.significand) &<< 1 &- UInt128(x.significand)
        return Remainder(
          value: packSmall(!x.negative, x.exponent, value), quotient: 1)
      }
      return Remainder(value: packExact(a))
    }
    for step in 0...steps {
      if step > 0 { rest &<<= 1 }
      quotient &<<= 1
      if rest >= divisor {
        rest &-= divisor
        quotient |= 1
      }
    }
    if distance >= 64 {
      return Remainder(
        value: packSmall(x.negative, unit, rest), quotient: quotient, isPartial: true)
    }
    var negative = x.negative
    if nearest, rest &<< 1 > divisor || rest &<< 1 == divisor && quotient & 1 != 0 {
      rest = divisor &- rest
      quotient &+= 1
      negative.toggle()
    }
    if rest == 0 { return Remainder(value: .zero(x.negative), quotient: quotient) }
    return Remainder(value: packSmall(negative, unit, rest), quotient: quotient)
  }

  /// A number below 2^65 in units of 2^(exponent - 63), which is exact.
  private mutating func packSmall(_ negative: Bool, _ exponent: Int, _ value: UInt128) -> Extended {
    if value == 0 { return .zero(negative) }
    let shift = value.leadingZeroBitCount
    return pack(
      negative, exponent &+ 64 &- shift, value &<< UInt128(truncatingIfNeeded: shift),
      precision: 64)
  }

  private mutating func packExact(_ a: Extended) -> Extended {
    let x = a.parts
    return pack(x.negative, x.exponent, UInt128(x.significand) &<< 64, precision: 64)
  }
}
